import { Button, Group, Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { allowed, type OperationEntry } from "../api/platform";
import { permission } from "./OperationButton";
import { OperationDialog, type OperationTarget } from "./OperationDialog";
import { isDestructive, label, onItem, securableOf } from "./operations";

const MAX_BUTTONS = 3;

/** Buttons for the operations on an item. One that the caller has no permission for is disabled, and says which. */
export function Actions(target: OperationTarget) {
  const { service, kind, id } = target;
  const navigate = useNavigate();
  const [open, setOpen] = useState<OperationEntry | null>(null);
  const operations = onItem(kind);
  const { data: rights } = useQuery(allowed(operations.map((one) => one.permission), securableOf(service, kind, id, target.item)));
  const onDone = (operation: OperationEntry) => {
    if (operation.method === "DELETE") void navigate({ to: `/${service}/${kind.plural}` });
  };
  const button = (operation: OperationEntry) => ({ ...permission(operation, rights), onClick: () => setOpen(operation) });
  return (
    <Group gap="xs" justify="flex-end">
      {operations.slice(0, MAX_BUTTONS).map((operation) => (
        <Button key={operation.operation_id} size="xs" variant="default" {...button(operation)}>{label(operation)}</Button>
      ))}
      {operations.length > MAX_BUTTONS && (
        <Menu position="bottom-end">
          <Menu.Target><Button size="xs" variant="default">More</Button></Menu.Target>
          <Menu.Dropdown>
            {operations.slice(MAX_BUTTONS).map((operation) => (
              <Menu.Item key={operation.operation_id} color={isDestructive(operation) ? "red" : undefined} {...button(operation)}>{label(operation)}</Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
      <OperationDialog {...target} operation={open} onClose={() => setOpen(null)} onDone={onDone} />
    </Group>
  );
}
