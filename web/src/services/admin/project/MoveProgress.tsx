import { Alert, Anchor, Group, Loader, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { many } from "../../../ui/quantities";

interface Operation {
  state: string;
  error: string | null;
  result: { resources?: number; revoked_grants?: string[]; revoked_keys?: string[] } | null;
}

const RUNNING = ["PENDING", "RUNNING", "CANCELING"];

/** A move until its end, and what it did. */
export function MoveProgress({ id, project }: { id: string; project: string }) {
  const operation = useQuery({
    queryKey: ["operation", id],
    queryFn: ({ signal }) => get<Operation>(`/api/v1/operations/${encodeURIComponent(id)}`, { signal }),
    refetchInterval: ({ state }) => (state.data && !RUNNING.includes(state.data.state) ? false : 1000),
    retry: false,
  });
  if (operation.error) return <Trouble error={operation.error} retry={() => operation.refetch()} />;
  if (!operation.data || RUNNING.includes(operation.data.state)) {
    return <Group role="status"><Loader size="sm" /><Text size="sm">{t("The project is being moved. The move waits until nothing runs in it.")}</Text></Group>;
  }
  const { state, error, result } = operation.data;
  const moved = state === "SUCCEEDED";
  return (
    <Alert role="status" variant="light" color={moved ? "teal" : "red"} title={moved ? t("The project has moved") : t("The project has not moved")}>
      <Text size="sm">
        {moved ? t("{resources} in the other organization now. {count}, and {count2} revoked.", { resources: many(result?.resources ?? 0, t("resource is"), t("resources are")), count: many(result?.revoked_grants?.length ?? 0, t("grant has ended"), t("grants have ended")), count2: many(result?.revoked_keys?.length ?? 0, t("key is"), t("keys are")) }) : t("{error} Everything is as before.", { error: error ?? t("The operation is {state}.", { state: state.toLowerCase() }) })}
      </Text>
      <Anchor component={Link} to={`/admin/projects/${encodeURIComponent(project)}`} size="sm">{t("Open the project")}</Anchor>
    </Alert>
  );
}
