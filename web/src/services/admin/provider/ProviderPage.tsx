import { Anchor, Breadcrumbs, Group, Stack, Tabs, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { catalogues, kindOf, openApi } from "../../../api/platform";
import { Actions } from "../../../kernel/Actions";
import { Fields } from "../../../kernel/Fields";
import { History } from "../../../kernel/History";
import { t } from "../../../language/text";
import { notice } from "../../../ui/notice";
import { Trouble } from "../../../ui/Trouble";
import { ClaimPreview } from "./ClaimPreview";
import { PATH, providerQuery } from "./provider";
import { ProviderForm } from "./ProviderForm";
import { ProviderTest } from "./ProviderTest";

const TABS = { test: t("Test"), preview: t("Preview a login"), settings: t("Settings"), details: t("Details"), history: t("History") };
const LIST: string = "/admin/identity-providers";

/** An identity provider: whether logins can work, what a login would give, and its settings. */
export function ProviderPage() {
  const { id = "" } = useParams({ strict: false });
  const { tab = "test" }: { tab?: string } = useSearch({ strict: false });
  const navigate = useNavigate();
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi("admin"));
  const read = useQuery(providerQuery(id));
  const kind = found && kindOf(found, "admin", "identity-providers");
  const provider = read.data?.body;
  const schema = document?.components.schemas.IdentityProvider;
  const open = (chosen: string) => void navigate({ to: `${LIST}/${encodeURIComponent(id)}`, search: { tab: chosen } as never });
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to={LIST} size="sm">{t("Identity providers")}</Anchor>
        <Text size="sm">{provider?.name ?? id}</Text>
      </Breadcrumbs>
      {read.error && <Trouble error={read.error} retry={() => read.refetch()} />}
      {provider && kind && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Title order={1}>{provider.spec.title}</Title>
              <Text size="sm" c="dimmed">{provider.spec.issuer}</Text>
            </div>
            <Actions service="admin" kind={kind} id={provider.id} item={provider as unknown as Record<string, unknown>} etag={read.data?.etag} without={["update", "test", "preview"]} />
          </Group>
          <Tabs value={tab} keepMounted={false} onChange={(chosen) => open(chosen ?? "test")}>
            <Tabs.List>{Object.entries(TABS).map(([value, text]) => <Tabs.Tab key={value} value={value}>{text}</Tabs.Tab>)}</Tabs.List>
            <Tabs.Panel value="test" pt="md"><ProviderTest provider={provider} etag={read.data?.etag} /></Tabs.Panel>
            <Tabs.Panel value="preview" pt="md"><ClaimPreview provider={provider} /></Tabs.Panel>
            <Tabs.Panel value="settings" pt="md">
              <ProviderForm key={read.data?.etag} provider={provider} etag={read.data?.etag} onCancel={() => open("test")} onDone={() => { notice(t("The identity provider is saved.")); open("test"); }} />
            </Tabs.Panel>
            <Tabs.Panel value="details" pt="md">{schema && document && <Fields item={provider as unknown as Record<string, unknown>} schema={schema} schemas={document.components.schemas} />}</Tabs.Panel>
            <Tabs.Panel value="history" pt="md"><History path={`${PATH}/${encodeURIComponent(id)}/revisions`} /></Tabs.Panel>
          </Tabs>
        </>
      )}
    </Stack>
  );
}

/** Registers an identity provider. Its page then tests it. */
export function NewProviderPage() {
  const navigate = useNavigate();
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to={LIST} size="sm">{t("Identity providers")}</Anchor>
        <Text size="sm">{t("Register")}</Text>
      </Breadcrumbs>
      <div>
        <Title order={1}>{t("Register an identity provider")}</Title>
        <Text size="sm" c="dimmed">{t("With an OpenID Connect provider, users log in with their company's accounts.")}</Text>
      </div>
      <ProviderForm onCancel={() => void navigate({ to: LIST })} onDone={(saved) => { notice(t("The identity provider is registered. Test it now.")); void navigate({ to: `${LIST}/${saved.id}` }); }} />
    </Stack>
  );
}
