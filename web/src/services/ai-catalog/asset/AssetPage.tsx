import { Breadcrumbs, Group, Skeleton, Stack, Tabs, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import { Problem } from "../../../api/http";
import { useLive } from "../../../api/live";
import { rich, t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { AccessTab } from "./AccessTab";
import { assetQuery, namesOf } from "./asset";
import { ChecksTab } from "./ChecksTab";
import { CodeTab } from "./CodeTab";
import { ContractTab, contractsQuery } from "./ContractTab";
import { DataTab } from "./DataTab";
import { Header } from "./Header";
import { OverviewTab } from "./OverviewTab";
import { PartitionsTab } from "./PartitionsTab";
import { Progress } from "./Progress";
import { ProvenanceTab } from "./ProvenanceTab";
import { RunsTab } from "./RunsTab";
import { SchemaTab } from "./SchemaTab";
import type { AssetSearch } from "./search";
import { VersionsTab } from "./VersionsTab";
import { PageButton, PageLink } from "../../../ui/PageLink";

const ROUTE = "/ai-catalog/assets/$id" as const;

const TABS: [string, string, (props: { id: string }) => React.ReactNode][] = [
  ["overview", t("Overview"), OverviewTab],
  ["schema", t("Schema"), SchemaTab],
  ["data", t("Data"), DataTab],
  ["versions", t("Versions"), VersionsTab],
  ["checks", t("Checks"), ChecksTab],
  ["runs", t("Runs"), RunsTab],
  ["code", t("Code"), CodeTab],
  ["provenance", t("Provenance"), ProvenanceTab],
  ["access", t("Access"), AccessTab],
];

/** An asset: its state, its rows at any version, where they come from, and what makes them. */
export function AssetPage() {
  const { id } = useParams({ from: ROUTE });
  const { tab = "overview", operation } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const asset = useQuery(assetQuery(id));
  const contracts = useQuery(contractsQuery(id, asset.isSuccess));
  useLive(["ai_catalog.asset"], assetQuery(id).queryKey, id);
  useLive(["ai_catalog.asset"], ["asset part", id], id);
  const queries = useQueryClient();
  const version = asset.data?.data_version;
  useEffect(() => {
    // Parts of the newest version are those of another version now.
    void queries.invalidateQueries({ queryKey: ["asset part", id] });
  }, [queries, id, version]);
  const { project, layer, name } = namesOf(id);
  const tabs: typeof TABS = [
    ...TABS,
    ...(asset.data?.partitioned ? [["partitions", t("Partitions"), PartitionsTab] as (typeof TABS)[number]] : []),
    ...(contracts.data?.items.length ? [["contract", t("Contract"), ContractTab] as (typeof TABS)[number]] : []),
  ];
  const Shown = tabs.find(([key]) => key === tab)?.[2];
  const open = (chosen: string | null) => navigate({ search: (before: AssetSearch) => ({ operation: before.operation, ...(chosen && chosen !== "overview" ? { tab: chosen } : {}) }) });
  return (
    <Stack gap="md">
      <Breadcrumbs style={{ flexWrap: "wrap" }}>
        <PageLink to="/assets" size="sm">{t("Assets")}</PageLink>
        <PageLink to="/assets" search={{ project: [project] }} size="sm">{project}</PageLink>
        <PageLink to="/assets" search={{ project: [project], layer: [layer] }} size="sm">{layer}</PageLink>
        <Text size="sm">{name}</Text>
      </Breadcrumbs>
      {asset.isPending && <Stack gap="xs" aria-busy><Skeleton h={28} w={280} /><Skeleton h={20} w={480} maw="100%" /><Skeleton h={240} /></Stack>}
      {asset.error && !asset.data && <Missing id={id} error={asset.error} retry={() => void asset.refetch()} />}
      {asset.data && (
        <>
          <Header asset={asset.data} />
          {operation && <Progress id={operation} asset={id} />}
          <Tabs value={Shown ? tab : null} onChange={(chosen) => void open(chosen)} keepMounted={false}>
            <Tabs.List style={{ flexWrap: "nowrap", overflowX: "auto", overflowY: "hidden" }}>
              {tabs.map(([key, text]) => <Tabs.Tab key={key} value={key} style={{ flexShrink: 0 }}>{text}</Tabs.Tab>)}
            </Tabs.List>
            {Shown && <Tabs.Panel value={tab} pt="md"><Shown key={tab} id={id} /></Tabs.Panel>}
          </Tabs>
          {!Shown && <Text>{t("This asset has no page {tab}.", { tab })}</Text>}
        </>
      )}
    </Stack>
  );
}

/** An asset that doesn't exist, or that the caller can't see: with similar ones, and the way to all. */
function Missing({ id, error, retry }: { id: string; error: unknown; retry: () => void }) {
  const problem = error instanceof Problem ? error : null;
  if (problem?.status !== 404) return <Trouble error={error} retry={retry} />;
  return (
    <Stack gap="sm" align="flex-start">
      <Trouble error={error} />
      {problem.similar.length > 0 && (
        <Text size="sm">
          {rich("Did you mean {similar}?", { similar: problem.similar.slice(0, 3).map((one, number) => (
            <span key={one}>{number > 0 && t(" or ")}<PageLink to={`/ai-catalog/assets/${encodeURIComponent(one)}`} size="sm">{one}</PageLink></span>
          )) })}
        </Text>
      )}
      <Group gap="xs">
        <PageButton to="/assets" search={{ q: namesOf(id).name.replaceAll("_", " ") }} variant="default">{t("Search for it")}</PageButton>
        <PageButton to="/assets" variant="default">{t("All assets")}</PageButton>
      </Group>
    </Stack>
  );
}
