import { Anchor, Button, Card, Code, Group, Kbd, NumberInput, SegmentedControl, Select, Skeleton, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { asCurl } from "../../api/http";
import { rich, t } from "../../language/text";
import { Time } from "../../ui/Time";
import { Trouble } from "../../ui/Trouble";
import { type Hit, hits, indexes, type Mode, MODES } from "./indexes";
import { CitedPassage } from "./CitedPassage";

export interface AskSearch {
  index?: string;
  q?: string;
  k?: number;
  mode?: Mode;
  /** The chunk that is open, and the version of its table. */
  chunk?: string;
  version?: string;
}

const K = 8;
const LABELS: Record<Mode, string> = { hybrid: t("Meaning and words"), vector: t("Meaning"), text: t("Words") };

/** Asks an index. Each passage of the answer has its citation, which opens the cited chunk at its version. */
export function AskPage() {
  const search = useSearch({ from: "/ask" });
  const navigate = useNavigate({ from: "/ask" });
  const known = useQuery(indexes);
  const index = known.data?.find((one) => one.id === search.index) ?? (search.index ? undefined : known.data?.[0]);
  const asked = { index: index?.id ?? search.index ?? "", q: search.q ?? "", k: search.k ?? K, mode: search.mode ?? "hybrid" } as const;
  const answer = useQuery(hits(asked));
  const [text, setText] = useState(asked.q);
  useEffect(() => setText(search.q ?? ""), [search.q]);
  const change = (changed: AskSearch, replace = true) => void navigate({ search: (before) => ({ ...before, ...changed }), replace });
  const ask = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim() === asked.q && asked.q) void answer.refetch();
    else change({ index: asked.index || undefined, q: text.trim() || undefined, chunk: undefined, version: undefined }, false);
  };
  if (known.isSuccess && !known.data.length) return <NoIndex />;
  return (
    <Stack gap="md" maw={960}>
      <div>
        <Title order={1}>{t("Ask an index")}</Title>
        <Text size="sm" c="dimmed">{t("The answer is passages of the documents, each with the exact version that contains it.")}</Text>
      </div>
      {known.error && <Trouble error={known.error} retry={() => known.refetch()} />}
      <form onSubmit={ask}>
        <Stack gap="sm">
          <Group align="flex-end" gap="sm">
            <Select
              label={t("Index")}
              flex={1}
              miw={220}
              searchable
              allowDeselect={false}
              data={(known.data ?? []).map((one) => one.id)}
              value={asked.index || null}
              onChange={(chosen) => change({ index: chosen ?? undefined, chunk: undefined, version: undefined })}
            />
            <NumberInput label={t("Passages")} w={100} min={1} max={100} value={asked.k} onChange={(value) => change({ k: Number(value) || undefined })} />
            <SegmentedControl aria-label={t("Search by")} value={asked.mode} onChange={(mode) => change({ mode: mode === "hybrid" ? undefined : (mode as Mode) })} data={MODES.map((value) => ({ value, label: LABELS[value] }))} />
          </Group>
          {index && (
            <Text size="sm" c="dimmed">
              {index.description} {index.chunk_count !== null && t("{chunk_count, number} passages", { chunk_count: index.chunk_count })}{index.materialized_at && rich(", built {time}", { time: <Time value={index.materialized_at} /> })}.{" "}
              <Anchor size="sm" underline="always" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: index.id }} />}>{t("Open the asset")}</Anchor>
            </Text>
          )}
          <Group gap="sm" wrap="nowrap" align="flex-end">
            <TextInput label={t("Question")} flex={1} value={text} onChange={(event) => setText(event.currentTarget.value)} maxLength={2000} data-autofocus />
            <Button type="submit" loading={answer.isFetching} disabled={!text.trim() || !asked.index}>{rich("Ask {kbd}", { kbd: <Kbd ml={8} size="xs" visibleFrom="sm">Enter</Kbd> })}</Button>
          </Group>
        </Stack>
      </form>
      {answer.error && <Trouble error={answer.error} retry={() => answer.refetch()} />}
      {answer.isLoading && <Skeleton height={200} />}
      {answer.data && (
        <Stack gap="sm" component="section" aria-label={t("Answer")}>
          <Group justify="space-between">
            <Text size="sm" c="dimmed">
              {rich("{count} {count, plural, one {passage} other {passages}} in {took_ms} ms from version {version}{behind}", { count: answer.data.hits.length, took_ms: Math.round(answer.data.took_ms), version: <Code>{answer.data.version}</Code>, behind: answer.data.behind > 0 && t(". A newer version is being written") })}
            </Text>
            <Button variant="subtle" color="gray" size="compact-xs" onClick={() => void navigator.clipboard.writeText(asCurl("POST", `/api/v1/rag/indexes/${asked.index}:search`, { body: { query: asked.q, k: asked.k, mode: asked.mode } }))}>{t("Copy as curl")}</Button>
          </Group>
          {!answer.data.hits.length && <Text c="dimmed">{t("No passage matches. Use other words, or search by meaning.")}</Text>}
          {answer.data.hits.map((one, number) => (
            <Passage key={one.citation.chunk} hit={one} number={number + 1} onOpen={() => change({ chunk: one.citation.chunk, version: one.citation.version }, false)} />
          ))}
        </Stack>
      )}
      <CitedPassage index={index?.id ?? ""} version={search.version} chunk={search.chunk} onClose={() => change({ chunk: undefined, version: undefined })} />
    </Stack>
  );
}

function Passage({ hit, number, onOpen }: { hit: Hit; number: number; onOpen: () => void }) {
  const found = [hit.vector_rank !== null && t("meaning"), hit.text_rank !== null && t("words")].filter(Boolean).join(t(" and "));
  return (
    <Card withBorder padding="sm" component="article">
      <Group justify="space-between" align="flex-start">
        <Title order={2} fz="sm">{number}. {hit.title}</Title>
        <Text size="xs" c="dimmed" style={{ whiteSpace: "nowrap" }}>{t("by {found}", { found: found || t("its score") })}</Text>
      </Group>
      <Text size="xs" c="dimmed">{hit.citation.heading}</Text>
      <Text size="sm" my={6} style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>{hit.text}</Text>
      <Button variant="subtle" size="compact-xs" px={0} style={{ alignSelf: "flex-start" }} h="auto" onClick={onOpen} styles={{ label: { whiteSpace: "normal", textAlign: "left", overflowWrap: "anywhere" } }}>
        {t("{document}, characters {start, number} to {end, number}", { document: hit.citation.document, start: hit.citation.start, end: hit.citation.end })}
      </Button>
    </Card>
  );
}

/** What a caller without indexes sees: the way to the first one. */
function NoIndex() {
  return (
    <Stack gap="sm" maw={640}>
      <Title order={1}>{t("Ask an index")}</Title>
      <Text size="sm">{t("There are no indexes that you can see. An index makes documents or the rows of a table searchable by meaning and by words.")}</Text>
      <Group><Button renderRoot={(props) => <Link {...props} to="/ai-catalog/definitions/new" search={{ component: "RagIndexComponent" }} />}>{t("Define an index")}</Button></Group>
    </Stack>
  );
}
