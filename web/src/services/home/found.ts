// What the home page reads: assets of the user, assets that need attention or changed, and decisions that wait.

import { queryOptions } from "@tanstack/react-query";
import type { AccessRequest, AccessRequestPage, AssetMatches, StageRequest, StageRequestPage } from "../../api/generated/ai-catalog";
import type { UserInfo } from "../../api/generated/admin";
import { get, type Options, send } from "../../api/http";
import { t } from "../../language/text";

const SHOWN = 6;
const MAX_REQUESTS = 50;

/** States in which an asset needs somebody. */
export const ATTENTION = ["DEGRADED", "WARNING", "STALE"];

export const userInfo = queryOptions({
  queryKey: ["userinfo"],
  queryFn: async ({ signal }) => (await send<UserInfo>("POST", "/api/v1/admin/sessions:userinfo", { body: {}, signal })).body,
  staleTime: 60_000,
});

/** The names by which assets call the user an owner: theirs, their address, and their teams. */
export function ownerNames(user: UserInfo): string[] {
  return [user.preferred_username, ...(user.email ? [user.email] : []), ...user.groups.map((group) => `team:${group}`)];
}

export const found = (query: NonNullable<Options["query"]>) =>
  queryOptions({
    queryKey: ["assets", "found", query],
    queryFn: ({ signal }) => get<AssetMatches>("/api/v1/ai-catalog/assets:search", { query: { page_size: SHOWN, ...query }, signal }),
  });

export interface Waiting {
  id: string;
  page: string;
  /** What is asked for. */
  text: string;
  by: string;
  at: string;
}

interface Decision {
  allowed: boolean;
}

/** Requests of others that the user may decide. */
export const waiting = (user: string) =>
  queryOptions({
    queryKey: ["waiting", user],
    queryFn: async ({ signal }): Promise<Waiting[]> => {
      const query = { filter: 'state == "OPEN"', page_size: MAX_REQUESTS };
      const [access, stages] = await Promise.all([
        get<AccessRequestPage>("/api/v1/ai-catalog/access-requests", { query, signal }),
        get<StageRequestPage>("/api/v1/ai-catalog/stage-requests", { query, signal }),
      ]);
      const open = [
        ...access.items.filter((one) => one.state === "OPEN").map((one) => ({ waits: ofAccess(one), permission: "ai_catalog.access_request.approve", securable_id: one.asset, securable_kind: "ai_catalog.asset" })),
        ...stages.items.map((one) => ({ waits: ofStage(one), permission: "ai_catalog.model_version.approve", securable_id: one.registered_model_id, securable_kind: "ai_catalog.registered_model" })),
      ].filter(({ waits }) => waits.by !== user);
      if (!open.length) return [];
      const items = open.map(({ waits: _, ...asked }) => asked);
      const answer = await send<{ items: Decision[] }>("POST", "/api/v1/admin/decisions:check-batch", { body: { items }, signal });
      return open.filter((_, number) => answer.body.items[number]?.allowed).map(({ waits }) => waits);
    },
  });

function ofAccess(one: AccessRequest): Waiting {
  const text = one.copies ? t("Release copies of {asset}", { asset: one.asset }) : t("Read {asset}", { asset: one.asset });
  return { id: one.id, page: `/ai-catalog/access-requests/${one.id}`, text, by: one.requested_by, at: one.requested_at };
}

function ofStage(one: StageRequest): Waiting {
  return { id: one.id, page: `/ai-catalog/model-versions/${one.model_version_id}`, text: t("Move model version {version} to {stage}", { version: one.version, stage: one.stage }), by: one.requested_by, at: one.requested_at };
}
