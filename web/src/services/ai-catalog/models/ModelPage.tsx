import { Anchor, Breadcrumbs, Group, Select, Skeleton, Stack, Tabs, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { History } from "../../../kernel/History";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Trouble } from "../../../ui/Trouble";
import { assets } from "../assets";
import { Card } from "./Card";
import { Comparison } from "./Comparison";
import { Evaluations } from "./Evaluations";
import { aliasesOf, assetOf, leading, registeredModel, versionsOf } from "./models";
import { Freshness } from "./ModelsPage";
import { TryIt } from "./TryIt";
import { Versions } from "./Versions";

export interface ModelSearch {
  tab?: string;
  /** Number of the version that the page shows. */
  version?: number;
  /** Inputs of the try-it form, as JSON. */
  inputs?: string;
}

const ROUTE = "/ai-catalog/registered-models/$id" as const;

const TABS = [
  ["card", t("Card")],
  ["versions", t("Versions")],
  ["compare", t("Compare")],
  ["try", t("Try it")],
  ["evaluation", t("Evaluation and drift")],
  ["history", t("History")],
] as const;

/** A registered model: one of its versions in detail, and all of them side by side. */
export function ModelPage() {
  const { id } = useParams({ from: ROUTE });
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const model = useQuery(registeredModel(id));
  const found = useQuery(versionsOf(model.data?.body.id ?? id));
  const known = useQuery(assets);
  const shown = model.data?.body;
  const versions = found.data?.items ?? [];
  const version = shown && (versions.find((one) => one.version === search.version) ?? leading(shown, versions));
  const trained = version && assetOf(version);
  const change = (changed: ModelSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const refresh = () => {
    void model.refetch();
    void found.refetch();
  };
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/models" search={{}} />}>{t("Models")}</Anchor>
        <Text size="sm">{shown?.spec.title ?? id}</Text>
      </Breadcrumbs>
      {(model.error || found.error) && <Trouble error={model.error ?? found.error} retry={refresh} />}
      {model.isPending && <Skeleton height={240} />}
      {shown && model.data && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Title order={1}>{shown.spec.title}</Title>
              <Text size="sm" c="dimmed">{shown.spec.description}</Text>
            </div>
            <Group gap="xs">
              <OperationButton service="ai-catalog" plural="registered-models" verb="update" id={shown.id} item={shown} etag={model.data.etag} onDone={refresh} />
              <OperationButton service="ai-catalog" plural="registered-models" verb="set-alias" id={shown.id} initial={version && { alias: "champion", version: version.version }} onDone={refresh} />
              <OperationButton service="ai-catalog" plural="registered-models" verb="delete" id={shown.id} item={shown} etag={model.data.etag} onDone={() => void navigate({ to: "/models", search: {} })} />
            </Group>
          </Group>
          {found.isSuccess && !versions.length && <Text c="dimmed">{t("This model has no version yet. A version appears when a training has finished, or when a program registers one.")}</Text>}
          {version && (
            <>
              <Group gap="sm">
                <Select
                  size="xs"
                  aria-label={t("Version")}
                  w={260}
                  allowDeselect={false}
                  searchable={versions.length > 10}
                  data={versions.map((one) => ({ value: String(one.version), label: [t("Version {version}", { version: one.version }), ...aliasesOf(shown, one.version)].join(", ") }))}
                  value={String(version.version)}
                  onChange={(number) => change({ version: Number(number), inputs: undefined })}
                />
                <State value={version.stage}>{version.stage === "NONE" ? t("No stage") : undefined}</State>
                <Checks checks={version.checks} />
                {trained ? (
                  <Text size="sm">
                    {rich("Trained by {asset}", { asset: <Anchor size="sm" underline="always" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: trained.asset }} />}>{trained.asset}</Anchor> })}
                  </Text>
                ) : <Text size="sm">{t("Registered by {created_by}", { created_by: version.created_by })}</Text>}
                <Freshness asset={known.data?.get(trained?.asset ?? "")} trainedHere={Boolean(trained)} />
              </Group>
              <Tabs value={search.tab ?? "card"} onChange={(tab) => change({ tab: tab === "card" ? undefined : (tab ?? undefined) })} keepMounted={false}>
                <Tabs.List>{TABS.map(([name, text]) => <Tabs.Tab key={name} value={name}>{text}</Tabs.Tab>)}</Tabs.List>
                <Tabs.Panel value="card" pt="md"><Card version={version} /></Tabs.Panel>
                <Tabs.Panel value="versions" pt="md"><Versions model={shown} versions={versions} onDone={refresh} /></Tabs.Panel>
                <Tabs.Panel value="compare" pt="md"><Comparison model={shown} versions={versions} /></Tabs.Panel>
                <Tabs.Panel value="try" pt="md"><TryIt key={version.id} version={version} inputs={search.inputs} onInputs={(inputs) => change({ inputs })} /></Tabs.Panel>
                <Tabs.Panel value="evaluation" pt="md"><Evaluations version={version} /></Tabs.Panel>
                <Tabs.Panel value="history" pt="md"><History path={`/api/v1/ai-catalog/registered-models/${encodeURIComponent(shown.id)}/revisions`} /></Tabs.Panel>
              </Tabs>
            </>
          )}
        </>
      )}
    </Stack>
  );
}

/** Whether the version passed the checks of its training. */
export function Checks({ checks }: { checks: Record<string, boolean> }) {
  const all = Object.entries(checks);
  if (!all.length) return null;
  const failed = all.filter(([, passed]) => !passed).map(([name]) => name);
  const text = failed.length ? t("Failed: {failed}", { failed: failed.join(", ") }) : t("Passed {count} {count, plural, one {check} other {checks}}", { count: all.length });
  return <State color={failed.length ? "red" : "teal"} title={all.map(([name, passed]) => `${name}: ${passed ? t("passed") : t("failed")}`).join("\n")}>{text}</State>;
}
