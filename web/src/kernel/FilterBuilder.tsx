import { Autocomplete, Button, Group, NumberInput, Popover, Select, Stack, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ReferenceInput } from "../fields/ReferenceInput";
import { t } from "../language/text";
import { COMPARISON_WORDS, comparisons, condition, type FilterField, needsValue } from "./conditions";

/** Builds a condition from a field, a comparison, and a value. The field decides what can be compared and entered. */
export function FilterBuilder({ fields, onAdd }: { fields: FilterField[]; onAdd: (condition: string) => void }) {
  const [open, setOpen] = useState(false);
  const [name, setName] = useState(fields[0]?.name ?? "");
  const [chosen, setComparison] = useState("");
  const [text, setText] = useState("");
  const field = fields.find((one) => one.name === name);
  if (!field) return null;
  const possible = comparisons(field.type);
  const comparison = possible.includes(chosen) ? chosen : (possible[0] ?? "is");
  const complete = !needsValue(comparison) || text !== "";
  const add = (event: FormEvent) => {
    event.preventDefault();
    event.stopPropagation();
    if (!complete) return;
    onAdd(condition(field, comparison, text));
    setOpen(false);
    setText("");
  };
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-end" trapFocus width={300}>
      <Popover.Target>
        <Button variant="default" onClick={() => setOpen(!open)} aria-expanded={open}>{t("Add condition")}</Button>
      </Popover.Target>
      <Popover.Dropdown>
        <form onSubmit={add}>
          <Stack gap="xs">
            <Select
              label={t("Field")}
              data={fields.map((one) => ({ value: one.name, label: one.label }))}
              value={name}
              onChange={(value) => { setName(value ?? name); setText(""); }}
              comboboxProps={{ withinPortal: false }}
              searchable
              allowDeselect={false}
            />
            <Select label={t("Comparison")} data={possible.map((one) => ({ value: one, label: COMPARISON_WORDS[one] ?? one }))} value={comparison} onChange={(value) => setComparison(value ?? "")} comboboxProps={{ withinPortal: false }} allowDeselect={false} />
            {needsValue(comparison) && <ValueInput field={field} comparison={comparison} value={text} onChange={setText} />}
            <Group justify="flex-end">
              <Button size="xs" type="submit" disabled={!complete}>{t("Add")}</Button>
            </Group>
          </Stack>
        </form>
      </Popover.Dropdown>
    </Popover>
  );
}

interface ValueProps {
  field: FilterField;
  comparison: string;
  value: string;
  onChange: (value: string) => void;
}

function ValueInput({ field, comparison, value, onChange }: ValueProps) {
  const inside = { comboboxProps: { withinPortal: false } };
  switch (field.type) {
    case "choice":
      return <Select label={t("Value")} data={field.choices} value={value || null} onChange={(chosen) => onChange(chosen ?? "")} searchable {...inside} />;
    case "boolean":
      return <Select label={t("Value")} data={[{ value: "true", label: t("Yes") }, { value: "false", label: t("No") }]} value={value || null} onChange={(chosen) => onChange(chosen ?? "")} {...inside} />;
    case "reference":
      if (field.refersTo.includes("*")) break;
      return <ReferenceInput label={t("Value")} kinds={field.refersTo} value={value} onChange={onChange} {...inside} />;
    case "number":
      return <NumberInput label={t("Value")} value={value === "" ? "" : Number(value)} onChange={(entered) => onChange(String(entered))} />;
    case "time":
      return <TextInput label={t("Value")} type="datetime-local" value={value} onChange={(event) => onChange(event.currentTarget.value)} />;
    case "labels":
      return <Autocomplete label={t("Value")} placeholder={comparison === "has" ? t("key") : t("key = value")} data={[]} value={value} onChange={onChange} />;
  }
  return <TextInput label={t("Value")} value={value} onChange={(event) => onChange(event.currentTarget.value)} />;
}
