import { Group, Select, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { catalogues, method } from "../../../api/platform";
import { fullName } from "../../../kernel/operations";
import { t } from "../../../language/text";
import { Picker } from "../../../fields/Picker";
import type { Level, Place } from "./place";

const LEVELS: { value: Level; label: string }[] = [
  { value: "project", label: t("A project") },
  { value: "organization", label: t("An organization") },
  { value: "item", label: t("One item") },
  { value: "platform", label: t("The whole platform") },
];
/** What stands above everything else has a level of its own. */
const ABOVE = ["admin.organization", "admin.project"];

interface Props {
  place: Place;
  onChange: (place: Place) => void;
  error?: string;
}

/** Where something applies. It also applies to everything below that place. */
export function PlaceInput({ place, onChange, error }: Props) {
  const { data } = useQuery(catalogues);
  const kinds = (data ?? []).flatMap(({ service, title, items }) => ({
    group: title,
    items: items.filter((kind) => method(kind, "get") && !ABOVE.includes(fullName(service, kind))).map((kind) => ({ value: fullName(service, kind), label: kind.title })),
  })).filter(({ items }) => items.length);
  const byName = (data ?? []).some(({ service, items }) => items.some((kind) => fullName(service, kind) === place.kind && method(kind, "list")?.query === "ResourceQuery"));
  const pick = (id: string) => onChange({ ...place, id });
  return (
    <Group align="flex-start" grow preventGrowOverflow={false}>
      <Select label={t("Where")} data={LEVELS} value={place.level} allowDeselect={false} onChange={(level) => onChange({ level: level as Level, id: level === "platform" ? "platform" : "", kind: "" })} />
      {place.level === "organization" && <Picker label={t("Organization")} required kinds={["admin.organization"]} value={place.id} onChange={pick} error={error} />}
      {place.level === "project" && <Picker label={t("Project")} required kinds={["admin.project"]} value={place.id} onChange={pick} error={error} />}
      {place.level === "item" && (
        <>
          <Select label={t("Kind")} required withAsterisk searchable data={kinds} value={place.kind || null} onChange={(kind) => onChange({ ...place, kind: kind ?? "", id: "" })} />
          {byName
            ? <Picker label={t("Item")} required kinds={[place.kind]} value={place.id} onChange={pick} error={error} />
            : <TextInput label={t("Item")} description={t("Its ID, such as the name of an asset")} withAsterisk value={place.id} onChange={(event) => pick(event.currentTarget.value)} error={error} spellCheck={false} />}
        </>
      )}
    </Group>
  );
}
