import { Alert, Button, Code, Group, Text } from "@mantine/core";
import { type QueryFilters, useQueryClient } from "@tanstack/react-query";
import { Problem } from "../api/http";
import { rich, t } from "../language/text";

const TITLES: Record<number, string> = {
  0: t("The platform doesn't respond"),
  403: t("You don't have this permission"),
  404: t("There is nothing here that you can see"),
};

/** An error with its reason, the id of its request, and a way out. What a page reads can be read again. */
export function Trouble({ error, retry }: { error: unknown; retry?: () => void }) {
  const queries = useQueryClient();
  const failed: QueryFilters = { type: "active", predicate: (query) => error !== null && query.state.error === error };
  const again = retry ?? (queries.getQueryCache().findAll(failed).length ? () => void queries.refetchQueries(failed) : undefined);
  const problem = error instanceof Problem ? error : null;
  const status = problem?.status ?? 0;
  const title = TITLES[status] ?? t("The request failed");
  const detail = problem ? problem.message : t("Check your connection to the platform, and whether the platform runs.");
  return (
    <Alert color={status === 404 ? "gray" : "red"} title={title} role="alert" variant="light">
      <Text size="sm">{detail}</Text>
      {problem?.requestId && (
        <Text size="xs" mt={4}>
          {rich("Request {requestId}", { requestId: <Code>{problem.requestId}</Code> })}
        </Text>
      )}
      {again && status !== 404 && (
        <Group mt="sm">
          <Button size="xs" variant="default" onClick={again}>
            {t("Try again")}
          </Button>
        </Group>
      )}
    </Alert>
  );
}
