import type { QueryChart as ChartChoice } from "../../../api/generated/ai-catalog";
import { Alert, Anchor, Button, Group, Kbd, NumberInput, Stack, Tabs, Text, Title } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { Problem, send } from "../../../api/http";
import { allowed, session } from "../../../api/platform";
import { rich, t } from "../../../language/text";
import { Grid } from "../../../ui/Grid";
import { Trouble } from "../../../ui/Trouble";
import { assetGraph } from "../graph-answer";
import { ChartBuilder } from "./ChartBuilder";
import { csv, download } from "./csv";
import { Inputs } from "./Inputs";
import { placeOf } from "./position";
import { remember } from "./recent";
import { SaveDialog } from "./SaveDialog";
import { PATH, savedQuery } from "./saved";
import { SqlEditor } from "./SqlEditor";
import { asParquet, type Finished, proposal, run, type Statement } from "./statement";
import { Statements } from "./Statements";

export interface QuerySearch {
  sql?: string;
  saved?: string;
  limit?: number;
  versions?: Record<string, string>;
  chart?: ChartChoice;
  view?: "chart" | "table";
}

const ROWS = 1_000;

/** SQL over the lakehouse. The address has the statement and its chart, and the result names the versions that it read. */
export function QueryPage() {
  const search = useSearch({ from: "/query" });
  const navigate = useNavigate({ from: "/query" });
  const queries = useQueryClient();
  const { data: graph } = useQuery(assetGraph);
  const { data: current } = useQuery(session);
  const saved = useQuery({ ...savedQuery(search.saved ?? ""), enabled: Boolean(search.saved) });
  const spec = saved.data?.body.spec;
  const { data: rights } = useQuery(allowed(["ai_catalog.saved_query.update"], search.saved ? { id: search.saved, kind: "ai_catalog.saved_query" } : null));
  const [sql, setSql] = useState(search.sql ?? "");
  const [dialog, setDialog] = useState<"save" | "statements" | null>(null);
  const stop = useRef<AbortController | null>(null);
  const limit = search.limit ?? ROWS;
  const versions = search.versions ?? spec?.versions ?? {};
  const user = current?.user ?? "";
  const change = (changed: QuerySearch) => navigate({ search: (before) => ({ ...before, ...changed }), replace: true });

  const statement = useMutation({
    mutationFn: (wanted: Statement) => {
      stop.current = new AbortController();
      return run(wanted, stop.current.signal);
    },
    onSettled: (done, _error, wanted) => {
      if (user && !stop.current?.signal.aborted) remember(user, { sql: wanted.sql, at: new Date().toISOString(), rows: done?.result.rows.length ?? null });
    },
  });
  const start = (changed: Partial<Statement> = {}) => {
    const wanted = { sql, limit, versions, ...changed };
    if (!wanted.sql.trim() || statement.isPending) return;
    void change({ sql: spec?.sql === wanted.sql ? undefined : wanted.sql });
    statement.mutate(wanted);
  };
  // A saved query shows its result when it opens. A statement of a link runs when the user says so.
  const opened = saved.data?.body.id;
  useEffect(() => {
    if (!spec) return;
    const text = search.sql ?? spec.sql;
    setSql(text);
    statement.mutate({ sql: text, limit, versions });
  }, [opened]);

  const cancelled = stop.current?.signal.aborted ?? false;
  const failed = statement.error && !cancelled ? statement.error : null;
  const place = failed instanceof Problem ? placeOf(failed.message, statement.variables?.sql ?? "") : null;
  const done = statement.data;
  const proposed = done ? proposal(done.result) : null;
  const chart = search.chart ?? spec?.chart ?? proposed;
  const view = search.view ?? (search.chart || spec?.chart ? "chart" : "table");
  const changedSince = spec && (sql !== spec.sql || JSON.stringify(chart) !== JSON.stringify(spec.chart ?? proposed) || JSON.stringify(versions) !== JSON.stringify(spec.versions));
  const content = { sql, versions, chart: view === "chart" ? chart : (spec?.chart ?? null) };
  const updating = useMutation({
    mutationFn: () => send("PATCH", `${PATH}/${search.saved}`, { body: { spec: content }, etag: saved.data?.etag }),
    onSuccess: () => {
      notifications.show({ message: t("Saved") });
      void queries.invalidateQueries({ queryKey: ["item", "ai-catalog", "saved-queries", search.saved] });
    },
  });
  const choose = (asset: string, version: string | null) => {
    const { [asset]: _, ...others } = versions;
    const chosen = version === null ? others : { ...others, [asset]: version };
    void change({ versions: chosen });
    start({ versions: chosen });
  };

  return (
    <Stack gap="sm">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{spec?.title ?? t("Query")}</Title>
          {spec && (
            <Text size="sm" c="dimmed">
              {spec.description && `${spec.description} `}
              <Anchor component={Link} to={`/ai-catalog/saved-queries/${search.saved}`} size="sm">{t("Details and history")}</Anchor>
            </Text>
          )}
        </div>
        <Group gap="xs">
          <Button size="xs" variant="default" onClick={() => setDialog("statements")}>{t("Saved and run before")}</Button>
          {search.saved && (
            <Button
              size="xs"
              disabled={!changedSince || !rights?.has("ai_catalog.saved_query.update")}
              title={rights && !rights.has("ai_catalog.saved_query.update") ? t("You need the permission ai_catalog.saved_query.update.") : undefined}
              loading={updating.isPending}
              onClick={() => updating.mutate()}
            >
              {t("Save changes")}
            </Button>
          )}
          <Button size="xs" variant={search.saved ? "default" : "filled"} disabled={!sql.trim()} onClick={() => setDialog("save")}>{search.saved ? t("Save a copy") : t("Save")}</Button>
        </Group>
      </Group>
      {saved.error && <Trouble error={saved.error} retry={() => saved.refetch()} />}
      {updating.error && <Trouble error={updating.error} />}
      <SqlEditor value={sql} onChange={setSql} onRun={start} tables={graph?.nodes.map((node) => node.id) ?? []} error={place && failed ? { ...place, message: failed.message } : null} />
      <Group gap="sm">
        {statement.isPending ? (
          <Button color="red" variant="light" onClick={() => stop.current?.abort()}>{t("Cancel")}</Button>
        ) : (
          <Button onClick={() => start()} disabled={!sql.trim()}>{rich("Run {kbd}", { kbd: <Kbd ml={8} size="xs">Ctrl Enter</Kbd> })}</Button>
        )}
        <NumberInput aria-label={t("Maximum number of rows")} value={limit} min={1} max={100_000} w={130} thousandSeparator="," onChange={(value) => void change({ limit: Number(value) || undefined })} suffix=" rows" />
        <Text size="sm" c="dimmed" role="status">
          {statement.isPending ? t("Running") : cancelled && !done ? t("Cancelled") : done ? t("{count} in {milliseconds, number} ms", { count: rows(done.result.rows.length), milliseconds: Math.round(done.milliseconds) }) : t("Tables are named by the id of their asset, such as project.layer.name.")}
        </Text>
      </Group>
      {failed && <Trouble error={failed} />}
      {place && <Text size="sm" c="dimmed">{t("Line {line} of the statement is marked.", { line: place.line })}</Text>}
      {done && !failed && <Shown done={done} chart={chart} view={view} onView={(view) => void change({ view })} onChart={(chart) => void change({ chart, view: "chart" })} />}
      {done && !failed && <Inputs inputs={done.result.inputs} versions={done.statement.versions} onChoose={choose} />}
      {dialog === "save" && (
        <SaveDialog
          spec={content}
          initial={{ title: spec ? t("{title} (copy)", { title: spec.title }) : "", description: spec?.description ?? "" }}
          onClose={() => setDialog(null)}
          onSaved={(id) => {
            setDialog(null);
            notifications.show({ message: t("Saved") });
            void navigate({ search: { saved: id } });
          }}
        />
      )}
      {dialog === "statements" && (
        <Statements
          user={user}
          onClose={() => setDialog(null)}
          onOpen={(id) => { setDialog(null); void navigate({ search: { saved: id } }); }}
          onPick={(text) => { setDialog(null); setSql(text); void navigate({ search: { sql: text } }); }}
        />
      )}
    </Stack>
  );
}

