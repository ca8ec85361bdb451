// The text of a definition: YAML with `component` and `attributes`, as `headwater assets define` reads it.

import { isMap, isNode, isPair, isSeq, LineCounter, parseDocument, stringify } from "yaml";
import { isRecord } from "../../../kernel/values";
import { t } from "../../../language/text";

export interface Parsed {
  component: string;
  attributes: Record<string, unknown>;
  /** Why the text can't be read, and the number of the line. */
  problem?: { line: number; detail: string };
}

export interface Fault {
  pointer: string;
  detail: string;
}

const STYLE = { lineWidth: 100 } as const;

/** Writes a definition as text. */
export function written(component: string, attributes: Record<string, unknown>): string {
  return stringify({ component, attributes }, STYLE);
}

/** Reads a text. A text with a problem has the component and the attributes that could be read. */
export function parsed(text: string): Parsed {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const value: unknown = document.errors.length ? null : document.toJS();
  const [error] = document.errors;
  if (error) {
    return { component: "", attributes: {}, problem: { line: lines.linePos(error.pos[0]).line, detail: error.message.split("\n", 1)[0] ?? "" } };
  }
  const component = isRecord(value) && typeof value.component === "string" ? value.component : "";
  const attributes = isRecord(value) && isRecord(value.attributes) ? value.attributes : {};
  if (!isRecord(value) || !isRecord(value.attributes)) {
    return { component, attributes, problem: { line: 1, detail: t("A definition has the fields component and attributes.") } };
  }
  const unknown = Object.keys(value).find((name) => name !== "component" && name !== "attributes");
  if (unknown) return { component, attributes, problem: { line: lineOf(text, `/${unknown}`), detail: t("A definition has no field {unknown}.", { unknown }) } };
  return { component, attributes };
}

/** Changes an attribute and leaves the rest of the text, with its comments, as it is. No value removes the attribute. */
export function withAttribute(text: string, name: string, value: unknown): string {
  const document = parseDocument(text);
  if (isEmpty(value)) document.deleteIn(["attributes", name]);
  else document.setIn(["attributes", name], document.createNode(value));
  if (!document.hasIn(["attributes"])) document.set("attributes", document.createNode({}));
  return document.toString(STYLE);
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

/** The range of characters of what a JSON pointer names, or of the nearest thing around it. */
export function rangeOf(text: string, pointer: string): { from: number; to: number } {
  const document = parseDocument(text);
  let node: unknown = document.contents;
  let range = { from: 0, to: Math.max(0, text.indexOf("\n")) };
  for (const part of pointer.split("/").slice(1).map((one) => one.replaceAll("~1", "/").replaceAll("~0", "~"))) {
    if (isMap(node)) {
      const pair = node.items.find((one) => isPair(one) && String(isNode(one.key) ? one.key.toJSON() : one.key) === part);
      if (!pair) return range;
      const key = isNode(pair.key) && pair.key.range ? pair.key.range : null;
      if (key) range = { from: key[0], to: key[1] };
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      if (!isNode(node) || !node.range) return range;
      range = { from: node.range[0], to: Math.min(node.range[1], endOfLine(text, node.range[0])) };
    } else return range;
  }
  return range;
}

/** The line, from 1, of what a JSON pointer names. */
export function lineOf(text: string, pointer: string): number {
  return text.slice(0, rangeOf(text, pointer).from).split("\n").length;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}
