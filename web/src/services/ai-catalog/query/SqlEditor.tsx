import { closeCompletion, type Completion, type CompletionContext, type CompletionResult } from "@codemirror/autocomplete";
import { sql, StandardSQL } from "@codemirror/lang-sql";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { oneDark } from "@codemirror/theme-one-dark";
import { keymap } from "@codemirror/view";
import { useComputedColorScheme } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { basicSetup, EditorView } from "codemirror";
import { useEffect, useRef } from "react";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import type { Place } from "./position";

/** A background on which all colors of the dark theme have a contrast of at least 4.5 to 1. */
const DARKER = { backgroundColor: "var(--mantine-color-dark-8)" };
const MOST_TABLES = 20;

interface Props {
  value: string;
  onChange: (value: string) => void;
  onRun: () => void;
  /** Ids of tables, for completion. */
  tables: string[];
  /** Where the last statement failed, and why. */
  error: (Place & { message: string }) | null;
}

interface TableSchema {
  columns: { name: string; type: string }[];
}

/** An editor for a SQL statement, with completion of tables and of the columns of the tables that it names. Ctrl Enter runs it. */
export function SqlEditor({ value, onChange, onRun, tables, error }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const editor = useRef<EditorView | null>(null);
  const latest = useRef({ value, onChange, onRun, tables });
  latest.current = { value, onChange, onRun, tables };
  const parts = useRef({ language: new Compartment(), look: new Compartment() });
  const queries = useQueryClient();
  const dark = useComputedColorScheme("light") === "dark";
  const names = tables.join(" ");
  useEffect(() => {
    if (!box.current) return;
    const columns = async (context: CompletionContext): Promise<CompletionResult | null> => {
      const word = context.matchBefore(/\w*/);
      if (!word || (word.from === word.to && !context.explicit && context.state.sliceDoc(word.from - 1, word.from) !== ".")) return null;
      const text = context.state.doc.toString().toLowerCase();
      const named = latest.current.tables.filter((id) => text.includes(id)).slice(0, MOST_TABLES);
      const found = await Promise.all(named.map((id) => queries.fetchQuery(schemaOf(id)).then((schema) => ({ id, schema }), () => null)));
      const options = found.flatMap((one): Completion[] => one?.schema.columns.map(({ name, type }) => ({ label: name, detail: type, info: one.id, type: "property", boost: 1 })) ?? []);
      return options.length ? { from: word.from, options, validFor: /^\w*$/ } : null;
    };
    const view = new EditorView({
      parent: box.current,
      doc: latest.current.value,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run: (target) => (closeCompletion(target), latest.current.onRun(), true) }])),
        basicSetup,
        parts.current.language.of(sql()),
        StandardSQL.language.data.of({ autocomplete: columns }),
        parts.current.look.of([]),
        lintGutter(),
        EditorState.tabSize.of(2),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": t("SQL statement") }),
        EditorView.updateListener.of((update) => update.docChanged && latest.current.onChange(update.state.doc.toString())),
      ],
    });
    editor.current = view;
    return () => view.destroy();
  }, [queries]);
  useEffect(() => {
    editor.current?.dispatch({ effects: parts.current.language.reconfigure(sql({ schema: namespace(names.split(" ").filter(Boolean)) })) });
  }, [names]);
  useEffect(() => {
    const look = EditorView.theme({
      "&": { minHeight: "120px", maxHeight: "40dvh", border: "1px solid var(--mantine-color-default-border)", ...(dark && DARKER) },
      ".cm-scroller": { overflow: "auto" },
      ".cm-activeLine": { backgroundColor: "transparent" },
      ".cm-gutters, .cm-activeLineGutter": dark ? DARKER : {},
    });
    editor.current?.dispatch({ effects: parts.current.look.reconfigure(dark ? [look, oneDark] : [look]) });
  }, [dark]);
  useEffect(() => {
    const view = editor.current;
    if (view && view.state.doc.toString() !== value) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } });
  }, [value]);
  useEffect(() => {
    const view = editor.current;
    if (!view) return;
    const fits = error && error.to <= view.state.doc.length;
    view.dispatch(setDiagnostics(view.state, fits ? [{ from: error.from, to: error.to, severity: "error", message: error.message }] : []));
  }, [error]);
  return <div ref={box} />;
}

function schemaOf(id: string) {
  return {
    queryKey: ["columns", id],
    queryFn: () => get<TableSchema>(`/api/v1/ai-catalog/assets/${encodeURIComponent(id)}/schema`),
    staleTime: 60_000,
    retry: false,
  };
}

type Namespace = { [name: string]: Namespace } | string[];

/** Ids as a tree of project, schema, and table. */
function namespace(ids: string[]): Namespace {
  const tree: Record<string, Record<string, Record<string, string[]>>> = {};
  for (const id of ids) {
    const [project, schema, table] = id.split(".");
    if (project && schema && table) ((tree[project] ??= {})[schema] ??= {})[table] = [];
  }
  return tree;
}
