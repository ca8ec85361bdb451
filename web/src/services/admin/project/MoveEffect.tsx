import { Alert, List, SimpleGrid, Stack, Text } from "@mantine/core";
import { words } from "../../../api/schema";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Rows } from "../../../ui/Rows";
import { Section } from "../../../ui/Section";

interface OrganizationGrant {
  grant_id: string;
  principal_id: string;
  role: string | null;
  permission: string | null;
  effect: "ALLOW" | "DENY";
}

export interface MovePreview {
  movable: boolean;
  blockers: string[];
  resources: Record<string, number>;
  hidden: boolean;
  ending_grants: OrganizationGrant[];
  beginning_grants: OrganizationGrant[];
  lost_grants: { grant_id: string; principal_id: string; name: string; securable_id: string }[];
  lost_memberships: { group_id: string; group: string; member_id: string; name: string }[];
  disabled_webhooks: string[];
  blocked_definitions: string[];
  revoked_keys: { key_id: string; label: string; principal_id: string; name: string }[];
  names: Record<string, string>;
}

/** What a move changes, and for whom. */
export function MoveEffect({ preview, project, from, to }: { preview: MovePreview; project: string; from: string; to: string }) {
  const name = (id: string) => preview.names[id] ?? id;
  const resources = Object.entries(preview.resources);
  return (
    <Stack gap="lg">
      {preview.movable ? (
        <Alert color="teal" variant="light" role="status" title={t("{project} can move to {to}", { project, to })} />
      ) : (
        <Alert color="red" variant="light" role="status" title={t("{project} can't move to {to}", { project, to })}>
          <List size="sm">{preview.blockers.map((one) => <List.Item key={one}>{one}</List.Item>)}</List>
        </Alert>
      )}
      {preview.hidden && <Alert color="gray" variant="light">{t("The lists leave out what you can't see.")}</Alert>}
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <Section title={t("Who loses access")} note={t("Rights that hold because the project is in {from}.", { from })}>
          <Grants label={t("Who loses access")} grants={preview.ending_grants} name={name} empty={t("No grant on {from} that you can see applies to the project.", { from })} />
        </Section>
        <Section title={t("Who gains access")} note={t("Rights that hold on all projects of {to}.", { to })}>
          <Grants label={t("Who gains access")} grants={preview.beginning_grants} name={name} empty={t("No grant on {to} that you can see applies to the project.", { to })} />
        </Section>
      </SimpleGrid>
      <Section title={t("Grants that end")} note={t("Grants may not hold across organizations.")}>
        <Rows label={t("Grants that end")} empty={t("No grant ends.")} columns={[t("Who"), t("On")]} rows={preview.lost_grants.map((one) => ({ id: one.grant_id, cells: [one.name || name(one.principal_id), name(one.securable_id)] }))} />
      </Section>
      <Section title={t("Keys that are revoked")} note={t("{from} knows their secrets. Issue new keys after the move.", { from })}>
        <Rows label={t("Keys that are revoked")} empty={t("No key is revoked.")} columns={[t("Service account"), t("Key")]} rows={preview.revoked_keys.map((one) => ({ id: one.key_id, cells: [one.name, one.label] }))} />
      </Section>
      {preview.lost_memberships.length > 0 && (
        <Section title={t("Groups that service accounts leave")}>
          <Rows label={t("Groups that service accounts leave")} columns={[t("Service account"), t("Group")]} rows={preview.lost_memberships.map((one) => ({ id: `${one.group_id} ${one.member_id}`, cells: [one.name, one.group] }))} />
        </Section>
      )}
      {preview.disabled_webhooks.length > 0 && (
        <Section title={t("Webhooks that are disabled")}><Text size="sm">{preview.disabled_webhooks.map(name).join(", ")}</Text></Section>
      )}
      {preview.blocked_definitions.length > 0 && (
        <Section title={t("Definitions that stop")} note={t("They run again when a user of {to} publishes them.", { to })}><Text size="sm">{preview.blocked_definitions.join(", ")}</Text></Section>
      )}
      <Section title={t("What moves")}>
        <Rows label={t("What moves")} columns={[t("Kind"), t("Number")]} rows={resources.map(([kind, count]) => ({ id: kind, cells: [words(kind.split(".").at(-1) ?? kind), count] }))} />
      </Section>
    </Stack>
  );
}

function Grants({ label, grants, name, empty }: { label: string; grants: OrganizationGrant[]; name: (id: string) => string; empty: string }) {
  return (
    <Rows
      label={label}
      empty={empty}
      columns={[t("Who"), t("Role or permission"), t("Effect")]}
      rows={grants.map((one) => ({
        id: one.grant_id,
        cells: [name(one.principal_id), one.role ?? one.permission ?? t("A role that you can't see"), <State key="effect" color={one.effect === "DENY" ? "red" : "teal"}>{one.effect === "DENY" ? t("Denied") : t("Allowed")}</State>],
      }))}
    />
  );
}
