// Which language the console speaks: the first of the browser's languages that has a catalog.

/** The language of the texts in the source. It needs no catalog. */
export const SOURCE = "en";

/** The language of `pseudo.ts`, which shows what can't be translated. */
export const PSEUDO = "en-XA";

/** Returns the first wanted language that there is, or the same language of another region, or else English. */
export function chosen(wanted: readonly string[], known: readonly string[]): string {
  for (const one of wanted) {
    if (known.includes(one)) return one;
    const language = one.split("-")[0] ?? "";
    if (known.includes(language)) return language;
  }
  return SOURCE;
}