function rows(count: number): string {
  return t("{count, plural, one {# row} other {# rows}}", { count });
}

interface ShownProps {
  done: Finished;
  chart: ChartChoice | null;
  view: "chart" | "table";
  onView: (view: "chart" | "table") => void;
  onChart: (chart: ChartChoice) => void;
}

/** A result as a table or a chart. */
function Shown({ done, chart, view, onView, onChart }: ShownProps) {
  const { result } = done;
  const drawable = chart !== null && result.rows.length > 0;
  const parquet = useMutation({ mutationFn: () => asParquet(done), onSuccess: (content) => download("result.parquet", content) });
  return (
    <>
      {result.truncated && <Alert color="gray" variant="light">{t("There are more rows. Raise the maximum, or add a condition.")}</Alert>}
      <Tabs value={drawable ? view : "table"} onChange={(value) => onView(value === "chart" ? "chart" : "table")} keepMounted={false}>
        <Group justify="space-between">
          <Tabs.List>
            <Tabs.Tab value="table">{t("Table")}</Tabs.Tab>
            <Tabs.Tab value="chart" disabled={!drawable}>{t("Chart")}</Tabs.Tab>
          </Tabs.List>
          <Group gap={4}>
            <Button size="xs" variant="subtle" disabled={!result.rows.length} onClick={() => download("result.csv", csv(result.columns, result.rows))}>
              {t("Download {count} as CSV", { count: rows(result.rows.length) })}
            </Button>
            <Button size="xs" variant="subtle" disabled={!result.columns.length} loading={parquet.isPending} title={t("Keeps the types of the columns")} onClick={() => parquet.mutate()}>{t("As Parquet")}</Button>
          </Group>
        </Group>
        {parquet.error && <Trouble error={parquet.error} />}
        <Tabs.Panel value="table" pt="sm">
          {result.rows.length ? (
            <Grid key={done.milliseconds} label={t("Result")} columns={result.columns.map(({ name, type }) => ({ name, note: type }))} rows={result.rows} />
          ) : (
            <Text size="sm" c="dimmed">{t("The statement returned no rows.")}</Text>
          )}
        </Tabs.Panel>
        <Tabs.Panel value="chart" pt="sm">{chart && <ChartBuilder result={result} choice={chart} onChange={onChart} />}</Tabs.Panel>
      </Tabs>
    </>
  );
}
