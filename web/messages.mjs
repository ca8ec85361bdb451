// Collects the texts of the console for its translators. `node messages.mjs` writes them to `src/language/catalogs/en.json`,
// and with `--check` it fails if that file is stale, or if a text that people see is outside of `t` and `rich`.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { parseSync } from "vite";

const CATALOG = "src/language/catalogs/en.json";
const HINT = 'Write it as t("...") or rich("...") of src/language/text.ts.';

/** Attributes and properties that hold texts. Others hold names of colors, sizes, and fields. */
const HOLDS_TEXT =
  /^(label|title|placeholder|description|alt|aria-label|ariaLabel|aria-description|aria-roledescription|does|text|word|empty|submit|heading|message|nothingFound|error|hint|noun|meaning|group|unit|caption|note)$/;
const HOLDS_NO_TEXT = /^(queryKey|method|path|className|style|key|to|href|from|variant|color|size|role|id|type|format|align|justify|component|autoComplete|filter|order_by|orderBy|fontFamily|fontFamilyMonospace|gridTemplateColumns|transition|border|boxShadow|padding|margin|points|d)$/;
/** Elements whose content is in no language. In code, only a whole sentence is. */
const KEYS = new Set(["Kbd", "style", "script"]);
const CODE = new Set(["Code", "code", "pre"]);

export const isTranslation = (node) => node.type === "CallExpression" && node.callee.type === "Identifier" && /^(t|rich)$/.test(node.callee.name);
export const isText = (node) => node.type === "JSXText" || node.type === "TemplateLiteral" || (node.type === "Literal" && typeof node.value === "string");

/** The words of a text, without what a template inserts. */
export function wordsOf(node) {
  if (node.type === "TemplateLiteral") return node.quasis.map((one) => one.value.cooked).join("\u0000");
  return node.value;
}

const hasWord = (text) => /\p{L}{2}/u.test(text);

/** Whether a text is in the language of a program: an address, a query, a style, an example of a name. */
const isCode = (text) =>
  /^[/.#@]|^https?:|^\s*<|[{}]|;(?! )|=>|[=!]=|="|\.\w+\(|\b(SELECT|IN|AND) |^(var|calc)\(|\dpx\b|^(-H|curl|headwater|timestamp) |^[a-z_]+[._][a-z_]+\b/.test(text);

/** Whether a text reads like one for people: it begins with a capital, or it has several words. */
function readsLikeText(text) {
  if (isCode(text) || /^[A-Z][a-z]+([A-Z][a-z]*)+$/.test(text)) return false;
  return /^[A-Z][a-z]+(-[a-z]+)*[.:?…]?$/.test(text) || /[\p{L}\d\u0000'’)][.,:]? [(]?[\p{L}\d\u0000]/u.test(text);
}

const nameOf = (node) => (node.type === "JSXIdentifier" || node.type === "Identifier" ? node.name : node.type === "Literal" ? String(node.value) : node.type === "JSXNamespacedName" ? `${node.namespace.name}:${node.name.name}` : "");

/**
 * Whether people see a text, by what it is part of: a child of an element, an attribute, a property, a message. `parents`
 * begins with the nearest one.
 */
export function isSeen(node, parents) {
  const text = wordsOf(node);
  if (!hasWord(text)) return false;
  let from = node;
  for (const parent of parents) {
    switch (parent.type) {
      case "JSXElement":
        if (CODE.has(nameOf(parent.openingElement.name))) return node.type === "Literal" && readsLikeText(text);
        return !KEYS.has(nameOf(parent.openingElement.name));
      case "JSXFragment":
        return true;
      case "JSXAttribute": {
        const name = nameOf(parent.name);
        return HOLDS_TEXT.test(name) ? !isCode(text) : !HOLDS_NO_TEXT.test(name) && readsLikeText(text);
      }
      case "Property": {
        if (from === parent.key) return false;
        const name = nameOf(parent.key);
        return HOLDS_TEXT.test(name) ? !isCode(text) : !HOLDS_NO_TEXT.test(name) && readsLikeText(text);
      }
      case "ConditionalExpression":
        if (from === parent.test) return false;
        break;
      case "LogicalExpression":
      case "TemplateLiteral":
      case "ParenthesizedExpression":
      case "JSXExpressionContainer":
      case "TSAsExpression":
      case "TSSatisfiesExpression":
      case "ObjectExpression":
      case "ArrayExpression":
        break;
      case "BinaryExpression":
        if (parent.operator !== "+") return false;
        break;
      case "CallExpression":
      case "NewExpression":
        if (isTranslation(parent)) return from !== parent.arguments[0];
        if (parent.callee.type === "Identifier" && parent.callee.name === "notice") return true;
        return readsLikeText(text) && !/^(get|send|test|it|expect|getElementById|querySelector|closest|matches|addEventListener|lazyRouteComponent|RegExp|useLive|partQuery)$/.test(nameOf(parent.callee.property ?? parent.callee));
      case "MemberExpression":
      case "SwitchCase":
        return from !== (parent.test ?? parent.property) && readsLikeText(text);
      case "ImportDeclaration":
      case "ImportExpression":
      case "ExportNamedDeclaration":
      case "ExportAllDeclaration":
        return false;
      default:
        if (parent.type.startsWith("TS")) return false;
        return readsLikeText(text);
    }
    from = parent;
  }
  return false;
}

/** Visits the nodes of a syntax tree, the parents before their children. */
export function walk(node, visit, parents = []) {
  visit(node, parents);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (child && typeof child.type === "string") walk(child, visit, [node, ...parents]);
    }
  }
}

export const files = () =>
  readdirSync("src", { recursive: true }).map((one) => `src/${one}`).filter((one) => /\.tsx?$/.test(one) && !/\.test\.ts$|\/generated\//.test(one)).sort();

export function parsed(file, source) {
  const { program, errors } = parseSync(file, source);
  if (errors.length) throw new Error(`${file}: ${errors[0].message}`);
  return program;
}

/** The messages of a file, and the places of its texts that can't be translated. */
function read(file) {
  const source = readFileSync(file, "utf8");
  const messages = [];
  const outside = [];
  const report = (node, why) => outside.push(`${file}:${source.slice(0, node.start).split("\n").length}: ${why}: ${source.slice(node.start, node.end).trim().slice(0, 80)}`);
  walk(parsed(file, source), (node, parents) => {
    if (isTranslation(node)) {
      const [message] = node.arguments;
      if (message?.type === "Literal" && typeof message.value === "string") messages.push(message.value);
      else report(node, "the message is not a literal");
    } else if (isText(node) && isSeen(node, parents)) report(node, "a text outside of the messages");
  });
  return { messages, outside };
}

function main() {
  const found = files().map(read);
  const outside = found.flatMap((one) => one.outside);
  const messages = [...new Set(found.flatMap((one) => one.messages))].sort();
  const catalog = `${JSON.stringify(Object.fromEntries(messages.map((one) => [one, one])), null, 2)}\n`;
  if (!process.argv.includes("--check")) {
    writeFileSync(CATALOG, catalog);
    return;
  }
  if (outside.length) console.error(`${outside.join("\n")}\n${HINT}`);
  const isStale = readFileSync(CATALOG, "utf8") !== catalog;
  if (isStale) console.error(`${CATALOG} is stale. Run \`npm run messages\`.`);
  if (outside.length || isStale) process.exit(1);
}

if (import.meta.filename === process.argv[1]) main();
