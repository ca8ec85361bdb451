import { Alert, Button, Code, Group, Kbd, NumberInput, Stack, Table, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef, useState } from "react";
import { send } from "../../api/http";
import { Trouble } from "../../ui/Trouble";
import { assets } from "./assets";
import { SqlEditor } from "./SqlEditor";

interface Result {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  truncated: boolean;
  inputs: { asset: string; data_version: string; table_version: number }[];
}

const ROW = 30;

/** SQL over the lakehouse. The statement is in the address, and the result names the versions that it read. */
export function QueryPage() {
  const search = useSearch({ from: "/query" });
  const navigate = useNavigate({ from: "/query" });
  const { data: known } = useQuery(assets);
  const [sql, setSql] = useState(search.sql ?? "");
  const [limit, setLimit] = useState(1000);
  const started = useRef(0);
  const [took, setTook] = useState(0);
  const statement = useMutation({
    mutationFn: async (text: string) => {
      started.current = performance.now();
      void navigate({ search: { sql: text }, replace: true });
      return (await send<Result>("POST", "/api/v1/ai-catalog/queries:run", { body: { sql: text, limit } })).body;
    },
    onSettled: () => setTook(performance.now() - started.current),
  });
  const run = () => sql.trim() && statement.mutate(sql);
  const result = statement.data;
  return (
    <Stack gap="sm">
      <Title order={1}>Query</Title>
      <SqlEditor value={sql} onChange={setSql} onRun={run} tables={[...(known?.keys() ?? [])]} />
      <Group>
        <Button onClick={run} loading={statement.isPending} disabled={!sql.trim()}>Run <Kbd ml={8} size="xs">Ctrl Enter</Kbd></Button>
        <NumberInput aria-label="Maximum number of rows" value={limit} min={1} max={100_000} w={120} onChange={(value) => setLimit(Number(value) || 1000)} suffix=" rows" />
        {result && !statement.isPending && (
          <Text size="sm" c="dimmed">
            {result.rows.length.toLocaleString()} rows in {Math.round(took).toLocaleString()} ms
          </Text>
        )}
      </Group>
      {statement.error && <Trouble error={statement.error} />}
      {result?.truncated && <Alert color="gray" variant="light">There are more rows. Raise the maximum, or add a condition.</Alert>}
      {result && <Grid key={took} result={result} />}
      {result && result.inputs.length > 0 && (
        <Text size="sm">
          Read: {result.inputs.map((one) => <Code key={one.asset} mr={8} title={one.data_version}>{one.asset}@{one.table_version}</Code>)}
        </Text>
      )}
    </Stack>
  );
}

/** A table of which only the rows on the screen are drawn. */
function Grid({ result }: { result: Result }) {
  const box = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: result.rows.length, getScrollElement: () => box.current, estimateSize: () => ROW, overscan: 10 });
  const items = rows.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = rows.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    <div ref={box} style={{ maxHeight: "60dvh", overflow: "auto" }} tabIndex={0} role="region" aria-label="Result">
      <Table stickyHeader striped withColumnBorders verticalSpacing={2} aria-rowcount={result.rows.length}>
        <Table.Thead>
          <Table.Tr>
            {result.columns.map((column) => (
              <Table.Th key={column.name} style={{ whiteSpace: "nowrap" }}>{column.name} <Text span size="xs" c="dimmed" fw={400}>{column.type}</Text></Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {before > 0 && <tr style={{ height: before }} />}
          {items.map((item) => (
            <Table.Tr key={item.key} style={{ height: ROW }}>
              {result.rows[item.index]?.map((value, number) => (
                <Table.Td key={result.columns[number]?.name ?? number} ta={typeof value === "number" ? "right" : undefined} style={{ whiteSpace: "nowrap", fontVariantNumeric: "tabular-nums" }}>
                  {value === null ? <Text span c="dimmed">null</Text> : typeof value === "object" ? JSON.stringify(value) : String(value)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
          {after > 0 && <tr style={{ height: after }} />}
        </Table.Tbody>
      </Table>
    </div>
  );
}
