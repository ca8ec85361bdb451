import { ActionIcon, Button, Fieldset, Group, Stack, Text, TextInput } from "@mantine/core";
import { t } from "../../../language/text";
import { Picker } from "../../../fields/Picker";

/** A name in a claim, and the id that it stands for. Rows that are being filled in are no entries yet. */
export type MappingRow = [name: string, id: string];

interface Props {
  legend: string;
  note: string;
  kinds: string[];
  only?: string;
  rows: MappingRow[];
  onChange: (rows: MappingRow[]) => void;
  errors: Record<string, string>;
}

/** Names in a claim, each with what it gives on this platform. */
export function Mapping({ legend, note, kinds, only, rows, onChange, errors }: Props) {
  const put = (position: number, row: MappingRow) => onChange(rows.map((one, number) => (number === position ? row : one)));
  return (
    <Fieldset legend={legend}>
      <Stack gap="xs">
        <Text size="sm" c="dimmed">{note}</Text>
        {rows.map(([name, id], position) => (
          <Group key={position} gap="xs" align="flex-end" wrap="nowrap">
            <TextInput label={t("Name in the claim")} value={name} onChange={(event) => put(position, [event.currentTarget.value, id])} spellCheck={false} flex={1} />
            <Picker label={t("Gives")} kinds={kinds} only={only} required value={id} onChange={(chosen) => put(position, [name, chosen])} error={errors[name]} />
            <ActionIcon variant="subtle" color="gray" size="lg" aria-label={t("Remove {name}", { name: name || t("this row") })} onClick={() => onChange(rows.filter((_, number) => number !== position))}>×</ActionIcon>
          </Group>
        ))}
        <Group><Button size="xs" variant="default" onClick={() => onChange([...rows, ["", ""]])}>{t("Add a name")}</Button></Group>
      </Stack>
    </Fieldset>
  );
}
