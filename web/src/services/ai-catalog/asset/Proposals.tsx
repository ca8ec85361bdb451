import { Alert, Button, Card, Group, List, Modal, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { get } from "../../../api/http";
import { allowed, catalogues, kindOf, method, openApi, requestSchema } from "../../../api/platform";
import { OperationButton } from "../../../kernel/OperationButton";
import { RequestForm } from "../../../kernel/RequestForm";
import { PageLink } from "../../../ui/PageLink";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import type { Contract, ContractDiff } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";

const PATH = "/api/v1/ai-catalog/contracts";
const PROPOSE = "ai_catalog.contract.create";
const FIELDS = ["asset", "contact", "terms", "consumers", "teams"] as const;

/** The button that proposes the next version of a contract. Its form starts with the version before. */
export function ProposeButton({ before }: { before: Contract }) {
  const [open, setOpen] = useState(false);
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi("ai-catalog"));
  const { data: rights } = useQuery(allowed([PROPOSE], { id: before.asset, kind: "ai_catalog.asset" }));
  const queries = useQueryClient();
  const kind = found && kindOf(found, "ai-catalog", "contracts");
  const creating = kind && method(kind, "create");
  const schema = creating && document && requestSchema(document, creating);
  const permitted = rights?.has(PROPOSE) ?? false;
  const title = rights && !permitted ? t("You need the permission {PROPOSE}.", { PROPOSE }) : undefined;
  const done = () => {
    void queries.invalidateQueries({ queryKey: ["items", "ai-catalog", "contracts"] });
    setOpen(false);
  };
  return (
    <>
      <Button size="xs" variant="default" disabled={!permitted || !schema} title={title} onClick={() => setOpen(true)}>{t("Propose a version")}</Button>
      <Modal opened={open} onClose={() => setOpen(false)} title={t("Propose the next version of the contract of {asset}", { asset: before.asset })} size="xl">
        {creating && schema && document && (
          <RequestForm
            method={creating.method}
            path={creating.path}
            schema={schema}
            schemas={document.components.schemas}
            initial={Object.fromEntries(FIELDS.map((name) => [name, before[name]]))}
            submit={t("Propose")}
            onDone={done}
            onCancel={() => setOpen(false)}
          />
        )}
      </Modal>
    </>
  );
}

/** The proposed versions of a contract: what each changes, and whose consent it needs. */
export function Proposals({ drafts }: { drafts: Contract[] }) {
  if (!drafts.length) return null;
  return (
    <section aria-label={t("Proposals")}>
      <Title order={2} mb={4}>{t("Proposals")}</Title>
      <Stack gap="sm">{drafts.map((one) => <Proposal key={one.id} draft={one} />)}</Stack>
    </section>
  );
}

function Proposal({ draft }: { draft: Contract }) {
  const queries = useQueryClient();
  const diff = useQuery({ queryKey: ["part", `${PATH}/${draft.id}`, "diff", draft.consents], queryFn: ({ signal }) => get<ContractDiff>(`${PATH}/${draft.id}/diff`, { signal }), retry: false });
  const button = {
    service: "ai-catalog",
    plural: "contracts",
    id: draft.id,
    item: { ...draft },
    size: "compact-sm",
    onDone: () => void queries.invalidateQueries({ queryKey: ["items", "ai-catalog", "contracts"] }),
  } as const;
  const { breaking = [], compatible = [], awaited = [], awaited_teams: teams = [], hidden = 0 } = diff.data ?? {};
  const count = awaited.length + teams.length + hidden;
  return (
    <Card withBorder padding="sm" component="article" aria-label={t("Version {version}", { version: draft.version })}>
      <Stack gap="xs">
        <Group justify="space-between">
          <Text size="sm">{rich("<link>Version {version}</link>, proposed by {created_by} {time}", { link: (inside) => <PageLink to={`/ai-catalog/contracts/${draft.id}`} size="sm" underline="always">{inside}</PageLink>, version: draft.version, created_by: draft.created_by, time: <Time value={draft.created_at} /> })}</Text>
          <Group gap={4}>
            <OperationButton {...button} verb="activate" text={t("Activate")} />
            <OperationButton {...button} verb="delete" text={t("Withdraw")} />
          </Group>
        </Group>
        {diff.error && <Trouble error={diff.error} retry={() => diff.refetch()} />}
        {breaking.length > 0 && (
          <Alert color="orange" variant="light" title={t("It breaks the present promise")}>
            <List size="sm">{breaking.map((one) => <List.Item key={one}>{one}</List.Item>)}</List>
          </Alert>
        )}
        {compatible.length > 0 && <List size="sm">{compatible.map((one) => <List.Item key={one}>{one}</List.Item>)}</List>}
        {Object.keys(draft.consents).map((one) => <Text key={one} size="sm"><State value="APPROVED" mr={6}>{t("Consented")}</State>{one}</Text>)}
        {count > 0 && <Text size="sm">{t("{count, plural, one {One consumer has} other {{count} consumers have}} not consented yet{hidden}.", { count, hidden: hidden > 0 && t(", {hidden} of which you can't see", { hidden }) })}</Text>}
        {awaited.map((one) => <Awaited key={one} name={one}><OperationButton {...button} verb="consent" text={t("Consent for {one}", { one })} initial={{ asset: one }} /></Awaited>)}
        {teams.map((one) => <Awaited key={one} name={t("the group {one}", { one })}><OperationButton {...button} verb="consent" text={t("Consent for {one}", { one })} initial={{ team: one }} /></Awaited>)}
      </Stack>
    </Card>
  );
}

function Awaited({ name, children }: { name: string; children: React.ReactNode }) {
  return <Group gap="xs"><State value="PENDING">{t("Awaited")}</State><Text size="sm">{name}</Text>{children}</Group>;
}
