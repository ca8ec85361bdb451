import { Code, Group, Text } from "@mantine/core";
import type { Field } from "../api/schema";
import { t } from "../language/text";
import { State } from "../ui/State";
import { Time } from "../ui/Time";
import { Reference } from "./Reference";
import classes from "./Value.module.css";

/** A value as text, in a cell of a table (`compact`) or on a page. */
export function Value({ value, field, compact = false }: { value: unknown; field?: Field; compact?: boolean }) {
  if (value === null || value === undefined || value === "") return <span className={classes.empty}>–</span>;
  if (typeof value === "boolean") return <>{value ? t("Yes") : t("No")}</>;
  if (typeof value === "number") return <span style={{ fontVariantNumeric: "tabular-nums" }}>{value.toLocaleString()}</span>;
  if (typeof value === "string") {
    if (field?.schema.format === "date-time") return <Time value={value} />;
    if (field?.shape === "choice") return <State value={value} />;
    if (field?.refersTo.length) return <Reference id={value} kinds={field.refersTo} compact={compact} />;
    if (compact) return <span className={classes.short} title={value}>{value}</span>;
    return <Text span size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{value}</Text>;
  }
  if (Array.isArray(value)) {
    if (!value.length) return <Text c="dimmed" span>{t("None")}</Text>;
    if (value.every((one) => typeof one === "string")) {
      const shown = compact ? value.slice(0, 3) : value;
      const rest = value.length - shown.length;
      const kinds = field?.item?.["x-refers-to"];
      if (kinds) {
        return (
          <Group gap="xs" wrap={compact ? "nowrap" : "wrap"}>
            {shown.map((one) => <Reference key={one} id={one} kinds={kinds} compact />)}
            {rest > 0 && <Text c="dimmed" span size="sm">{t("and {rest} more", { rest })}</Text>}
          </Group>
        );
      }
      return <>{shown.join(", ")}{rest > 0 && <Text c="dimmed" span>{" "}{t("and {rest} more", { rest })}</Text>}</>;
    }
    if (compact) return t("{count, number} items", { count: value.length });
  } else if (compact) {
    const size = Object.keys(value).length;
    return size ? t("{size} fields", { size }) : <Text c="dimmed" span>{t("None")}</Text>;
  } else if (!Object.keys(value).length) return <Text c="dimmed" span>{t("None")}</Text>;
  return <Code block>{JSON.stringify(value, null, 2)}</Code>;
}
