import { Button, Code, CopyButton, Group, Stack } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import type { IdentityProvider, IdentityProviderTest } from "../../../api/generated/admin";
import { BASE, send } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../../../ui/Rows";
import { Section } from "../../../ui/Section";
import { useRights } from "../../../kernel/useRights";
import { PATH, steps } from "./provider";

const TEST = "admin.identity_provider.test";
const OUTCOMES = { passed: ["teal", t("Passed")], failed: ["red", t("Failed")], untried: ["gray", t("Not tried")] } as const;

/** Whether logins through a provider can work: what it answers now, and what to register there. */
export function ProviderTest({ provider, etag }: { provider: IdentityProvider; etag?: string }) {
  const right = useRights([TEST], { id: provider.id, kind: "admin.identity_provider" })(TEST);
  const test = useMutation({ mutationFn: async () => (await send<IdentityProviderTest>("POST", `${PATH}/${provider.id}:test`, { body: {} })).body });
  return (
    <Stack gap="lg">
      <Section title={t("Test")} note={t("Reads the discovery document and the keys of the provider now. Nobody is logged in.")}>
        <Stack gap="sm">
          <Group>
            <Button {...right} loading={test.isPending} onClick={() => test.mutate()}>{test.data ? t("Test again") : t("Test")}</Button>
            <OperationButton service="admin" plural="identity-providers" verb="set-client-secret" id={provider.id} item={provider as unknown as Record<string, unknown>} etag={etag} size="sm" />
          </Group>
          {test.error && <Trouble error={test.error} retry={() => test.mutate()} />}
          {test.data && (
            <Rows
              label={t("Steps of the test")}
              columns={[t("Step"), t("Outcome"), t("Details")]}
              rows={steps(provider, test.data).map(({ name, passed, detail }) => {
                const [color, text] = OUTCOMES[passed === null ? "untried" : passed ? "passed" : "failed"];
                return { id: name, cells: [name, <State key="outcome" color={color}>{text}</State>, detail] };
              })}
            />
          )}
        </Stack>
      </Section>
      <Section title={t("At the provider")} note={t("Register this as the only redirect URI of the client.")}>
        <Copied value={`${location.origin}${BASE}${provider.status.redirect_path}`} />
      </Section>
      <Section title={t("For the users")} note={t("They enter the name of the provider on the login page, or open this address.")}>
        <Copied value={`${location.origin}${BASE}/login/oidc/${encodeURIComponent(provider.name)}`} />
      </Section>
    </Stack>
  );
}

function Copied({ value }: { value: string }) {
  return (
    <Group gap="xs" wrap="nowrap">
      <Code style={{ overflowWrap: "anywhere" }}>{value}</Code>
      <CopyButton value={value}>{({ copied, copy }) => <Button size="compact-xs" variant="default" onClick={copy}>{copied ? t("Copied") : t("Copy")}</Button>}</CopyButton>
    </Group>
  );
}
