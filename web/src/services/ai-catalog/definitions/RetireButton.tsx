import { Anchor, Button, List, Loader, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { get, send } from "../../../api/http";
import { allowed } from "../../../api/platform";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";
import { Trouble } from "../../../ui/Trouble";
import { pathOf } from "./definitions";

interface Impact {
  assets: { asset: string }[];
  schedules: { id: string }[];
  sensors: { id: string }[];
}

/** Retires a definition, after it has shown what reads its asset. */
export function RetireButton({ id, etag, onDone }: { id: string; etag: string; onDone: () => void }) {
  const [open, setOpen] = useState(false);
  const permission = "ai_catalog.definition.retire";
  const { data: rights } = useQuery(allowed([permission], { id, kind: "ai_catalog.definition" }));
  const impact = useQuery({
    queryKey: ["impact", id],
    queryFn: ({ signal }) => get<Impact>(`/api/v1/ai-catalog/assets/${encodeURIComponent(id)}/impact`, { signal }),
    enabled: open,
    retry: false,
  });
  const readers = impact.data?.assets.map((one) => one.asset) ?? [];
  const automations = [...(impact.data?.schedules ?? []), ...(impact.data?.sensors ?? [])].map((one) => one.id);
  return (
    <>
      <Button size="xs" variant="default" disabled={!rights?.has(permission)} title={rights && !rights.has(permission) ? t("You need the permission {permission}.", { permission }) : undefined} onClick={() => setOpen(true)}>
        {t("Retire")}
      </Button>
      <Confirm
        opened={open}
        title={t("Retire {id}", { id })}
        submit={t("Retire")}
        danger
        run={async () => {
          await send("POST", `${pathOf(id)}:retire`, { body: {}, etag });
          onDone();
        }}
        onClose={() => setOpen(false)}
      >
        <Stack gap="xs">
          <Text size="sm">{t("Nothing runs the asset any more. Its versions, lineage, and history stay readable, and you can reinstate it later.")}</Text>
          {impact.isPending && <Loader size="sm" />}
          {impact.error && <Trouble error={impact.error} />}
          {impact.isSuccess && (readers.length ? (
            <>
              <Text size="sm">{t("These assets are made from it. The platform refuses to retire it while one of them is active:")}</Text>
              <List size="sm">
                {readers.slice(0, 20).map((one) => (
                  <List.Item key={one}>
                    <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: one }} />}>{one}</Anchor>
                  </List.Item>
                ))}
              </List>
              {readers.length > 20 && <Text size="sm">{t("And {count} more.", { count: readers.length - 20 })}</Text>}
            </>
          ) : <Text size="sm">{t("No asset that you can see is made from it.")}</Text>)}
          {automations.length > 0 && <Text size="sm">{t("These schedules and sensors launch it: {automations}.", { automations: automations.join(", ") })}</Text>}
        </Stack>
      </Confirm>
    </>
  );
}
