import { Alert, Autocomplete, Button, Group, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { get, send } from "../../../api/http";
import { ReferenceInput } from "../../../fields/ReferenceInput";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { AccessPath } from "./AccessPath";
import { type Explanation, sentence } from "./explanation";

export interface Question {
  principal?: string;
  permission?: string;
  on?: string;
  kind?: string;
  as_of?: string;
}

interface Permissions {
  items: { name: string; summary: string; kind: string }[];
}

const PRINCIPALS = ["admin.user", "admin.service_account", "admin.group"];
const PLACES = ["admin.organization", "admin.project"];

/** Why a principal can do something, or can't, drawn from the principal to the item. The question is in the address. */
export function ExplainPage() {
  const asked: Question = useSearch({ strict: false });
  const navigate = useNavigate();
  const [entered, setEntered] = useState<Question>(asked);
  const { data: permissions } = useQuery({
    queryKey: ["permissions"],
    queryFn: ({ signal }) => get<Permissions>("/api/v1/admin/decisions:permissions", { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const chosen = permissions?.items.find((one) => one.name === entered.permission);
  const complete = Boolean(asked.principal && asked.permission);
  const found = useQuery({
    queryKey: ["explain", asked],
    queryFn: async ({ signal }) => {
      const body = {
        principal_id: asked.principal,
        permission: asked.permission,
        securable_id: asked.on || "platform",
        securable_kind: asked.kind ?? "",
        ...(asked.as_of ? { as_of: new Date(asked.as_of).toISOString() } : {}),
      };
      return (await send<Explanation>("POST", "/api/v1/admin/decisions:explain", { body, signal })).body;
    },
    enabled: complete,
    retry: false,
  });
  const change = (changed: Question) => setEntered((before) => ({ ...before, ...changed }));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const search = Object.fromEntries(Object.entries(entered).filter(([, value]) => value));
    void navigate({ to: "/admin/explain", search: search as never });
  };
  const item = asked.on && asked.on !== "platform" ? asked.on : t("the platform");
  return (
    <Stack gap="lg">
      <div>
        <Title order={1}>{t("Explain access")}</Title>
        <Text size="sm" c="dimmed">{t("Why a user, service account, or group can do something, or can't: now, or at a past time.")}</Text>
      </div>
      <form onSubmit={submit}>
        <Group align="flex-start">
          <ReferenceInput label={t("Who")} description={t("User, service account, or group")} kinds={PRINCIPALS} value={entered.principal ?? ""} onChange={(principal) => change({ principal })} />
          <Autocomplete
            label={t("Permission")}
            description={chosen?.summary ?? t("What they do")}
            data={permissions?.items.map((one) => one.name) ?? []}
            limit={50}
            miw={280}
            value={entered.permission ?? ""}
            onChange={(permission) => change({ permission })}
            spellCheck={false}
          />
          <ReferenceInput label={t("On")} description={t("Organization, project, or id. Empty: the platform")} kinds={PLACES} value={entered.on ?? ""} onChange={(on) => change({ on })} />
          <TextInput label={t("Kind")} description={t("Only for what has a name as id")} placeholder="ai_catalog.asset" value={entered.kind ?? ""} onChange={(event) => change({ kind: event.currentTarget.value })} spellCheck={false} />
          <TextInput type="datetime-local" label={t("At")} description={t("Empty: now")} value={entered.as_of ?? ""} onChange={(event) => change({ as_of: event.currentTarget.value })} />
        </Group>
        <Button type="submit" mt="md" disabled={!entered.principal || !entered.permission}>{t("Explain")}</Button>
      </form>
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.data && (
        <>
          <Alert variant="light" role="status" color={found.data.decision.allowed ? "teal" : "red"} title={found.data.decision.allowed ? t("Allowed") : t("Not allowed")}>
            {sentence(found.data, found.data.names[asked.principal ?? ""] ?? asked.principal ?? "", asked.permission ?? "", found.data.names[item] ?? item)}
          </Alert>
          <AccessPath found={found.data} principal={asked.principal ?? ""} />
        </>
      )}
      {!complete && <Text size="sm" c="dimmed">{t("Choose who and which permission.")}</Text>}
    </Stack>
  );
}
