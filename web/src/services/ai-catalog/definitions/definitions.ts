// Definitions of assets, and the components that they name.

import { queryOptions } from "@tanstack/react-query";
import { get, send } from "../../../api/http";
import type { Schema } from "../../../api/schema";
import { t } from "../../../language/text";

export interface Definition {
  id: string;
  component: string;
  attributes: Record<string, unknown>;
  state: "DRAFT" | "PUBLISHED" | "MODIFIED" | "RETIRED";
  revision: number;
  published_at: string | null;
  published_by: string | null;
  blocked: string | null;
  retired_at: string | null;
  retired_by: string | null;
  created_at: string;
  created_by: string;
  updated_at: string;
}

export interface Component {
  name: string;
  description: string;
  attributes: Schema & { $defs?: Record<string, Schema> };
}

export interface Validation {
  publishable: boolean;
  errors: { pointer: string; detail: string }[];
  assets: string[];
  reads: string[];
  changes: { table: string; column: string; effect: string; detail: string; pointer: string }[];
  not_checked: { pointer: string; reason: string }[];
}

export interface Revision {
  revision: number;
  component: string;
  attributes: Record<string, unknown>;
  published_at: string;
  published_by: string;
}

export const PATH = "/api/v1/ai-catalog/definitions";

export const pathOf = (id: string) => `${PATH}/${encodeURIComponent(id)}`;

export const STATES: Record<Definition["state"], { label: string; color: string; meaning: string }> = {
  DRAFT: { label: t("Draft"), color: "gray", meaning: t("It was never published, so it isn't an asset yet.") },
  PUBLISHED: { label: t("Published"), color: "teal", meaning: t("The asset runs as this definition says.") },
  MODIFIED: { label: t("Published, with unpublished changes"), color: "orange", meaning: t("The asset runs as it did before the last changes.") },
  RETIRED: { label: t("Retired"), color: "gray", meaning: t("The asset no longer runs. Its versions stay.") },
};

export const components = queryOptions({
  queryKey: ["components"],
  queryFn: async ({ signal }) => (await get<{ items: Component[] }>(`${PATH}:components`, { signal })).items,
  staleTime: Number.POSITIVE_INFINITY,
  retry: false,
});

export const definition = (id: string) =>
  queryOptions({
    queryKey: ["definition", id],
    queryFn: ({ signal }) => send<Definition>("GET", pathOf(id), { signal }),
    retry: false,
  });

export const revisions = (id: string) =>
  queryOptions({
    queryKey: ["definition", id, "revisions"],
    queryFn: async ({ signal }) => (await get<{ revisions: Revision[] }>(`${pathOf(id)}/revisions`, { signal })).revisions,
    retry: false,
  });

/** What a component makes: the first sentence of its description. */
export function summary(component: Component): string {
  return component.description.split(/\n\s*\n/, 1)[0]?.replaceAll(/\s+/g, " ") ?? "";
}

/** A name in words: `SqlTransformComponent` is "SQL transform". */
export function title(name: string): string {
  const parts = name.replace(/Component$/, "").split(/(?=[A-Z])/).join(" ").toLowerCase();
  const text = parts.replaceAll(/\b(sql|rag)\b/g, (one) => one.toUpperCase());
  return text.charAt(0).toUpperCase() + text.slice(1);
}
