import { Stack, Switch, Table, Text } from "@mantine/core";
import { useState } from "react";
import { t } from "../../../language/text";
import { type Measured, short } from "./models";

export interface ComparedValue {
  key: string;
  differs: boolean;
  values: (Measured | string | null)[];
}

interface Props {
  label: string;
  heads: string[];
  rows: ComparedValue[];
}

/** Values of several runs or versions side by side. Those that differ are marked, and come alone if that is asked for. */
export function ComparedTable({ label, heads, rows }: Props) {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.filter((one) => one.differs);
  const equal = rows.length - rows.filter((one) => one.differs).length;
  return (
    <Stack gap="xs">
      {equal > 0 && <Switch size="xs" label={t("Show the {equal} that are equal", { equal })} checked={all} onChange={(event) => setAll(event.currentTarget.checked)} />}
      {!shown.length && <Text size="sm" c="dimmed">{rows.length ? t("They are all equal.") : t("There are none.")}</Text>}
      {shown.length > 0 && (
        <Table.ScrollContainer minWidth={480}>
          <Table verticalSpacing={4} aria-label={label}>
            <Table.Thead><Table.Tr><Table.Th>{t("Name")}</Table.Th>{heads.map((head, number) => <Table.Th key={`${number}${head}`}>{head}</Table.Th>)}</Table.Tr></Table.Thead>
            <Table.Tbody>
              {shown.map((row) => (
                <Table.Tr key={row.key}>
                  <Table.Td>{row.key}</Table.Td>
                  {row.values.map((value, number) => (
                    <Table.Td key={heads[number] ?? number} fw={row.differs ? 600 : undefined} style={{ fontVariantNumeric: "tabular-nums", overflowWrap: "anywhere" }}>
                      {value === null ? <Text span c="dimmed">–</Text> : typeof value === "number" ? short(value) : value}
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Stack>
  );
}
