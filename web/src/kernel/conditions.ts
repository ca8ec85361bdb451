// Conditions of the filter language (CEL), as people build and read them.

import type { KindEntry } from "../api/platform";
import { type Schema, type Schemas, words } from "../api/schema";
import { t } from "../language/text";
import { fieldAt } from "./columns";

export type FilterType = "text" | "choice" | "reference" | "number" | "boolean" | "time" | "list" | "labels";

/** A field that lists of a kind can be filtered by. */
export interface FilterField {
  name: string;
  label: string;
  type: FilterType;
  choices: string[];
  refersTo: string[];
}

type Write = (name: string, value: string) => string;

const quoted = (value: string) => JSON.stringify(value);
const instant = (value: string) => `timestamp(${quoted(new Date(value).toISOString())})`;
const compare = (operator: string, literal: (value: string) => string): Write => (name, value) => `${name} ${operator} ${literal(value)}`;
const call = (method: string): Write => (name, value) => `${name}.${method}(${quoted(value)})`;
const plain = (value: string) => value;
const EMPTY: Record<string, Write> = { "is empty": (name) => `${name} == null`, "is not empty": (name) => `${name} != null` };
const EQUAL: Record<string, Write> = { is: compare("==", quoted), "is not": compare("!=", quoted) };

/** Comparisons as people say them. */
export const COMPARISON_WORDS: Record<string, string> = {
  contains: t("contains"),
  has: t("has"),
  is: t("is"),
  "is after": t("is after"),
  "is at least": t("is at least"),
  "is at most": t("is at most"),
  "is before": t("is before"),
  "is empty": t("is empty"),
  "is not": t("is not"),
  "is not empty": t("is not empty"),
  "starts with": t("starts with"),
};

/** The comparisons of each type of field, and how the filter language writes them. */
const COMPARISONS: Record<FilterType, Record<string, Write>> = {
  text: { contains: call("contains"), ...EQUAL, "starts with": call("startsWith"), ...EMPTY },
  choice: { ...EQUAL, ...EMPTY },
  reference: { ...EQUAL, ...EMPTY },
  number: { is: compare("==", plain), "is at least": compare(">=", plain), "is at most": compare("<=", plain), ...EMPTY },
  boolean: { is: compare("==", plain) },
  time: { "is after": compare(">=", instant), "is before": compare("<", instant), ...EMPTY },
  list: { contains: (name, value) => t("{quoted} in {name}", { quoted: quoted(value), name }) },
  labels: {
    has: (name, value) => `has(${name}.${value})`,
    is: (name, value) => {
      const [key = "", ...rest] = value.split("=");
      return `${name}.${key.trim()} == ${quoted(rest.join("=").trim())}`;
    },
  },
};

export function comparisons(type: FilterType): string[] {
  return Object.keys(COMPARISONS[type]);
}

export function needsValue(comparison: string): boolean {
  return !(comparison in EMPTY);
}

export function condition(field: Pick<FilterField, "name" | "type">, comparison: string, value: string): string {
  return COMPARISONS[field.type][comparison]?.(field.name, value) ?? "";
}

/** The fields that a kind declares for filters, with the types that its items have there. */
export function filterFields(kind: KindEntry, item: Schema | undefined, schemas: Schemas): FilterField[] {
  return kind.filter_by
    .filter((name) => name !== "kind" || !kind.order_by.length)
    .map((name) => {
      const declared = fieldAt(item, name, schemas) ?? (name === "state" ? fieldAt(item, "status.state", schemas) : undefined);
      const choices = (declared?.schema.enum ?? []).filter((one) => one !== null).map(String);
      const refersTo = declared?.refersTo ?? [];
      const type = (): FilterType => {
        if (name === "labels") return "labels";
        if (choices.length) return "choice";
        if (refersTo.length) return "reference";
        if (declared?.schema.format === "date-time" || name === "at") return "time";
        if (declared?.shape === "number" || declared?.shape === "boolean" || declared?.shape === "list") return declared.shape;
        return "text";
      };
      return { name, label: words(name.split(".").at(-1) ?? name), type: type(), choices, refersTo };
    });
}

/** The conditions that a filter joins with `&&`, in their order. */
export function parts(filter: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let quote = "";
  let start = 0;
  for (let at = 0; at < filter.length; at++) {
    const character = filter[at] as string;
    if (quote) {
      if (character === "\\") at++;
      else if (character === quote) quote = "";
    } else if (character === '"' || character === "'") quote = character;
    else if ("([".includes(character)) depth++;
    else if (")]".includes(character)) depth--;
    else if (!depth && filter.startsWith("||", at)) return [filter.trim()];
    else if (!depth && filter.startsWith("&&", at)) {
      found.push(filter.slice(start, at).trim());
      start = at + 2;
      at++;
    }
  }
  return [...found, filter.slice(start).trim()].filter(Boolean);
}

const PATTERNS: [RegExp, string][] = [
  [/^([\w.]+)\s*==\s*null$/, t("is empty")],
  [/^([\w.]+)\s*!=\s*null$/, t("is not empty")],
  [/^([\w.]+)\s*==\s*(.+)$/, t("is")],
  [/^([\w.]+)\s*!=\s*(.+)$/, t("is not")],
  [/^([\w.]+) >= timestamp\((.+)\)$/, t("is after")],
  [/^([\w.]+) < timestamp\((.+)\)$/, t("is before")],
  [/^([\w.]+)\s*>=\s*(.+)$/, t("is at least")],
  [/^([\w.]+)\s*<=\s*(.+)$/, t("is at most")],
  [/^([\w.]+)\.startsWith\((.+)\)$/, t("starts with")],
  [/^([\w.]+)\.contains\((.+)\)$/, t("contains")],
];

/** A condition as people say it: `Owner is ada`. One that isn't simple stays as it is written. */
export function inWords(text: string): string {
  for (const [pattern, comparison] of PATTERNS) {
    const match = pattern.exec(text);
    if (!match) continue;
    const value = (match[2] ?? "").replace(/^"(.*)"$/, "$1").replaceAll('\\"', '"');
    if (/["&|]/.test(value)) return text;
    const [first = "", ...rest] = (match[1] ?? "").split(".");
    const name = first === "labels" ? t("Label {rest}", { rest: rest.join(".") }) : words(rest.at(-1) ?? first);
    return `${name} ${comparison} ${value}`.trim();
  }
  return text;
}
