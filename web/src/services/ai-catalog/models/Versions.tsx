import { Badge, Group, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useLive } from "../../../api/live";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { aliasesOf, type ModelVersion, type RegisteredModel, type StageRequest, stageRequests } from "./models";
import { Checks } from "./ModelPage";

interface Props {
  model: RegisteredModel;
  versions: ModelVersion[];
  onDone: () => void;
}

/** All versions with their stages and aliases, and the requests to move one to a stage. */
export function Versions({ model, versions, onDone }: Props) {
  const requests = useQuery(stageRequests(model.id));
  // Another user decides about requests, and moves versions.
  useLive(["ai_catalog.model_version"], ["items", "ai-catalog", "stage-requests", model.id]);
  useLive(["ai_catalog.model_version"], ["items", "ai-catalog", "model-versions", model.id]);
  const done = () => {
    void requests.refetch();
    onDone();
  };
  const open = new Map(requests.data?.items.filter((one) => one.state === "OPEN").map((one) => [one.model_version_id, one]));
  return (
    <Stack gap="lg">
      <Table.ScrollContainer minWidth={720}>
        <Table verticalSpacing={6}>
          <Table.Thead>
            <Table.Tr><Table.Th>{t("Version")}</Table.Th><Table.Th>{t("Stage")}</Table.Th><Table.Th>{t("Checks")}</Table.Th><Table.Th>{t("Registered")}</Table.Th><Table.Th>{t("Actions")}</Table.Th></Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {versions.map((one) => {
              const request = open.get(one.id);
              const button = { service: "ai-catalog", plural: "model-versions", id: one.id, item: one, onDone: done, size: "compact-xs" } as const;
              return (
                <Table.Tr key={one.id}>
                  <Table.Td><Group gap={6}>{one.version}{aliasesOf(model, one.version).map((alias) => <Badge key={alias} variant="light" tt="none">{alias}</Badge>)}</Group></Table.Td>
                  <Table.Td>{one.stage === "NONE" ? <Text span c="dimmed">{t("None")}</Text> : one.stage.toLowerCase()}{request && <Text size="xs">{t("{requested_by} asks for {stage}", { requested_by: request.requested_by, stage: request.stage.toLowerCase() })}</Text>}</Table.Td>
                  <Table.Td><Checks checks={one.checks} /></Table.Td>
                  <Table.Td>{rich("{time} by {created_by}", { time: <Time value={one.created_at} />, created_by: one.created_by })}</Table.Td>
                  <Table.Td>
                    <Group gap={4}>
                      {request ? (
                        <>
                          <OperationButton {...button} verb="approve" />
                          <OperationButton {...button} verb="reject" />
                          <OperationButton {...button} verb="cancel-request" />
                        </>
                      ) : <OperationButton {...button} verb="request-stage" />}
                    </Group>
                  </Table.Td>
                </Table.Tr>
              );
            })}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <section aria-label={t("Stage requests")}>
        <Title order={2} mb="xs">{t("Stage requests")}</Title>
        <Text size="sm" c="dimmed" mb="xs">{policyOf(model)}</Text>
        {requests.error && <Trouble error={requests.error} retry={() => requests.refetch()} />}
        {requests.data?.items.length === 0 && <Text size="sm" c="dimmed">{t("Nobody has asked for a stage yet.")}</Text>}
        <Stack gap={4}>{requests.data?.items.map((one) => <Request key={one.id} request={one} />)}</Stack>
      </section>
    </Stack>
  );
}

function Request({ request }: { request: StageRequest }) {
  const approved = request.decisions.filter((one) => one.decision.startsWith("APPROVE")).length;
  return (
    <Text size="sm">
      {rich("Version {version}: {from_stage} → {stage}, {state} ({approved} of {approvals} approvals). Asked by {requested_by} {time}{comment}{decisions}", { version: request.version, from_stage: request.from_stage.toLowerCase(), stage: request.stage.toLowerCase(), state: <b>{request.state.toLowerCase()}</b>, approved, approvals: request.approvals, requested_by: request.requested_by, time: <Time value={request.requested_at} />, comment: request.comment && <>: {request.comment}</>, decisions: request.decisions.map((one) => <span key={one.decided_by + one.decided_at}>{" "}{one.decided_by}: {one.decision.toLowerCase()}{one.comment && ` (${one.comment})`}.</span>) })}
    </Text>
  );
}

/** What the policy of the model requires, in a sentence. */
function policyOf({ spec: { policy, required_evaluations } }: RegisteredModel): string {
  if (!policy.stages.length) return t("A version moves to any stage without an approval.");
  const stages = policy.stages.map((stage) => stage.toLowerCase()).join(", ");
  const own = policy.self_approval ? "" : t(" by somebody else");
  const evaluated = required_evaluations.length ? t(" and {count} passed evaluations", { count: required_evaluations.length }) : "";
  return t("For {stages}, a version needs {approvals} {approvals, plural, one {approval} other {approvals}}{own}{evaluated}.", { stages, approvals: policy.approvals, own, evaluated });
}
