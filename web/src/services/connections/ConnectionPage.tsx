import { Anchor, Breadcrumbs, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { Answer } from "../../api/http";
import { answerKey } from "../../api/platform";
import { ItemView, type OwnTab } from "../../kernel/ItemView";
import { t } from "../../language/text";
import { notice } from "../../ui/notice";
import { ConnectionForm } from "./ConnectionForm";
import { type Connection, connectorTypes, LIST } from "./connections";
import { Objects } from "./Objects";
import { TestTab } from "./TestTab";

export interface ConnectionSearch {
  tab?: string;
  /** The schema or folders whose content is shown. */
  below?: string[];
}

/** A connection: whether it works, what it leads to, and its settings. */
export function ConnectionPage() {
  const { id = "" } = useParams({ strict: false });
  const { tab = "test", below }: ConnectionSearch = useSearch({ strict: false });
  const navigate = useNavigate();
  const { data: types } = useQuery(connectorTypes);
  const { data: read } = useQuery<Answer<Record<string, unknown>>>({ queryKey: answerKey("connections", "connections", id), enabled: false });
  const isDisabled = (read?.body as Connection | undefined)?.status.state === "DISABLED";
  const open = (search: ConnectionSearch) => void navigate({ to: `${LIST}/${encodeURIComponent(id)}`, search: search as never });
  const typeOf = (item: Record<string, unknown>) => types?.find((one) => one.id === (item as unknown as Connection).spec.connector);
  const own: OwnTab[] = [
    { value: "test", title: t("Test"), replaces: ["test", "tests", isDisabled ? "disable" : "enable"], content: (item) => <TestTab id={String(item.id)} /> },
    {
      value: "content",
      title: t("Content"),
      replaces: ["discover"],
      content: (item) => <Objects id={String(item.id)} below={below ?? []} onBelow={(chosen) => open({ tab: "content", below: chosen.length ? chosen : undefined })} />,
    },
    {
      value: "settings",
      title: t("Settings"),
      replaces: ["update"],
      content: (item, etag) => {
        const type = typeOf(item);
        const saved = () => {
          notice(t("The connection is saved."));
          open({});
        };
        return type && <ConnectionForm key={etag} type={type} connection={item as unknown as Connection} etag={etag} onDone={saved} onCancel={() => open({})} />;
      },
    },
  ];
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to={LIST} size="sm">{t("Connections")}</Anchor>
        <Text size="sm">{String(read?.body.name ?? id)}</Text>
      </Breadcrumbs>
      <ItemView service="connections" plural="connections" id={id} tab={tab} own={own} onTab={(chosen) => open({ tab: chosen ?? "overview" })} onDeleted={() => void navigate({ to: LIST })} />
    </Stack>
  );
}
