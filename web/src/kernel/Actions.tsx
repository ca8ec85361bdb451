import { Button, Group, Menu } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { allowed, type OperationEntry } from "../api/platform";
import { t } from "../language/text";
import { permission } from "./OperationButton";
import { OperationDialog, type OperationTarget } from "./OperationDialog";
import { isDestructive, label, onItem, securableOf } from "./operations";
import { pageOf } from "./pages";

const MAX_BUTTONS = 3;

interface Props extends OperationTarget {
  /** Verbs of the operations that come first. */
  first?: string[];
  /** Verbs of operations that make no sense in the present state of the item. */
  without?: string[];
  /** The operation whose dialog opens without a click. */
  doing?: string;
  /** What happens after a deletion. By default, the list opens. */
  onDeleted?: () => void;
}

/** Buttons for the operations on an item. One that the caller has no permission for is disabled, and says which. */
export function Actions({ first = [], without = [], doing, onDeleted, ...target }: Props) {
  const { service, kind, id } = target;
  const navigate = useNavigate();
  const [open, setOpen] = useState<OperationEntry | null>(null);
  const place = (operation: OperationEntry) => first.indexOf(operation.verb) + 1 || first.length + 1;
  const operations = onItem(kind).filter((one) => !without.includes(one.verb)).sort((one, other) => place(one) - place(other));
  const { data: rights } = useQuery(allowed(operations.map((one) => one.permission), securableOf(service, kind, id, target.item)));
  const asked = operations.find((one) => one.verb === doing && rights?.has(one.permission));
  useEffect(() => {
    if (asked) setOpen(asked);
  }, [asked]);
  const onDone = (operation: OperationEntry) => {
    if (operation.method !== "DELETE") return;
    if (onDeleted) onDeleted();
    else void navigate({ to: `/${service}/${kind.plural}` });
  };
  const start = (operation: OperationEntry) => {
    const page = pageOf(operation, id);
    if (page) void navigate({ to: page });
    else setOpen(operation);
  };
  const button = (operation: OperationEntry) => ({ ...permission(operation, rights), onClick: () => start(operation) });
  return (
    <Group gap="xs" justify="flex-end">
      {operations.slice(0, MAX_BUTTONS).map((operation) => (
        <Button key={operation.operation_id} size="xs" variant="default" {...button(operation)}>{label(operation)}</Button>
      ))}
      {operations.length > MAX_BUTTONS && (
        <Menu position="bottom-end">
          <Menu.Target><Button size="xs" variant="default">{t("More")}</Button></Menu.Target>
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
