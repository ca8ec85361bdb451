import { List, Stack, Text } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { get } from "../api/http";
import { type KindEntry, pathOf } from "../api/platform";
import { words } from "../api/schema";
import { t } from "../language/text";
import { affectedParts } from "./operations";
import { isRecord } from "./values";

const SHOWN = 5;

/** What uses an item, as far as the caller can see it: for the confirmation of what changes it for good. */
export function Affected({ kind, id }: { kind: KindEntry; id: string }) {
  const parts = affectedParts(kind);
  const answers = useQueries({
    queries: parts.map((part) => {
      const path = pathOf(part, id);
      return {
        queryKey: ["part", path],
        queryFn: ({ signal }: { signal: AbortSignal }) => get<Record<string, unknown>>(path, { signal }),
        retry: false,
      };
    }),
  });
  const found = parts.flatMap((part, number) => {
    const names = namesIn(answers[number]?.data);
    return names.length ? [{ part, names }] : [];
  });
  if (!found.length) return null;
  return (
    <Stack gap="xs">
      <Text size="sm" fw={600}>{t("This affects:")}</Text>
      {found.map(({ part, names }) => (
        <div key={part.verb}>
          <Text size="sm" c="dimmed">{words(part.path.split("/").at(-1) ?? part.verb)}</Text>
          <List size="sm">
            {names.slice(0, SHOWN).map((name) => <List.Item key={name}>{name}</List.Item>)}
          </List>
          {names.length > SHOWN && <Text size="sm" c="dimmed">{t("and {count} more", { count: names.length - SHOWN })}</Text>}
        </div>
      ))}
    </Stack>
  );
}

/** The names of the things in an answer: in its list of items, or else in its other lists. */
export function namesIn(answer: Record<string, unknown> | undefined): string[] {
  const lists = answer ? (Array.isArray(answer.items) ? [answer.items] : Object.values(answer).filter(Array.isArray)) : [];
  const names = lists.flat().map((one) => {
    if (typeof one === "string") return one;
    return isRecord(one) ? String(one.name ?? one.title ?? one.asset ?? one.securable_id ?? one.id ?? "") : "";
  });
  return [...new Set(names.filter(Boolean))];
}
