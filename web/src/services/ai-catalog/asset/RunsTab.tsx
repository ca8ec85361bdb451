import { Badge, Button, Group, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { stateColor } from "../../../fields/Value";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { RunLink } from "./AssetLink";

interface Operation {
  id: string;
  action: string;
  state: string;
  assets: string[];
  partitions: string[];
  runs: string[];
  error: string | null;
  created_by: string;
  created_at: string;
  finished_at: string | null;
}

const ROUTE = "/ai-catalog/assets/$id" as const;

/** What people and programs started for an asset, newest first, with why it failed. */
export function RunsTab({ id }: { id: string }) {
  const navigate = useNavigate({ from: ROUTE });
  const operations = useInfiniteQuery({
    queryKey: ["operations", id],
    queryFn: ({ pageParam, signal }) => get<{ items: Operation[]; next_page_token: string | null }>("/api/v1/operations", { query: { filter: `subject == ${JSON.stringify(id)}`, page_size: 50, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
    refetchInterval: 5_000,
  });
  const items = operations.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Stack gap="sm">
      {operations.error && <Trouble error={operations.error} retry={() => void operations.refetch()} />}
      {operations.isPending && <Skeleton h={120} />}
      {operations.data && !items.length && <Text c="dimmed">Nobody has started a run of this asset that you can see.</Text>}
      {items.length > 0 && (
        <Table.ScrollContainer minWidth={560} type="native">
          <Table verticalSpacing={4} aria-label="Runs">
            <Table.Thead><Table.Tr><Table.Th>State</Table.Th><Table.Th>Started</Table.Th><Table.Th>By</Table.Th><Table.Th>What</Table.Th><Table.Th>Runs</Table.Th><Table.Th /></Table.Tr></Table.Thead>
            <Table.Tbody>
              {items.map((one) => (
                <Table.Tr key={one.id}>
                  <Table.Td><Badge variant="light" tt="none" miw={84} color={stateColor(one.state)}>{one.state.toLowerCase()}</Badge></Table.Td>
                  <Table.Td style={{ whiteSpace: "nowrap" }}><Time value={one.created_at} /></Table.Td>
                  <Table.Td>{one.created_by}</Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>
                    {one.action.endsWith(".reproduce") ? "Reproduction" : one.assets.length > 1 ? `${one.assets.length} assets` : one.partitions.length ? `${one.partitions.length} partitions` : "This asset"}
                    {one.error && <Text size="sm" c="var(--mantine-color-error)">{one.error}</Text>}
                  </Table.Td>
                  <Table.Td>{one.runs.slice(0, 3).map((run) => <span key={run}><RunLink id={run} /> </span>)}</Table.Td>
                  <Table.Td><Button size="compact-xs" variant="subtle" onClick={() => void navigate({ search: (before) => ({ ...before, operation: one.id }) })}>Progress and log</Button></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {operations.hasNextPage && <Group><Button size="xs" variant="default" onClick={() => operations.fetchNextPage()}>Show earlier ones</Button></Group>}
    </Stack>
  );
}
