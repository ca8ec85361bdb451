import { Stack, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useLocation, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { catalogues, kindOf, method, openApi, requestSchema } from "../api/platform";
import { t } from "../language/text";
import { Once } from "./Once";
import { RequestForm } from "./RequestForm";

/** Creates an item of a kind. */
export function NewItem() {
  // Kinds whose items have a page of their own have an address for the form, without parameters.
  const [, service = "", plural = ""] = useLocation().pathname.split("/");
  return <CreateItem service={service} plural={plural} />;
}

/** The same, for a kind whose items have a page of their own. */
export function CreateItem({ service, plural }: { service: string; plural: string }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [created, setCreated] = useState<Record<string, unknown> | null>(null);
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi(service));
  const kind = found && kindOf(found, service, plural);
  const creating = kind && method(kind, "create");
  if (!kind || !document) return null;
  const schema = creating && requestSchema(document, creating);
  if (!creating || !schema) return <Text>{t("Items of this kind can't be created.")}</Text>;
  const list = `/${service}/${plural}`;
  const item = document.components.schemas[method(kind, "get")?.result ?? ""];
  const answer = document.components.schemas[creating.result ?? ""];
  /** What no other answer contains: the secret of a key, the token of an invitation. */
  const shownOnce = (body: Record<string, unknown>) => Object.fromEntries(Object.entries(body).filter(([name]) => item && answer && name in (answer.properties ?? {}) && !(name in (item.properties ?? {}))));
  const open = (body: Record<string, unknown>) => void navigate({ to: body.id ? `${list}/${encodeURIComponent(String(body.id))}` : list });
  if (created) return <Once title={t("{title} created", { title: kind.title })} values={shownOnce(created)} onClose={() => open(created)} />;
  return (
    <Stack>
      <Title order={1}>{t("Create {title}", { title: kind.title.toLowerCase() })}</Title>
      <RequestForm
        method={creating.method}
        path={creating.path}
        schema={schema}
        schemas={document.components.schemas}
        submit={t("Create")}
        body={withoutNulls}
        onCancel={() => navigate({ to: list })}
        onDone={({ body }) => {
          void queries.invalidateQueries({ queryKey: ["items", service, plural] });
          notifications.show({ message: t("{title} created", { title: kind.title }) });
          if (Object.keys(shownOnce(body)).length) setCreated(body);
          else open(body);
        }}
      />
    </Stack>
  );
}

/** What a caller left empty is left to the platform. */
function withoutNulls(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && value !== undefined));
}
