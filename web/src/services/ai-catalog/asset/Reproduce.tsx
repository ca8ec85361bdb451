import { Button, List, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { get, send } from "../../../api/http";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assetPath, partQuery, versionNumber } from "./asset";
import type { ReproducePlan as Plan, Reproduction } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";

const WORDS = { EQUAL: t("equal"), DIFFERENT: t("different"), NOT_REPRODUCIBLE: t("not reproducible") };
const FACTS: Record<string, string> = { code_version: t("The code"), git_sha: t("The commit"), env_digest: t("The installed packages") };

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
    <section aria-label={t("Reproduction")}>
      <Title order={2} mb={4}>{t("Make version {number} again", { number })}</Title>
      <Text size="sm" c="dimmed" mb="xs">{t("The platform repeats the step with the same inputs beside the asset, and compares both results. The asset doesn't change.")}</Text>
      <Stack gap="xs" align="flex-start">
        {!asked && <Button size="xs" variant="default" onClick={() => setAsked(true)}>{t("Check whether that is possible")}</Button>}
        {plan.error && <Trouble error={plan.error} retry={() => plan.refetch()} />}
        {plan.data && (
          <>
            <Text size="sm">{plan.data.possible ? t("It is possible, from {count} recorded inputs.", { count: Object.keys(plan.data.inputs).length }) : t("An equal result isn't possible:")}</Text>
            {plan.data.problems.length > 0 && <List size="sm">{plan.data.problems.map((one) => <List.Item key={one}>{one}</List.Item>)}</List>}
            {plan.data.differences.map((one) => <Text size="sm" key={one.name} title={`${one.recorded} → ${one.current}`}>{t("{FACTS} changed since.", { FACTS: FACTS[one.name] ?? one.name })}</Text>)}
            <Button size="xs" loading={start.isPending} disabled={!plan.data.possible} onClick={() => start.mutate()}>{t("Make it again and compare")}</Button>
          </>
        )}
        {start.error && <Trouble error={start.error} />}
        {made.error && <Trouble error={made.error} />}
        {items.length > 0 && (
          <List size="sm" listStyleType="none" spacing={4}>
            {items.map((one) => (
              <List.Item key={one.id}>
                <State mr={6} value={one.verdict ?? one.state}>{one.verdict ? WORDS[one.verdict] : undefined}</State>
                {rich("Version {version}, {time} for {created_by}{reason}{comparison}{only_recorded}", { version: versionNumber(one.version), time: <Time value={one.created_at} />, created_by: one.created_by, reason: one.reason && `: ${one.reason}`, comparison: one.comparison && t(". {reproduced_rows, number} of {recorded_rows, number} rows were made again", { reproduced_rows: one.comparison.reproduced_rows, recorded_rows: one.comparison.recorded_rows }), only_recorded: one.comparison?.only_recorded ? t(", {only_recorded, number} differ", { only_recorded: one.comparison.only_recorded }) : "" })}
              </List.Item>
            ))}
          </List>
        )}
      </Stack>
    </section>
  );
}
