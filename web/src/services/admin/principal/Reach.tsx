import { Anchor, Autocomplete, Group, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { get, send } from "../../../api/http";
import { catalogues } from "../../../api/platform";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../../../ui/Rows";

interface Permission {
  name: string;
  summary: string;
  kind: string;
}

interface Objects {
  items: { id: string; kind: string; name: string }[];
  next_page_token: string | null;
}

/** Everything on which a principal has a permission. */
export function Reach({ principal, name }: { principal: string; name: string }) {
  const [entered, setEntered] = useState("admin.project.get");
  const { data: found } = useQuery(catalogues);
  const { data: permissions } = useQuery({
    queryKey: ["permissions"],
    queryFn: ({ signal }) => get<{ items: Permission[] }>("/api/v1/admin/decisions:permissions", { signal }),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const chosen = permissions?.items.find((one) => one.name === entered);
  const objects = useQuery({
    queryKey: ["list-objects", principal, entered],
    queryFn: async ({ signal }) => {
      const body = { principal_id: principal, permission: entered, kind: chosen?.kind, page_size: 200 };
      return (await send<Objects>("POST", "/api/v1/admin/decisions:list-objects", { body, signal })).body;
    },
    enabled: Boolean(chosen),
    retry: false,
  });
  const page = (kind: string, id: string) => {
    const service = found?.find((one) => one.items.some((other) => `${one.service.replaceAll("-", "_")}.${other.name}` === kind));
    const plural = service?.items.find((one) => kind.endsWith(`.${one.name}`))?.plural;
    return service && plural ? `/${service.service}/${plural}/${encodeURIComponent(id)}` : undefined;
  };
  return (
    <Stack>
      <Group align="flex-end">
        <Autocomplete label={t("Permission")} description={chosen?.summary} data={permissions?.items.map((one) => one.name) ?? []} limit={50} value={entered} onChange={setEntered} miw={320} spellCheck={false} />
        {chosen && <Anchor component={Link} to="/admin/explain" search={{ principal, permission: entered } as never} size="sm">{t("Explain on the platform")}</Anchor>}
      </Group>
      {!chosen && <Text size="sm" c="dimmed">{t("Choose a permission to see on what {name} has it.", { name })}</Text>}
      {objects.error && <Trouble error={objects.error} retry={() => objects.refetch()} />}
      {objects.data && (
        <>
          <Rows
            label={t("What they can do")}
            empty={t("{name} has this permission on nothing that you can see.", { name })}
            columns={[t("Name"), t("Why")]}
            rows={objects.data.items.map((one) => {
              const to = page(one.kind, one.id);
              return {
                id: one.id,
                cells: [
                  to ? <Anchor key="name" component={Link} to={to} size="sm">{one.name}</Anchor> : one.name,
                  <Anchor key="why" component={Link} to="/admin/explain" search={{ principal, permission: entered, on: one.id, kind: one.kind } as never} size="sm">{t("Explain")}</Anchor>,
                ],
              };
            })}
          />
          {objects.data.next_page_token && <Text size="sm" c="dimmed">{t("These are the first 200.")}</Text>}
        </>
      )}
    </Stack>
  );
}
