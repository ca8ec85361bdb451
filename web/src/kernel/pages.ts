// Operations that have a page, where a dialog can't show what they need.

import type { OperationEntry } from "../api/platform";

const PAGES: Record<string, (id: string) => string> = {
  admin_move_project: (id) => `/admin/projects/${id}/move`,
  admin_preview_move_project: (id) => `/admin/projects/${id}/move`,
};

/** The page of an operation on an item. Most have a dialog instead. */
export function pageOf(operation: OperationEntry, id: string): string | undefined {
  return PAGES[operation.operation_id]?.(encodeURIComponent(id));
}
