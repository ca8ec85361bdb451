import { Table, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { t } from "../language/text";

export interface Row {
  id: string;
  cells: (ReactNode | null)[];
}

interface Props {
  /** Name of the table for screen readers. */
  label: string;
  columns: string[];
  rows: Row[];
  /** What to say without rows. */
  empty?: string;
}

/** A short table. Numbers are at the right. */
export function Rows({ label, columns, rows, empty = t("There are none.") }: Props) {
  if (!rows.length) return <Text size="sm" c="dimmed">{empty}</Text>;
  const numeric = columns.map((_, column) => rows.every(({ cells }) => typeof cells[column] === "number"));
  return (
    <Table.ScrollContainer minWidth={Math.min(120 * columns.length, 720)} scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": label } }}>
      <Table verticalSpacing={4} aria-label={label}>
        <Table.Thead>
          <Table.Tr>{columns.map((name, column) => <Table.Th key={name} ta={numeric[column] ? "right" : undefined}>{name}</Table.Th>)}</Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {rows.map(({ id, cells }) => (
            <Table.Tr key={id}>
              {cells.map((cell, column) => (
                <Table.Td key={columns[column]} ta={numeric[column] ? "right" : undefined} style={numeric[column] ? { fontVariantNumeric: "tabular-nums" } : { overflowWrap: "break-word" }}>
                  {cell === null || cell === undefined || cell === "" ? <Text span c="dimmed">–</Text> : typeof cell === "number" ? cell.toLocaleString() : cell}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
