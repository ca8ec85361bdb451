// Requests to the REST API. The session cookie authenticates, and the browser sends it to this site only.

import { t } from "../language/text";
import { remember } from "./reads";
import { renewed } from "./renewal";

/** The path prefix of the platform, such as `/headwater`. Empty if it has none. */
export const BASE = typeof document === "undefined" ? "" : new URL(document.baseURI).pathname.replace(/\/$/, "");

export interface Fault {
  pointer: string;
  detail: string;
}

/** An error of the API (RFC 9457), with what happened and what to do next. */
export class Problem extends Error {
  readonly status: number;
  readonly reason: string;
  readonly faults: Fault[];
  readonly requestId: string;
  /** Names that exist and are like the one that doesn't. */
  readonly similar: string[];

  constructor(status: number, body: Record<string, unknown>, requestId: string) {
    super(String(body.detail ?? body.title ?? t("The platform answered {status}.", { status })));
    this.status = status;
    this.reason = String(body.reason ?? "");
    this.faults = Array.isArray(body.errors) ? (body.errors as Fault[]) : [];
    this.requestId = requestId;
    const similar = (body.metadata as { similar?: unknown } | undefined)?.similar;
    this.similar = Array.isArray(similar) ? similar.map(String) : [];
  }
}

export interface Answer<T> {
  body: T;
  etag: string;
}

export interface Options {
  /** A list repeats its parameter. */
  query?: Record<string, string | number | boolean | string[] | null | undefined>;
  body?: unknown;
  etag?: string;
  signal?: AbortSignal;
}

/** Requests that a wrong password refuses. */
const WITH_PASSWORD = ["/api/v1/admin/sessions:login", "/api/v1/admin/sessions:change-password"];

/** Sends a request. One that meets an ended session is sent again when the user has logged in. */
export async function send<T>(method: string, path: string, options: Options = {}): Promise<Answer<T>> {
  // What a page shows can be canceled. What changes something can't.
  if (options.signal) remember({ method, path, query: options.query, body: options.body });
  const response = await answered(method, path, options);
  const isJson = response.headers.get("content-type")?.includes("json");
  return { body: isJson ? await response.json() : {}, etag: response.headers.get("etag") ?? "" } as Answer<T>;
}

async function answered(method: string, path: string, options: Options, accept?: string): Promise<Response> {
  const headers: Record<string, string> = accept ? { accept: `${accept}, application/problem+json;q=0.5` } : {};
  if (options.body !== undefined) headers["content-type"] = "application/json";
  if (options.etag) headers["if-match"] = options.etag;
  const response = await fetch(BASE + path + search(options.query), {
    method,
    headers,
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
    signal: options.signal,
  });
  if (response.status === 401 && !WITH_PASSWORD.includes(path)) {
    await renewed();
    return answered(method, path, options, accept);
  }
  if (response.ok) return response;
  const isJson = response.headers.get("content-type")?.includes("json");
  throw new Problem(response.status, isJson ? await response.json() : {}, response.headers.get("x-request-id") ?? "");
}

/** Sends a request whose answer is a file of this media type. */
export async function file(method: string, path: string, accept: string, options: Options = {}): Promise<Blob> {
  return (await answered(method, path, options, accept)).blob();
}

export async function get<T>(path: string, options: Options = {}): Promise<T> {
  return (await send<T>("GET", path, options)).body;
}

/** The same request as a command line, for people who want to repeat it outside the console. */
export function asCurl(method: string, path: string, options: Options = {}): string {
  const lines = [`curl -X ${method} '${location.origin}${BASE}${path}${search(options.query)}'`];
  lines.push(`-H "authorization: Bearer $HEADWATER_TOKEN"`);
  if (options.body !== undefined) {
    lines.push("-H 'content-type: application/json'");
    lines.push(`-d '${JSON.stringify(options.body).replaceAll("'", "'\\''")}'`);
  }
  return lines.join(" \\\n  ");
}

function search(query: Options["query"]): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (Array.isArray(value)) for (const one of value) parameters.append(name, one);
    else if (value !== undefined && value !== null && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text ? `?${text}` : "";
}
