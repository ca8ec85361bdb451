import { Button, List, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { get, send } from "../../../api/http";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assetPath, partQuery, versionNumber } from "./asset";
import type { ReproducePlan as Plan, Reproduction } from "../../../api/generated/ai-catalog";
import { State } from "../../../ui/State";

const WORDS = { EQUAL: "equal", DIFFERENT: "different", NOT_REPRODUCIBLE: "not reproducible" };
const FACTS: Record<string, string> = { code_version: "The code", git_sha: "The commit", env_digest: "The installed packages" };

/** Makes a version again from its recorded inputs, and says whether the rows are the same. */
export function Reproduce({ id, version, number }: { id: string; version: string; number: string }) {
  const [asked, setAsked] = useState(false);
  const plan = useQuery(partQuery<Plan>(id, "reproduce-plan", { version }, asked));
  const made = useQuery({
    queryKey: ["items", "ai-catalog", "reproductions", id],
    queryFn: ({ signal }) => get<{ items: Reproduction[] }>("/api/v1/ai-catalog/reproductions", { query: { filter: `asset == ${JSON.stringify(id)}`, page_size: 20 }, signal }),
    retry: false,
    refetchInterval: (query) => (query.state.data?.items.some((one) => !one.verdict && !["FAILED", "CANCELED"].includes(one.state)) ? 2_000 : false),
  });
  const start = useMutation({
    mutationFn: () => send("POST", assetPath(id, ":reproduce"), { body: { version } }),
    onSuccess: () => made.refetch(),
  });
  const items = made.data?.items ?? [];
  return (
    <section aria-label="Reproduction">
      <Title order={2} mb={4}>Make version {number} again</Title>
      <Text size="sm" c="dimmed" mb="xs">The platform repeats the step with the same inputs beside the asset, and compares both results. The asset doesn't change.</Text>
      <Stack gap="xs" align="flex-start">
        {!asked && <Button size="xs" variant="default" onClick={() => setAsked(true)}>Check whether that is possible</Button>}
        {plan.error && <Trouble error={plan.error} retry={() => plan.refetch()} />}
        {plan.data && (
          <>
            <Text size="sm">{plan.data.possible ? `It is possible, from ${Object.keys(plan.data.inputs).length} recorded inputs.` : "An equal result isn't possible:"}</Text>
            {plan.data.problems.length > 0 && <List size="sm">{plan.data.problems.map((one) => <List.Item key={one}>{one}</List.Item>)}</List>}
            {plan.data.differences.map((one) => <Text size="sm" key={one.name} title={`${one.recorded} → ${one.current}`}>{FACTS[one.name] ?? one.name} changed since.</Text>)}
            <Button size="xs" loading={start.isPending} disabled={!plan.data.possible} onClick={() => start.mutate()}>Make it again and compare</Button>
          </>
        )}
        {start.error && <Trouble error={start.error} />}
        {made.error && <Trouble error={made.error} />}
        {items.length > 0 && (
          <List size="sm" listStyleType="none" spacing={4}>
            {items.map((one) => (
              <List.Item key={one.id}>
                <State mr={6} value={one.verdict ?? one.state}>{one.verdict ? WORDS[one.verdict] : undefined}</State>
                Version {versionNumber(one.version)}, <Time value={one.created_at} /> for {one.created_by}{one.reason && `: ${one.reason}`}
                {one.comparison && `. ${one.comparison.reproduced_rows.toLocaleString()} of ${one.comparison.recorded_rows.toLocaleString()} rows were made again`}{one.comparison?.only_recorded ? `, ${one.comparison.only_recorded.toLocaleString()} differ` : ""}
              </List.Item>
            ))}
          </List>
        )}
      </Stack>
    </section>
  );
}
