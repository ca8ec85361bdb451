// Writes the types of the requests and answers of each service, from the OpenAPI documents. `npm run check` runs it, so a
// page that uses a field that no longer exists doesn't pass.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";

const DOCUMENTS = new URL("../docs/openapi/", import.meta.url);
const OUT = new URL("src/api/generated/", import.meta.url);

/** The TypeScript type of a JSON Schema, as far as the API uses it. */
export function typeOf(schema) {
  if (schema === true || schema === undefined) return "unknown";
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return [...new Set(options.map(typeOf))].join(" | ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" & ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type })).join(" | ");
  switch (schema.type) {
    case "string":
      return "string";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "null":
      return "null";
    case "array":
      if (schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
      return `(${typeOf(schema.items)})[]`;
    case "object": {
      if (schema.properties) return object(schema);
      const values = schema.additionalProperties ?? Object.values(schema.patternProperties ?? {})[0];
      return values === false ? "Record<string, never>" : `Record<string, ${typeOf(values)}>`;
    }
    default:
      return "unknown";
  }
}

function object(schema) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([name, declared]) => {
    const comment = declared.description ? `  /** ${declared.description.replaceAll("*/", "*\\/").replaceAll("\n", " ")} */\n` : "";
    const key = /^[A-Za-z_]\w*$/.test(name) ? name : JSON.stringify(name);
    return `${comment}  ${key}${required.has(name) ? "" : "?"}: ${typeOf(declared)};\n`;
  });
  return `{\n${fields.join("")}}`;
}

export function types(document) {
  const schemas = Object.entries(document.components.schemas);
  return schemas.map(([name, schema]) => `export type ${name} = ${typeOf(schema)};\n`).join("\n");
}

if (import.meta.filename === process.argv[1]) {
  mkdirSync(OUT, { recursive: true });
  for (const file of readdirSync(DOCUMENTS)) {
    const document = JSON.parse(readFileSync(new URL(file, DOCUMENTS), "utf8"));
    writeFileSync(new URL(file.replace(/json$/, "ts"), OUT), types(document));
  }
}
