import { Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { ConnectionTestResult, StoredTests } from "../../api/generated/connections";
import { get, send } from "../../api/http";
import { useRights } from "../../kernel/useRights";
import { t } from "../../language/text";
import { Rows } from "../../ui/Rows";
import { Section } from "../../ui/Section";
import { State } from "../../ui/State";
import { Time } from "../../ui/Time";
import { Trouble } from "../../ui/Trouble";
import { PATH } from "./connections";
import { Steps } from "./Steps";

const TEST = "connections.connection.test";

/** Whether a connection works now, and whether it did. */
export function TestTab({ id }: { id: string }) {
  const queries = useQueryClient();
  const key = ["part", `${PATH}/${id}/tests`];
  const former = useQuery({ queryKey: key, queryFn: ({ signal }) => get<StoredTests>(`${PATH}/${id}/tests`, { signal }), retry: false });
  const right = useRights([TEST], { id, kind: "connections.connection" })(TEST);
  const test = useMutation({
    mutationFn: async () => (await send<ConnectionTestResult>("POST", `${PATH}/${id}:test`, { body: {} })).body,
    onSettled: () => queries.invalidateQueries({ queryKey: key }),
  });
  const steps = test.data?.steps ?? former.data?.items[0]?.steps;
  return (
    <Stack gap="lg">
      <Section title={test.data ? t("This test") : t("Last test")}>
        <Stack gap="sm">
          <Group><Button {...right} loading={test.isPending} onClick={() => test.mutate()}>{steps ? t("Test again") : t("Test")}</Button></Group>
          {test.error && <Trouble error={test.error} retry={() => test.mutate()} />}
          {former.error && <Trouble error={former.error} retry={() => former.refetch()} />}
          {steps ? <Steps steps={steps} /> : former.data && <Text size="sm" c="dimmed">{t("The connection was not tested yet.")}</Text>}
        </Stack>
      </Section>
      {former.data && former.data.items.length > 0 && (
        <Section title={t("Former tests")}>
          <Rows
            label={t("Former tests")}
            columns={[t("Time"), t("Outcome"), t("By"), t("Details")]}
            rows={former.data.items.map((one) => ({
              id: one.id,
              cells: [
                <Time key="time" value={one.at} />,
                <State key="outcome" color={one.passed ? "teal" : "red"}>{one.passed ? t("Passed") : t("Failed")}</State>,
                one.by,
                one.steps.find((step) => step.state === "FAILED")?.detail ?? null,
              ],
            }))}
          />
        </Section>
      )}
    </Stack>
  );
}
