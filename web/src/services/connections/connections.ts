import { queryOptions } from "@tanstack/react-query";
import type { Connection, ConnectorSchema, ConnectorType, ConnectorTypePage, Secret } from "../../api/generated/connections";
import { get, Problem, send } from "../../api/http";
import { type Schema, type Schemas, words } from "../../api/schema";
import { t } from "../../language/text";

export const PATH = "/api/v1/connections/connections";
export const LIST: string = "/connections/connections";
const TYPES = "/api/v1/connections/connector-types";
const SECRETS = "/api/v1/connections/secrets";
const MAX_NAMES = 20;

export const connectorTypes = queryOptions({
  queryKey: ["connector-types"],
  queryFn: async ({ signal }): Promise<ConnectorType[]> => (await get<ConnectorTypePage>(TYPES, { query: { page_size: 1000 }, signal })).items,
  staleTime: Number.POSITIVE_INFINITY,
});

export const configSchema = (connector: string) =>
  queryOptions({
    queryKey: ["connector-types", connector, "schema"],
    queryFn: async ({ signal }) => (await get<ConnectorSchema>(`${TYPES}/${encodeURIComponent(connector)}/schema`, { signal })).config as ConfigSchema,
    staleTime: Number.POSITIVE_INFINITY,
  });

interface ConfigSchema extends Schema {
  $defs?: Schemas;
}

export interface ConfigField {
  name: string;
  schema: Schema;
  required: boolean;
  isSecret: boolean;
}

/** The fields of a configuration, in the order of its author. */
export function configFields(schema: Schema): ConfigField[] {
  return Object.entries(schema.properties ?? {}).map(([name, inner]) => ({
    name,
    schema: inner,
    required: schema.required?.includes(name) ?? false,
    isSecret: (inner as Record<string, unknown>)["x-secret"] === true,
  }));
}

/** A secret of a connection: one that is stored, or a value to store. */
export type ChosenSecret = { id: string } | { value: string };
export type ChosenSecrets = Record<string, ChosenSecret>;

/** Ids of stored secrets, and values of others. What was left empty is in neither. */
export function split(chosen: ChosenSecrets): { secrets: Record<string, string>; values: Record<string, string> } {
  const entries = Object.entries(chosen);
  return {
    secrets: Object.fromEntries(entries.flatMap(([field, one]) => ("id" in one && one.id ? [[field, one.id]] : []))),
    values: Object.fromEntries(entries.flatMap(([field, one]) => ("value" in one && one.value ? [[field, one.value]] : []))),
  };
}

/** The name of the secret that a field of a connection gets. */
export function secretName(connection: string, field: string): string {
  return `${connection}-${field.replaceAll("_", "-")}`;
}

/** Stores a value as a new secret, and returns its id. A former secret stays: other connections may use it. */
export async function storeSecret(project: string, connection: { name: string; title: string }, field: string, value: string): Promise<string> {
  const title = t("{field} of {connection}", { field: words(field), connection: connection.title });
  const name = secretName(connection.name, field);
  for (let number = 1; ; number += 1) {
    try {
      const { body } = await send<Secret>("POST", SECRETS, { body: { name: number > 1 ? `${name}-${number}` : name, project_id: project, spec: { title } } });
      await send("POST", `${SECRETS}/${body.id}:put-version`, { body: { value } });
      return body.id;
    } catch (error) {
      if (!(error instanceof Problem && error.status === 409) || number === MAX_NAMES) throw error;
    }
  }
}

/** The faults of a request by their place in the configuration: `/spec/config/host`, in a test `/config/host`. */
export function placed(faults: { pointer: string; detail: string }[]): Record<string, string> {
  return Object.fromEntries(faults.map(({ pointer, detail }) => [pointer.replace(/^\/spec\//, "/").replace(/^\/values\//, "/secrets/"), detail]));
}

export type { Connection, ConnectorType };
