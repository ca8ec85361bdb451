import { Code, Stack, Text, Timeline } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { get } from "../api/http";
import { Time } from "../ui/Time";
import { Trouble } from "../ui/Trouble";
import { line, type Revision } from "./changes";

/** The revisions of an item, newest first, each with who made it and what it changed. */
export function History({ path }: { path: string }) {
  const revisions = useQuery({
    queryKey: ["revisions", path],
    queryFn: ({ signal }) => get<{ items: Revision[] }>(path, { query: { page_size: 50 }, signal }),
    retry: false,
  });
  if (revisions.error) return <Trouble error={revisions.error} retry={() => revisions.refetch()} />;
  return (
    <Timeline bulletSize={12} lineWidth={2}>
      {(revisions.data?.items ?? []).map((one) => (
        <Timeline.Item key={one.version} title={`Version ${one.version}`}>
          <Stack gap={4}>
            <Text size="xs" c="dimmed">
              {one.by}: {one.action}, <Time value={one.at} />
            </Text>
            {one.changes.map((change) => (
              <Code key={change.pointer}>{line(change)}</Code>
            ))}
          </Stack>
        </Timeline.Item>
      ))}
    </Timeline>
  );
}
