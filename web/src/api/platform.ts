// What the platform offers: its services, their kinds, and the schemas of their requests and answers.

import { queryOptions } from "@tanstack/react-query";
import { get, send } from "./http";
import type { Session } from "./generated/admin";
import type { Schema, Schemas } from "./schema";

export interface ServiceEntry {
  name: string;
  title: string;
  operations: number;
  openapi: string;
  kinds: string;
}

export interface OperationEntry {
  verb: string;
  method: string;
  path: string;
  operation_id: string;
  permission: string;
  role: string;
  summary: string;
  long: boolean;
  query: string | null;
  request: string | null;
  result: string | null;
}

export interface KindEntry {
  name: string;
  plural: string;
  title: string;
  description: string;
  /** An id of this kind. Generated ids of a kind begin with the same three letters. */
  example: string;
  path: string | null;
  filter_by: string[];
  order_by: string[];
  methods: OperationEntry[];
  reads: OperationEntry[];
  parts: OperationEntry[];
  actions: OperationEntry[];
}

export interface Catalogue {
  service: string;
  title: string;
  items: KindEntry[];
}

interface OpenApiOperation {
  requestBody?: { content: Record<string, { schema: Schema }> };
  parameters?: { name: string; in: string; required: boolean; description: string; schema: Schema }[];
}

export interface OpenApi {
  components: { schemas: Schemas };
  paths: Record<string, Record<string, OpenApiOperation>>;
}

/** Documents change only with the version of the platform. */
const FOREVER = { staleTime: Number.POSITIVE_INFINITY, gcTime: Number.POSITIVE_INFINITY };

export const session = queryOptions({
  queryKey: ["session"],
  queryFn: ({ signal }) => get<Session>("/api/v1/admin/sessions/current", { signal }),
  staleTime: 60_000,
});

export const catalogues = queryOptions({
  queryKey: ["catalogues"],
  queryFn: async ({ signal }) => {
    const index = await get<{ services: ServiceEntry[] }>("/api/openapi", { signal });
    return Promise.all(index.services.map((service) => get<Catalogue>(service.kinds, { signal })));
  },
  ...FOREVER,
});

export const openApi = (service: string) =>
  queryOptions({
    queryKey: ["openapi", service],
    queryFn: ({ signal }) => get<OpenApi>(`/api/v1/${service}/openapi.json`, { signal }),
    ...FOREVER,
  });

export function kindOf(found: Catalogue[], service: string, plural: string): KindEntry | undefined {
  return found.find((one) => one.service === service)?.items.find((kind) => kind.plural === plural);
}

/** The key of an item with its ETag, as the pages drawn from the catalog read it. Pages made by hand keep other shapes. */
export const answerKey = (service: string, plural: string, id: string) => ["item", service, plural, id, "answer"];

export function method(kind: KindEntry, verb: string): OperationEntry | undefined {
  return kind.methods.find((one) => one.verb === verb);
}

/** The schema of the body of a request. */
export function requestSchema(document: OpenApi, operation: OperationEntry): Schema | undefined {
  const declared = document.paths[operation.path]?.[operation.method.toLowerCase()];
  return Object.values(declared?.requestBody?.content ?? {})[0]?.schema;
}

/** The schema of an object with the query parameters of an operation. Paging isn't one of them. */
export function querySchema(document: OpenApi, operation: OperationEntry): Schema {
  const declared = document.paths[operation.path]?.[operation.method.toLowerCase()]?.parameters ?? [];
  const parameters = declared.filter((one) => one.in === "query" && one.name !== "page_token");
  return {
    type: "object",
    required: parameters.filter((one) => one.required).map((one) => one.name),
    properties: Object.fromEntries(parameters.map((one) => [one.name, { ...one.schema, description: one.description || one.schema.description }])),
  };
}

/** The path of an operation on an item. */
export function pathOf(operation: OperationEntry, id: string): string {
  return operation.path.replace(/\{[^}]+\}/, encodeURIComponent(id));
}

interface Decision {
  allowed: boolean;
}

/** Which of these permissions the caller has on a resource. */
export const allowed = (permissions: string[], securable: { id: string; kind: string } | null) =>
  queryOptions({
    queryKey: ["allowed", securable, permissions],
    queryFn: async ({ signal }) => {
      if (!permissions.length) return new Set<string>();
      const at = securable ? { securable_id: securable.id, securable_kind: securable.kind } : {};
      const items = permissions.map((permission) => ({ permission, ...at }));
      const path = "/api/v1/admin/decisions:check-batch";
      const answer = await send<{ items: Decision[] }>("POST", path, { body: { items }, signal });
      return new Set(permissions.filter((_, number) => answer.body.items[number]?.allowed));
    },
    staleTime: 30_000,
  });

/**
 * Whether the caller has a permission on the platform, on an organization, or on a project: that of creating something
 * is decided where it is created.
 */
export const allowedSomewhere = (permission: string) =>
  queryOptions({
    queryKey: ["allowed somewhere", permission],
    queryFn: async ({ signal }) => {
      const asked = await send<Decision>("POST", "/api/v1/admin/decisions:check", { body: { permission }, signal });
      if (asked.body.allowed) return true;
      for (const kind of ["admin.organization", "admin.project"]) {
        const found = await send<{ items: unknown[] }>("POST", "/api/v1/admin/decisions:list-objects", { body: { permission, kind, page_size: 1 }, signal });
        if (found.body.items.length) return true;
      }
      return false;
    },
    enabled: Boolean(permission),
    staleTime: 30_000,
    retry: false,
  });

/** On how many of these items the caller has each of the permissions. The platform answers up to 1,000 questions. */
export const allowedOnEach = (permissions: string[], ids: string[], kind: string) =>
  queryOptions({
    queryKey: ["allowed on each", permissions, ids, kind],
    queryFn: async ({ signal }) => {
      const asked = ids.slice(0, Math.floor(MAX_QUESTIONS / permissions.length));
      const items = permissions.flatMap((permission) => asked.map((id) => ({ permission, securable_id: id, securable_kind: kind })));
      const answer = await send<{ items: Decision[] }>("POST", "/api/v1/admin/decisions:check-batch", { body: { items }, signal });
      const count = (number: number) => answer.body.items.slice(number * asked.length, (number + 1) * asked.length).filter((one) => one.allowed).length;
      // Those beyond the limit may be allowed: the platform decides when the operation runs.
      return new Map(permissions.map((permission, number) => [permission, count(number) + ids.length - asked.length]));
    },
    enabled: permissions.length > 0 && ids.length > 0,
    staleTime: 30_000,
  });

const MAX_QUESTIONS = 1000;
