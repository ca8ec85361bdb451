import { Code, Group, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { get, Problem } from "../../../api/http";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assetQuery, partQuery, versionNumber } from "./asset";
import { VersionPicker } from "./VersionPicker";
import { PageButton } from "../../../ui/PageLink";
import type { Definition, DefinitionRevision as Revision, Provenance } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";

const ROUTE = "/ai-catalog/assets/$id" as const;

const optional = <T,>(path: string) => async ({ signal }: { signal: AbortSignal }): Promise<T | null> => {
  try {
    return await get<T>(path, { signal });
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
};

/** The code that makes an asset: now, and at a version. */
export function CodeTab({ id }: { id: string }) {
  const { version } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const { data: asset } = useQuery(assetQuery(id));
  const path = `/api/v1/ai-catalog/definitions/${encodeURIComponent(id)}`;
  const definition = useQuery({ queryKey: ["definition", id], queryFn: optional<Definition>(path), retry: false });
  const revisions = useQuery({ queryKey: ["definition", id, "revisions"], queryFn: optional<{ revisions: Revision[] }>(`${path}/revisions`), enabled: Boolean(definition.data), retry: false });
  const provenance = useQuery(partQuery<Provenance>(id, "provenance", { version }, Boolean(asset?.data_version)));
  const made = provenance.data?.materializations[0];
  const revision = revisions.data?.revisions.find((one) => one.code_versions[id] === made?.code_version);
  if (!asset) return null;
  return (
    <Stack gap="lg">
      {asset.data_version && (
        <section aria-label={t("Code of the version")}>
          <VersionPicker id={id} label={t("Code that made version")} value={version} onChange={(chosen) => void navigate({ search: (before) => ({ ...before, version: chosen }), replace: true })} />
          {provenance.error && <Trouble error={provenance.error} />}
          {made && (
            <Table withRowBorders={false} verticalSpacing={2} mt="xs" layout="fixed">
              <Table.Tbody>
                <Row name={t("Code version")} value={made.code_version} note={made.code_version === asset.code_version ? t("the same as now") : t("now it is {code_version}", { code_version: asset.code_version ?? t("unknown") })} />
                <Row name={t("Commit")} value={made.git_sha} note={made.git_sha ? "" : t("The run was outside of git.")} />
                <Row name={t("Packages")} value={made.env_digest} />
                <Row name={t("Engine")} value={made.engine} />
                {revision && <Row name={t("Definition")} value={t("Revision {revision}", { revision: revision.revision })} note={t("published by {published_by}", { published_by: revision.published_by })} />}
              </Table.Tbody>
            </Table>
          )}
          {provenance.data && version && versionNumber(provenance.data.version) !== versionNumber(version) && <Text size="sm" c="dimmed">{t("Version {version} continues version {version2}.", { version: versionNumber(version), version2: versionNumber(provenance.data.version) })}</Text>}
        </section>
      )}
      {definition.isPending && <Skeleton h={160} />}
      {definition.error && <Trouble error={definition.error} retry={() => definition.refetch()} />}
      {definition.data === null && <Text size="sm">{rich("Python code or YAML in the code location {location} defines this asset. It is edited there.", { location: <b>{asset.location}</b> })}</Text>}
      {definition.data && (
        <section aria-label={t("Definition")}>
          <Group justify="space-between" mb="xs">
            <Title order={2}>{t("Definition, revision {revision}", { revision: definition.data.revision })}</Title>
            <PageButton to={`/ai-catalog/definitions/${encodeURIComponent(id)}`} size="xs" variant="default">{t("Open the definition")}</PageButton>
          </Group>
          <Text size="sm" mb="xs">
            {rich("Component {component}{published_at}", { component: <Code>{definition.data.component}</Code>, published_at: definition.data.published_at && rich(", published {time}{published_by}", { time: <Time value={definition.data.published_at} />, published_by: definition.data.published_by && t(" by {published_by}", { published_by: definition.data.published_by }) }) })}
          </Text>
          <Code block mah={480} style={{ overflow: "auto" }} tabIndex={0}>{JSON.stringify((revision ?? definition.data).attributes, null, 2)}</Code>
        </section>
      )}
    </Stack>
  );
}

function Row({ name, value, note }: { name: string; value: string; note?: string }) {
  return (
    <Table.Tr>
      <Table.Th w={140} fw={400} c="dimmed">{name}</Table.Th>
      <Table.Td style={{ overflowWrap: "anywhere" }}>{value && <Code>{value}</Code>} {note && <Text span size="sm" c="dimmed">{note}</Text>}</Table.Td>
    </Table.Tr>
  );
}
