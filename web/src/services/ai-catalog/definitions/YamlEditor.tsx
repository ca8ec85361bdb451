import { yaml } from "@codemirror/lang-yaml";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { oneDark } from "@codemirror/theme-one-dark";
import { useComputedColorScheme } from "@mantine/core";
import { basicSetup, EditorView } from "codemirror";
import { Prec } from "@codemirror/state";
import { keymap } from "@codemirror/view";
import { useEffect, useRef } from "react";
import { type Fault, rangeOf } from "./text";

/** A background on which all colors of the dark theme have a contrast of at least 4.5 to 1. */
const DARKER = { backgroundColor: "var(--mantine-color-dark-8)" };

interface Props {
  label: string;
  value: string;
  onChange: (value: string) => void;
  onRun: () => void;
  /** Why the text can't be read. */
  problem?: { line: number; detail: string };
  /** Faults, each shown at the line of its JSON pointer. */
  faults: Fault[];
}

/** An editor for YAML, with each fault at its line. */
export function YamlEditor({ label, value, onChange, onRun, problem, faults }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(null);
  const latest = useRef({ value, onChange, onRun });
  latest.current = { value, onChange, onRun };
  const dark = useComputedColorScheme("light") === "dark";
  useEffect(() => {
    if (!box.current) return;
    const editor = new EditorView({
      parent: box.current,
      doc: latest.current.value,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run: () => (latest.current.onRun(), true) }])),
        basicSetup,
        yaml(),
        lintGutter(),
        EditorView.lineWrapping,
        EditorView.theme({
          "&": { minHeight: "320px", border: "1px solid var(--mantine-color-default-border)", ...(dark && DARKER) },
          ".cm-activeLine": { backgroundColor: "transparent" },
          ".cm-gutters, .cm-activeLineGutter": dark ? DARKER : {},
        }),
        ...(dark ? [oneDark] : []),
        EditorView.contentAttributes.of({ "aria-label": label }),
        EditorView.updateListener.of((update) => {
          const text = update.state.doc.toString();
          if (update.docChanged && text !== latest.current.value) latest.current.onChange(text);
        }),
      ],
    });
    view.current = editor;
    return () => {
      editor.destroy();
      view.current = null;
    };
  }, [dark, label]);
  useEffect(() => {
    const editor = view.current;
    if (editor && editor.state.doc.toString() !== value) {
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value } });
    }
  }, [value]);
  const shown = JSON.stringify([problem, faults]);
  useEffect(() => {
    const editor = view.current;
    if (!editor) return;
    const text = editor.state.doc.toString();
    const places = faults.map(({ pointer, detail }) => ({ ...rangeOf(text, pointer), detail }));
    if (problem) {
      const { from, to } = editor.state.doc.line(Math.min(problem.line, editor.state.doc.lines));
      places.push({ from, to, detail: problem.detail });
    }
    const found = places.map(({ from, to, detail }) => ({ from, to, severity: "error" as const, message: detail }));
    editor.dispatch(setDiagnostics(editor.state, found));
    const [first] = found;
    if (first) editor.dispatch({ effects: EditorView.scrollIntoView(first.from, { y: "center" }) });
  }, [shown, dark]);
  return <div ref={box} />;
}
