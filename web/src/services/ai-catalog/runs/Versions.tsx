import { Anchor, Code, Stack, Table, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { t } from "../../../language/text";
import type { Graph } from "./runs";

/** The versions that a run read and wrote. */
export function Versions({ graph }: { graph: Graph }) {
  const written = graph.nodes.filter((node) => node.produced);
  const read = graph.nodes.filter((node) => !node.produced);
  return (
    <Stack gap="lg">
      <Part title={t("Written")} nodes={written} none={t("The run has written no version yet.")} />
      <Part title={t("Read")} nodes={read} none={t("The run reads no other asset.")} />
      {graph.hidden > 0 && <Text size="sm" c="dimmed">{t("{hidden} further assets that you can't see.", { hidden: graph.hidden })}</Text>}
    </Stack>
  );
}

function Part({ title, nodes, none }: { title: string; nodes: Graph["nodes"]; none: string }) {
  return (
    <section aria-label={title}>
      <Title order={2} mb="xs">{title}</Title>
      {!nodes.length && <Text size="sm" c="dimmed">{none}</Text>}
      {nodes.length > 0 && (
        <Table.ScrollContainer minWidth={320}>
          <Table verticalSpacing={4}>
            <Table.Thead><Table.Tr><Table.Th>{t("Asset")}</Table.Th><Table.Th>{t("Version")}</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {nodes.map((node) => (
                <Table.Tr key={node.asset}>
                  <Table.Td><Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(node.asset)}`} size="sm">{node.asset}</Anchor></Table.Td>
                  <Table.Td>{node.version ? <Code>{node.version}</Code> : <Text span size="sm" c="dimmed">{t("None yet")}</Text>}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </section>
  );
}
