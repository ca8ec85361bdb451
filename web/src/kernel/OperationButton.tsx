import { Button, type ButtonProps } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { allowed, catalogues, kindOf, type OperationEntry } from "../api/platform";
import { t } from "../language/text";
import { isDestructive, label, onItem, securableOf } from "./operations";
import { OperationDialog } from "./OperationDialog";

interface Props extends Pick<ButtonProps, "size" | "variant" | "color"> {
  service: string;
  plural: string;
  /** The operation: `update`, `delete`, or the verb of an action on an item. */
  verb: string;
  id: string;
  item?: Record<string, unknown>;
  etag?: string;
  /** The text of the button, if it isn't the name of the operation. */
  text?: string;
  /** Values that the form starts with. */
  initial?: Record<string, unknown>;
  onDone?: (operation: OperationEntry, answer: Record<string, unknown>) => void;
}

/** A button for one operation on one item. It is enabled if the platform permits the operation to the caller. */
export function OperationButton({ service, plural, verb, id, item, etag, text, initial, onDone, ...look }: Props) {
  const { data: found } = useQuery(catalogues);
  const [open, setOpen] = useState(false);
  const kind = found && kindOf(found, service, plural);
  const operation = kind && onItem(kind).find((one) => one.verb === verb);
  const { data: rights } = useQuery(allowed(operation ? [operation.permission] : [], kind ? securableOf(service, kind, id, item) : null));
  if (!kind || !operation) return null;
  return (
    <>
      <Button size="xs" variant="default" color={isDestructive(operation) ? "red" : undefined} {...look} {...permission(operation, rights)} onClick={() => setOpen(true)}>
        {text ?? label(operation)}
      </Button>
      <OperationDialog
        {...{ service, kind, id, item, etag, initial, onDone }}
        operation={open ? operation : null}
        onClose={() => setOpen(false)}
      />
    </>
  );
}

/** Whether a button is enabled, and why not. */
export function permission(operation: OperationEntry, rights: Set<string> | undefined): { disabled: boolean; title: string } {
  const permitted = rights?.has(operation.permission) ?? false;
  return { disabled: !permitted, title: permitted || !rights ? operation.summary : t("You need the permission {permission}.", { permission: operation.permission }) };
}
