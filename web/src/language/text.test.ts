import { IntlMessageFormat } from "intl-messageformat";
import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { expect, test } from "vitest";
import { chosen } from "./choice";
import { pseudo } from "./pseudo";
import { rich, t } from "./text";

test("a message takes its values, and the plural of its number", () => {
  const message = "{count, plural, one {# row} other {# rows}} of {table}";
  expect(t(message, { count: 1, table: "a.b.c" })).toBe("1 row of a.b.c");
  expect(t(message, { count: 1200, table: "a.b.c" })).toBe("1,200 rows of a.b.c");
  expect(t("You don't see {what}.", { what: "{this} <b>" })).toBe("You don't see {this} <b>.");
});

test("what is inside of a tag is drawn by its function", () => {
  const drawn = rich("Read <link>the log</link> of {run}", { link: (inside) => createElement("a", null, ...inside), run: createElement("b", null, "r1") });
  expect(renderToStaticMarkup(createElement("p", null, drawn))).toBe("<p>Read <a>the log</a> of <b>r1</b></p>");
});

test("the language is the first one that the user wants and that there is", () => {
  expect(chosen(["fr-CA", "de-AT", "en"], ["en", "de"])).toBe("de");
  expect(chosen(["pt-BR", "pt"], ["en", "pt-BR"])).toBe("pt-BR");
  expect(chosen(["fr"], ["en"])).toBe("en");
});

test("the made-up language changes the words, and nothing else", () => {
  const made = new IntlMessageFormat(pseudo("{count, plural, one {# row} other {# rows}} in <b>{place}</b>"), "en");
  expect(made.format({ count: 2, place: "here", b: (inside: unknown[]) => `*${inside.join("")}*` })).toBe("⟦2 řöwš îñ *here*⟧");
});
