// A made-up language in which letters have accents: a text on a page without them is outside of the catalog.

import { type MessageFormatElement, parse, TYPE } from "@formatjs/icu-messageformat-parser";

const PLAIN = "AEINOSUYaeinosuycdlrz";
const ACCENTED = [..."ÅÉÎÑÖŠÜÝåéîñöšüýçðłřž"];

const literal = (value: string): MessageFormatElement => ({ type: TYPE.literal, value });
const accented = (text: string) => [...text].map((letter) => ACCENTED[PLAIN.indexOf(letter)] ?? letter).join("");

/** Returns a message in the made-up language. Brackets show where it begins and ends. */
export function pseudo(message: string): MessageFormatElement[] {
  return [literal("⟦"), ...changed(parse(message)), literal("⟧")];
}

function changed(elements: MessageFormatElement[]): MessageFormatElement[] {
  return elements.map((one) => {
    if (one.type === TYPE.literal) return literal(accented(one.value));
    if (one.type === TYPE.tag) return { ...one, children: changed(one.children) };
    if (one.type !== TYPE.plural && one.type !== TYPE.select) return one;
    const options = Object.entries(one.options).map(([name, option]) => [name, { ...option, value: changed(option.value) }]);
    return { ...one, options: Object.fromEntries(options) };
  });
}
