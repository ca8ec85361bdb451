import { sql } from "@codemirror/lang-sql";
import { oneDark } from "@codemirror/theme-one-dark";
import { useComputedColorScheme } from "@mantine/core";
import { basicSetup, EditorView } from "codemirror";
import { Prec } from "@codemirror/state";
import { keymap } from "@codemirror/view";
import { useEffect, useRef } from "react";

/** A background on which all colors of the dark theme have a contrast of at least 4.5 to 1. */
const DARKER = { backgroundColor: "var(--mantine-color-dark-8)" };

interface Props {
  value: string;
  onChange: (value: string) => void;
  onRun: () => void;
  /** Ids of tables, for completion. */
  tables: string[];
}

/** An editor for a SQL statement, with completion of tables. Ctrl Enter runs it. */
export function SqlEditor({ value, onChange, onRun, tables }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef({ value, onChange, onRun });
  latest.current = { value, onChange, onRun };
  const dark = useComputedColorScheme("light") === "dark";
  const names = tables.join(" ");
  useEffect(() => {
    if (!box.current) return;
    const run = () => {
      latest.current.onRun();
      return true;
    };
    const view = new EditorView({
      parent: box.current,
      doc: latest.current.value,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run }])),
        basicSetup,
        sql({ schema: Object.fromEntries(names.split(" ").filter(Boolean).map((name) => [name, []])) }),
        EditorView.theme({
          "&": { minHeight: "120px", border: "1px solid var(--mantine-color-default-border)", ...(dark && DARKER) },
          ".cm-activeLine": { backgroundColor: "transparent" },
          ".cm-gutters, .cm-activeLineGutter": dark ? DARKER : {},
        }),
        ...(dark ? [oneDark] : []),
        EditorView.contentAttributes.of({ "aria-label": "SQL statement" }),
        EditorView.updateListener.of((update) => update.docChanged && latest.current.onChange(update.state.doc.toString())),
      ],
    });
    return () => view.destroy();
  }, [names, dark]);
  return <div ref={box} />;
}
