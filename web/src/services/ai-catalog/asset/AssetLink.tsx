import { Code } from "@mantine/core";
import { assetPage } from "./asset";
import { PageLink } from "../../../ui/PageLink";

const ASSET = /^[a-z0-9_]+\.[a-z0-9_]+\.[a-z0-9_.]+$/;

/** A link to an asset, with the version that is meant. Other nodes of the lineage, such as runs, are text. */
export function AssetLink({ id, version }: { id: string; version?: string | null }) {
  if (!ASSET.test(id)) return <Code>{version ? `${id}@${version}` : id}</Code>;
  const number = version?.split("@").at(-1);
  return (
    <PageLink to={assetPage(id)} search={version ? { tab: "data", version } : undefined} size="sm" title={version ?? undefined}>
      {id}{number && ` @ ${number}`}
    </PageLink>
  );
}

/** A link to a run. */
export function RunLink({ id, text }: { id: string; text?: string }) {
  return <PageLink to={`/runs/${encodeURIComponent(id)}`} size="sm" ff={text ? undefined : "monospace"} title={id}>{text ?? id.slice(0, 8)}</PageLink>;
}
