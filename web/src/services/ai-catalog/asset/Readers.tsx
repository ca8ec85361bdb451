import { List, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { send } from "../../../api/http";
import { t } from "../../../language/text";
import { PageLink } from "../../../ui/PageLink";

interface Subjects {
  items: { id: string; kind: string; name: string }[];
  next_page_token: string | null;
}

const SHOWN = 100;

/** Who else may read the rows of an asset, for those who may ask. */
export function Readers({ id }: { id: string }) {
  const readers = useQuery({
    queryKey: ["subjects", id],
    queryFn: async ({ signal }) => {
      const body = { permission: "ai_catalog.asset.preview", securable_id: id, securable_kind: "ai_catalog.asset", page_size: SHOWN };
      return (await send<Subjects>("POST", "/api/v1/admin/decisions:list-subjects", { body, signal })).body;
    },
    retry: false,
  });
  return (
    <section aria-label={t("Who may read it")}>
      <Title order={2} mb={4}>{t("Who may read it")}</Title>
      {readers.error && <Text size="sm" c="dimmed">{t("You can't see who else may read it.")}</Text>}
      {readers.data && !readers.data.items.length && <Text size="sm" c="dimmed">{t("Nobody that you can see.")}</Text>}
      {readers.data && readers.data.items.length > 0 && (
        <>
          <List size="sm" listStyleType="none">
            {readers.data.items.map((one) => (
              <List.Item key={one.id}>
                <PageLink to={`/admin/${one.kind.includes("service_account") ? "service-accounts" : "users"}/${one.id}`} size="sm" title={one.id}>{one.name}</PageLink>
                {one.kind.includes("service_account") && <Text span size="sm" c="dimmed">{" "}{t("(service account)")}</Text>}
              </List.Item>
            ))}
          </List>
          {readers.data.next_page_token && <Text size="sm" c="dimmed">{t("These are the first {SHOWN}.", { SHOWN })}</Text>}
          <Text size="sm" c="dimmed" mt={4}>{t("By their grants. The tables that the asset was copied from, and policies, can restrict them further.")}</Text>
        </>
      )}
    </section>
  );
}
