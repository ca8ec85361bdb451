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
        <section aria-label="Code of the version">
          <VersionPicker id={id} label="Code that made version" value={version} onChange={(chosen) => void navigate({ search: (before) => ({ ...before, version: chosen }), replace: true })} />
          {provenance.error && <Trouble error={provenance.error} />}
          {made && (
            <Table withRowBorders={false} verticalSpacing={2} mt="xs" layout="fixed">
              <Table.Tbody>
                <Row name="Code version" value={made.code_version} note={made.code_version === asset.code_version ? "the same as now" : `now it is ${asset.code_version ?? "unknown"}`} />
                <Row name="Commit" value={made.git_sha} note={made.git_sha ? "" : "The run was outside of git."} />
                <Row name="Packages" value={made.env_digest} />
                <Row name="Engine" value={made.engine} />
                {revision && <Row name="Definition" value={`Revision ${revision.revision}`} note={`published by ${revision.published_by}`} />}
              </Table.Tbody>
            </Table>
          )}
          {provenance.data && version && versionNumber(provenance.data.version) !== versionNumber(version) && <Text size="sm" c="dimmed">Version {versionNumber(version)} continues version {versionNumber(provenance.data.version)}.</Text>}
        </section>
      )}
      {definition.isPending && <Skeleton h={160} />}
      {definition.error && <Trouble error={definition.error} retry={() => definition.refetch()} />}
      {definition.data === null && <Text size="sm">Python code or YAML in the code location <b>{asset.location}</b> defines this asset. It is edited there.</Text>}
      {definition.data && (
        <section aria-label="Definition">
          <Group justify="space-between" mb="xs">
            <Title order={2}>Definition, revision {definition.data.revision}</Title>
            <PageButton to={`/ai-catalog/definitions/${encodeURIComponent(id)}`} size="xs" variant="default">Open the definition</PageButton>
          </Group>
          <Text size="sm" mb="xs">
            Component <Code>{definition.data.component}</Code>
            {definition.data.published_at && <>, published <Time value={definition.data.published_at} />{definition.data.published_by && ` by ${definition.data.published_by}`}</>}
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
