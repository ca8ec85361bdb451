import { Button, Group, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense } from "react";
import { BASE } from "../../../api/http";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assetPath, partQuery, versionNumber } from "./asset";
import { AssetLink, RunLink } from "./AssetLink";
import { Attestations } from "./Attestations";
import { NoRows } from "./NoRows";
import type { Graph } from "./ProvenanceGraph";
import { Reproduce } from "./Reproduce";
import { shortened } from "./state";
import { VersionPicker } from "./VersionPicker";
import type { Explanation } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";

const ProvenanceGraph = lazy(() => import("./ProvenanceGraph"));

const ROUTE = "/ai-catalog/assets/$id" as const;
const DEPTH = 3;

/** Where a version comes from: a sentence, its inputs at their versions, a graph, and proofs. */
export function ProvenanceTab({ id }: { id: string }) {
  const { version } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const explanation = useQuery(partQuery<Explanation>(id, "explanation", { version }));
  const graph = useQuery(partQuery<Graph>(id, "lineage", { version, direction: "upstream", depth: DEPTH, max_nodes: 60 }));
  const made = explanation.data?.provenance.materializations ?? [];
  return (
    <Stack gap="lg">
      <Group justify="space-between" align="flex-end">
        <VersionPicker id={id} label={t("Version")} value={version} onChange={(chosen) => void navigate({ search: (before) => ({ ...before, version: chosen }), replace: true })} />
        <Group gap="xs">
          <Button component="a" href={`${BASE}${assetPath(id, "/provenance-export")}?format=prov${version ? `&version=${encodeURIComponent(version)}` : ""}`} download={`${id}.prov.json`} size="xs" variant="default">{t("Download as W3C PROV")}</Button>
          <Button component="a" href={`${BASE}${assetPath(id, "/provenance-export")}?format=openlineage${version ? `&version=${encodeURIComponent(version)}` : ""}`} download={`${id}.openlineage.ndjson`} size="xs" variant="default">{t("Download as OpenLineage")}</Button>
        </Group>
      </Group>
      {explanation.isPending && <Skeleton h={80} />}
      {explanation.error && <NoRows id={id} error={explanation.error} retry={() => void explanation.refetch()} />}
      {explanation.data && <Text style={{ overflowWrap: "anywhere" }} maw={880}>{shortened(explanation.data.text)}</Text>}
      {made.map((one) => one.inputs.length > 0 && (
        <section key={`${one.run} ${one.step}`} aria-label={t("Inputs")}>
          <Title order={2} mb={4}>{rich("What run {run} read {text}", { run: <RunLink id={one.run} />, text: <Text span size="sm" c="dimmed" fw={400}>{rich("{time}{principal}, with {engine}", { time: <Time value={one.at} />, principal: one.principal && t(", for {principal}", { principal: one.principal }), engine: one.engine || t("an unknown engine") })}</Text> })}</Title>
          <Table.ScrollContainer minWidth={480} type="native">
            <Table verticalSpacing={2}>
              <Table.Thead><Table.Tr><Table.Th>{t("Input")}</Table.Th><Table.Th>{t("Columns")}</Table.Th></Table.Tr></Table.Thead>
              <Table.Tbody>{one.inputs.map((input) => <Table.Tr key={`${input.asset} ${input.version}`}><Table.Td style={{ whiteSpace: "nowrap" }}><AssetLink id={input.asset} version={input.version} /></Table.Td><Table.Td style={{ overflowWrap: "anywhere" }}>{input.columns.join(", ") || <Text span c="dimmed" size="sm">{t("Not recorded")}</Text>}</Table.Td></Table.Tr>)}</Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        </section>
      ))}
      {graph.error && !explanation.error && <Trouble error={graph.error} retry={() => graph.refetch()} />}
      {graph.data && graph.data.nodes.length > 1 && (
        <section aria-label={t("Graph of the inputs")}>
          <Title order={2} mb={4}>{t("Graph of the inputs")}</Title>
          <Suspense fallback={<Skeleton h={320} />}><ProvenanceGraph graph={graph.data} /></Suspense>
          {graph.data.truncated && <Text size="sm" c="dimmed">{t("Inputs that are further away are not drawn. The lineage page shows them.")}</Text>}
        </section>
      )}
      {explanation.data && <Attestations id={id} version={explanation.data.version} />}
      {explanation.data && <Reproduce key={explanation.data.version} id={id} version={explanation.data.version} number={versionNumber(explanation.data.version)} />}
    </Stack>
  );
}
