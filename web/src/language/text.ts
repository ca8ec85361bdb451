// The texts of the console. The source has them in English, as ICU messages, and a catalog in another language.

import type { MessageFormatElement } from "@formatjs/icu-messageformat-parser";
import { IntlMessageFormat } from "intl-messageformat";
import { createElement, Fragment, type ReactNode } from "react";
import { chosen, PSEUDO, SOURCE } from "./choice";

type Catalog = Record<string, string | MessageFormatElement[]>;
type Tag = (inside: ReactNode[]) => ReactNode;

const PLAIN = /^[^{}<']*$/;
const FILE = /([^/]+)\.json$/;
const catalogs = Object.fromEntries(
  Object.entries(import.meta.glob<Catalog>("./catalogs/*.json", { import: "default" })).map(([path, read]) => [FILE.exec(path)?.[1] ?? "", read]),
);
const wanted = typeof navigator === "undefined" ? [] : navigator.languages;
const language = chosen(wanted, [...Object.keys(catalogs), PSEUDO]);

let catalog: Catalog = {};
const formats = new Map<string, IntlMessageFormat>();

/** Reads the translations to the browser's language. No module with texts may be read before. */
export async function loadLanguage(): Promise<void> {
  document.documentElement.lang = language;
  if (language === PSEUDO) {
    const [{ pseudo }, english] = await Promise.all([import("./pseudo"), catalogs[SOURCE]?.()]);
    catalog = Object.fromEntries(Object.keys(english ?? {}).map((message) => [message, pseudo(message)]));
  } else if (language !== SOURCE) catalog = (await catalogs[language]?.()) ?? {};
}

function format(message: string): IntlMessageFormat {
  let found = formats.get(message);
  if (!found) formats.set(message, (found = new IntlMessageFormat(catalog[message] ?? message, language === PSEUDO ? SOURCE : language)));
  return found;
}

/** Returns a message in the language of the user. Its placeholders and plurals have the form of ICU: `{count, plural, one {# row} other {# rows}}`. */
export function t(message: string, values?: Record<string, string | number | boolean | null | undefined>): string {
  // Most messages of the source are as they stand, and there are many in a table.
  if (language === SOURCE && PLAIN.test(message)) return message;
  return String(format(message).format(values));
}

/** Returns a message whose values are elements, or functions that draw what is inside of a tag: `Read <link>the log</link>`. */
export function rich(message: string, values: Record<string, ReactNode | Tag>): ReactNode {
  const parts = format(message).format<ReactNode>(values as Record<string, ReactNode>);
  return Array.isArray(parts) ? createElement(Fragment, null, ...parts) : parts;
}
