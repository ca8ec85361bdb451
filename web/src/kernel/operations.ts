// The operations on an item, as buttons and dialogs show them.

import { type KindEntry, method, type OpenApi, type OperationEntry, requestSchema } from "../api/platform";
import { field, type Schema, words } from "../api/schema";
import { t } from "../language/text";

/** Operations after which something is gone, no longer works, or has stopped. */
const DESTRUCTIVE = /^(delete|purge|gc|revoke|retire|suspend|disable|archive|unpublish|reject|remove|cancel|stop)/;
const WITHOUT_RETURN = /^(purge|gc)/;

/** The parts of an item that say what a change of it affects. */
const AFFECTED = ["impact", "consumers", "assignees", "assignments", "links", "members", "recipients", "shares"];

export function label(operation: OperationEntry): string {
  return operation.method === "PATCH" ? t("Edit") : words(operation.verb);
}

export function isDestructive(operation: OperationEntry): boolean {
  return DESTRUCTIVE.test(operation.verb);
}

/** Whether nothing undoes the operation. A deletion is undone where the kind can restore. */
export function isFinal(kind: KindEntry, operation: OperationEntry): boolean {
  if (operation.method === "DELETE") return !restoring(kind);
  return WITHOUT_RETURN.test(operation.verb);
}

export function restoring(kind: KindEntry): OperationEntry | undefined {
  return kind.actions.find((one) => one.verb === "restore");
}

/** The operations on one item, in the order of their buttons: change, act, delete. */
export function onItem(kind: KindEntry): OperationEntry[] {
  const actions = kind.actions.filter((one) => one.path.includes("{") && one.verb !== "restore");
  return [method(kind, "update"), ...actions, method(kind, "delete")].filter((one) => one !== undefined);
}

export function affectedParts(kind: KindEntry): OperationEntry[] {
  return kind.parts.filter((part) => AFFECTED.includes(part.verb));
}

/** The name of a kind in permissions and events: `ai_catalog.feature_view`. */
export function fullName(service: string, kind: KindEntry): string {
  return `${service.replaceAll("-", "_")}.${kind.name}`;
}

/**
 * What the permissions for an item are decided on: the item itself, or what it belongs to if it is a record that has no
 * permissions of its own, such as a run, a grant on the platform, or a key.
 */
export function securableOf(service: string, kind: KindEntry, id: string, item: Record<string, unknown> | undefined): { id: string; kind: string } {
  if (item && !("spec" in item)) {
    if (typeof item.project_id === "string") return { id: item.project_id, kind: "admin.project" };
    if (typeof item.organization_id === "string") return { id: item.organization_id, kind: "admin.organization" };
    if (typeof item.securable_id === "string") return { id: item.securable_id, kind: String(item.securable_kind ?? "") };
    if (typeof item.principal_id === "string") return { id: item.principal_id, kind: "" };
  }
  return { id, kind: fullName(service, kind) };
}

/** The schema of the body. An operation without fields has an empty one. */
export function bodySchema(document: OpenApi, operation: OperationEntry): Schema {
  const declared = requestSchema(document, operation);
  return declared ? field(declared, document.components.schemas).schema : { type: "object", properties: {} };
}

/** Whether the answer of an operation is worth showing: a secret, a preview, a report, and not the item itself. */
export function hasOwnAnswer(kind: KindEntry, operation: OperationEntry): boolean {
  return Boolean(operation.result) && !operation.long && operation.result !== method(kind, "get")?.result;
}
