import { Anchor, Breadcrumbs, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Answer } from "../api/http";
import { answerKey } from "../api/platform";
import { words } from "../api/schema";
import { t } from "../language/text";
import { useShortcuts } from "../ui/pageKeys";
import { useKeys } from "../ui/useKeys";
import { ItemView } from "./ItemView";

const ROUTE = "/$service/$plural/$id" as const;
const KEYS = [{ keys: ["e"], does: t("Edit the item") }];

/** The page of an item of a kind. */
export function Item() {
  const { service, plural, id } = useParams({ from: ROUTE });
  const { tab } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const { data: read } = useQuery<Answer<Record<string, unknown>>>({ queryKey: answerKey(service, plural, id), enabled: false });
  const [doing, setDoing] = useState<string>();
  useShortcuts(KEYS);
  useKeys({
    e: () => {
      setDoing(undefined);
      requestAnimationFrame(() => setDoing("update"));
    },
  });
  const list = `/${service}/${plural}`;
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to={list} size="sm">{words(plural)}</Anchor>
        <Text size="sm">{String(read?.body.name ?? id)}</Text>
      </Breadcrumbs>
      <ItemView
        service={service}
        plural={plural}
        id={id}
        tab={tab}
        onTab={(chosen) => navigate({ search: chosen ? { tab: chosen } : {} })}
        doing={doing}
        onDeleted={() => navigate({ to: list })}
      />
    </Stack>
  );
}
