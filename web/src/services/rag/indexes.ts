// Indexes, the passages that they find, and the passage that a citation names.

import { queryOptions } from "@tanstack/react-query";
import { get, send } from "../../api/http";

export interface Index {
  id: string;
  description: string;
  sources: string[];
  data_version: string | null;
  chunk_count: number | null;
  materialized_at: string | null;
}

export interface Citation {
  document: string;
  heading: string;
  chunk: string;
  start: number;
  end: number;
  index: string;
  version: string;
}

export interface Hit {
  title: string;
  text: string;
  score: number;
  vector_rank: number | null;
  text_rank: number | null;
  citation: Citation;
}

export interface Hits {
  index: string;
  version: string;
  behind: number;
  took_ms: number;
  hits: Hit[];
}

export const MODES = ["hybrid", "vector", "text"] as const;
export type Mode = (typeof MODES)[number];

export interface Question {
  index: string;
  q: string;
  k: number;
  mode: Mode;
}

export const indexes = queryOptions({
  queryKey: ["indexes"],
  queryFn: async ({ signal }) => (await get<{ items: Index[] }>("/api/v1/rag/indexes", { query: { page_size: 1000 }, signal })).items,
  retry: false,
});

export const hits = ({ index, q, k, mode }: Question) =>
  queryOptions({
    queryKey: ["hits", index, q, k, mode],
    queryFn: async ({ signal }) => (await send<Hits>("POST", `/api/v1/rag/indexes/${encodeURIComponent(index)}:search`, { body: { query: q, k, mode }, signal })).body,
    enabled: Boolean(index && q),
    retry: false,
  });

export interface Chunk {
  document: string;
  heading: string;
  position: number;
  text: string;
  id: string;
}

export interface Passage {
  chunk: Chunk;
  before?: Chunk;
  after?: Chunk;
}

/** The chunk that a citation names, at exactly its version, with the chunks before and after it. */
export const passage = (index: string, version: string, id: string) =>
  queryOptions({
    queryKey: ["passage", index, version, id],
    queryFn: async ({ signal }): Promise<Passage | null> => {
      const sql = `WITH cited AS (SELECT document, position FROM ${index} WHERE id = '${id.replaceAll("'", "''")}')
        SELECT c.id, c.document, c.heading, c.position, c.text FROM ${index} AS c JOIN cited ON c.document = cited.document
        WHERE c.position BETWEEN cited.position - 1 AND cited.position + 1 ORDER BY c.position`;
      const { body } = await send<{ rows: [string, string, string, number, string][] }>("POST", "/api/v1/ai-catalog/queries:run", { body: { sql, versions: { [index]: version } }, signal });
      const chunks = body.rows.map(([own, document, heading, position, text]): Chunk => ({ id: own, document, heading, position, text }));
      const place = chunks.findIndex((one) => one.id === id);
      const chunk = chunks[place];
      return chunk ? { chunk, before: chunks[place - 1], after: chunks[place + 1] } : null;
    },
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
