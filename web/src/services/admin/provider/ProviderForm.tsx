import { Button, Group, PasswordInput, Stack, Switch, TagsInput, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { IdentityProvider, UserInfo } from "../../../api/generated/admin";
import { Problem, send } from "../../../api/http";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { Picker } from "../../../fields/Picker";
import { Mapping, type MappingRow } from "./Mapping";
import { PATH } from "./provider";

interface Props {
  /** The provider to change. Without one, the form registers a new one. */
  provider?: IdentityProvider;
  etag?: string;
  onDone: (provider: IdentityProvider) => void;
  onCancel: () => void;
}

/** Registers an identity provider, or changes one. */
export function ProviderForm({ provider, etag, onDone, onCancel }: Props) {
  const queries = useQueryClient();
  const { data: me } = useQuery({ queryKey: ["userinfo"], queryFn: async ({ signal }) => (await send<UserInfo>("POST", "/api/v1/admin/sessions:userinfo", { body: {}, signal })).body });
  const spec = provider?.spec;
  const [name, setName] = useState(provider?.name ?? "");
  const [chosen, setOrganization] = useState<string | null>(provider?.organization_id ?? null);
  const [values, setValues] = useState({
    title: spec?.title ?? "",
    issuer: spec?.issuer ?? "",
    client_id: spec?.client_id ?? "",
    groups_claim: spec?.groups_claim ?? "groups",
    roles_claim: spec?.roles_claim ?? "roles",
    domains: spec?.domains ?? [],
    just_in_time: spec?.just_in_time ?? false,
  });
  const [groups, setGroups] = useState<MappingRow[]>(() => Object.entries(spec?.groups ?? {}));
  const [roles, setRoles] = useState<MappingRow[]>(() => Object.entries(spec?.roles ?? {}));
  const [secret, setSecret] = useState("");
  const organization = chosen ?? me?.organization_id ?? "";
  const save = useMutation({
    mutationFn: async () => {
      const body = { ...values, groups: Object.fromEntries(filled(groups)), roles: Object.fromEntries(filled(roles)) };
      if (!provider) return (await send<IdentityProvider>("POST", PATH, { body: { name, organization_id: organization, spec: body } })).body;
      // A merge patch: what no longer is in a mapping is removed from it.
      const patch = { ...body, groups: { ...cleared(spec?.groups), ...body.groups }, roles: { ...cleared(spec?.roles), ...body.roles } };
      return (await send<IdentityProvider>("PATCH", `${PATH}/${provider.id}`, { body: { spec: patch }, etag })).body;
    },
    onSuccess: async (saved) => {
      // The provider is stored already. A secret that is refused is set again on its page.
      if (secret) await send("POST", `${PATH}/${saved.id}:set-client-secret`, { body: { client_secret: secret } }).catch(() => {});
      void queries.invalidateQueries({ queryKey: ["items", "admin", "identity-providers"] });
      void queries.invalidateQueries({ queryKey: ["item", "admin", "identity-providers"] });
      onDone(saved);
    },
  });
  const faults = save.error instanceof Problem ? save.error.faults : [];
  const fault = (pointer: string) => faults.find((one) => one.pointer === pointer)?.detail;
  const under = (pointer: string) => Object.fromEntries(faults.filter((one) => one.pointer.startsWith(`${pointer}/`)).map((one) => [one.pointer.slice(pointer.length + 1).replaceAll("~1", "/").replaceAll("~0", "~"), one.detail]));
  const change = (changed: Partial<typeof values>) => setValues((before) => ({ ...before, ...changed }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack gap="md" maw={860}>
        {!provider && (
          <>
            <TextInput label={t("Name")} description={t("Users enter it on the login page, such as acme")} withAsterisk value={name} onChange={(event) => setName(event.currentTarget.value)} error={fault("/name")} spellCheck={false} data-autofocus />
            <Picker label={t("Organization")} description={t("Whose users log in with it")} required kinds={["admin.organization"]} value={organization} onChange={setOrganization} error={fault("/organization_id")} />
          </>
        )}
        <TextInput label={t("Title")} withAsterisk value={values.title} onChange={(event) => change({ title: event.currentTarget.value })} error={fault("/spec/title")} />
        <TextInput label={t("Issuer")} description={t("The URL of the provider, exactly as in its tokens")} placeholder="https://login.example.org" withAsterisk value={values.issuer} onChange={(event) => change({ issuer: event.currentTarget.value })} error={fault("/spec/issuer")} spellCheck={false} />
        <TextInput label={t("Client ID")} description={t("Under which this platform is registered at the provider")} withAsterisk value={values.client_id} onChange={(event) => change({ client_id: event.currentTarget.value })} error={fault("/spec/client_id")} spellCheck={false} />
        {!provider && <PasswordInput label={t("Client secret")} description={t("It is stored encrypted and never shown")} value={secret} onChange={(event) => setSecret(event.currentTarget.value)} autoComplete="off" />}
        <TagsInput label={t("Mail domains")} description={t("Whose users can log in. Empty: all")} value={values.domains} onChange={(domains) => change({ domains })} error={fault("/spec/domains")} />
        <Switch label={t("Create users at their first login")} description={t("Otherwise, only users whom you created log in")} checked={values.just_in_time} onChange={(event) => change({ just_in_time: event.currentTarget.checked })} />
        <TextInput label={t("Claim with the groups")} description="a.b is the field b of the claim a" value={values.groups_claim} onChange={(event) => change({ groups_claim: event.currentTarget.value })} spellCheck={false} />
        <Mapping legend={t("Groups")} note={t("Each login updates the memberships of the user in these groups. They need claims as the source of their members.")} kinds={["admin.group"]} only={`spec.source == "CLAIM"${organization ? ` && organization_id == ${JSON.stringify(organization)}` : ""}`} rows={groups} onChange={setGroups} errors={under("/spec/groups")} />
        <TextInput label={t("Claim with the roles")} value={values.roles_claim} onChange={(event) => change({ roles_claim: event.currentTarget.value })} spellCheck={false} />
        <Mapping legend={t("Roles")} note={t("Each login updates the roles of the user on the organization.")} kinds={["admin.role"]} rows={roles} onChange={setRoles} errors={under("/spec/roles")} />
        {save.error && <Trouble error={save.error} />}
        <Group>
          <Button type="submit" loading={save.isPending} disabled={!values.title || !values.issuer || !values.client_id || (!provider && !name)}>{provider ? t("Save") : t("Register")}</Button>
          <Button variant="default" onClick={onCancel}>{t("Cancel")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function filled(rows: MappingRow[]): MappingRow[] {
  return rows.filter(([name, id]) => name && id);
}

function cleared(before: Record<string, string> = {}): Record<string, null> {
  return Object.fromEntries(Object.keys(before).map((name) => [name, null]));
}
