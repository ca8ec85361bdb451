import { Alert, Button, Code, Group, Kbd, NumberInput, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useRef, useState } from "react";
import { send } from "../../api/http";
import { Grid } from "../../ui/Grid";
import { Trouble } from "../../ui/Trouble";
import { assets } from "./assets";
import { SqlEditor } from "./SqlEditor";

interface Result {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  truncated: boolean;
  inputs: { asset: string; data_version: string; table_version: number }[];
}

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
      {result && <Grid key={took} label="Result" columns={result.columns.map(({ name, type }) => ({ name, note: type }))} rows={result.rows} />}
      {result && result.inputs.length > 0 && (
        <Text size="sm">
          Read: {result.inputs.map((one) => <Code key={one.asset} mr={8} title={one.data_version}>{one.asset}@{one.table_version}</Code>)}
        </Text>
      )}
    </Stack>
  );
}
