import { Alert, Button, Group, SimpleGrid, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { IdentityProvider, Preview } from "../../../api/generated/admin";
import { send } from "../../../api/http";
import { Reference } from "../../../fields/Reference";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../../../ui/Rows";
import { useRights } from "../../../kernel/useRights";
import { type Claimed, claimsOf, PATH } from "./provider";

const PREVIEW = "admin.identity_provider.preview";
const NOBODY: Claimed = { sub: "", name: "", email: "", groups: [], roles: [] };

/** What a login with some claims would do: which user, groups, and roles it gives. Nothing is changed. */
export function ClaimPreview({ provider }: { provider: IdentityProvider }) {
  const { groups_claim = "groups", roles_claim = "roles", groups = {}, roles = {} } = provider.spec;
  const right = useRights([PREVIEW], { id: provider.id, kind: "admin.identity_provider" })(PREVIEW);
  const [entered, setEntered] = useState(NOBODY);
  const preview = useMutation({
    mutationFn: async () => (await send<Preview>("POST", `${PATH}/${provider.id}:preview`, { body: { claims: claimsOf(entered, groups_claim, roles_claim) } })).body,
  });
  const change = (changed: Partial<Claimed>) => setEntered((before) => ({ ...before, ...changed }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    preview.mutate();
  };
  return (
    <Stack gap="lg">
      <form onSubmit={submit}>
        <Stack gap="sm" maw={860}>
          <SimpleGrid cols={{ base: 1, sm: 3 }}>
            <TextInput label={t("Subject")} description={t("The claim sub, by which the provider knows the user")} withAsterisk value={entered.sub} onChange={(event) => change({ sub: event.currentTarget.value })} spellCheck={false} />
            <TextInput label={t("User name")} description={t("The claim preferred_username")} value={entered.name} onChange={(event) => change({ name: event.currentTarget.value })} spellCheck={false} />
            <TextInput label={t("Mail address")} description={t("The claim email, verified")} value={entered.email} onChange={(event) => change({ email: event.currentTarget.value })} spellCheck={false} />
          </SimpleGrid>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TagsInput label={t("Groups")} description={t("The claim {groups_claim}", { groups_claim })} data={Object.keys(groups)} value={entered.groups} onChange={(chosen) => change({ groups: chosen })} />
            <TagsInput label={t("Roles")} description={t("The claim {roles_claim}", { roles_claim })} data={Object.keys(roles)} value={entered.roles} onChange={(chosen) => change({ roles: chosen })} />
          </SimpleGrid>
          <Group><Button type="submit" {...right} disabled={right.disabled || !entered.sub} loading={preview.isPending}>{t("Preview the login")}</Button></Group>
        </Stack>
      </form>
      {preview.error && <Trouble error={preview.error} />}
      {preview.data && <Outcome found={preview.data} />}
    </Stack>
  );
}

function Outcome({ found }: { found: Preview }) {
  if (found.refused) return <Alert variant="light" color="red" role="status" title={t("The login is refused")}>{found.refused}</Alert>;
  return (
    <>
      <Alert variant="light" color="teal" role="status" title={found.creates_user ? t("The login creates the user {name}", { name: found.name }) : t("The login finds its user")} />
      <Rows
        label={t("What the login gives")}
        columns={[t("What"), t("Value")]}
        rows={[
          { id: "user", cells: [t("User"), found.user_id ? <Reference key="user" id={found.user_id} kinds={["admin.user"]} compact /> : <Text key="user" size="sm" span>{t("{name} (new)", { name: found.name })}</Text>] },
          { id: "groups", cells: [t("Groups"), <References key="groups" ids={found.groups} kind="admin.group" />] },
          { id: "roles", cells: [t("Roles on the organization"), <References key="roles" ids={found.roles} kind="admin.role" />] },
        ]}
      />
    </>
  );
}

function References({ ids, kind }: { ids: string[]; kind: string }) {
  if (!ids.length) return <Text size="sm" span c="dimmed">{t("None")}</Text>;
  return <Group gap="xs">{ids.map((id) => <Reference key={id} id={id} kinds={[kind]} compact />)}</Group>;
}
