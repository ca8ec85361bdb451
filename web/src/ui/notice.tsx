import { Anchor, Group, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";

export interface NoticeAction {
  label: string;
  run: () => void;
}

/** Tells what happened, with at most one thing to do about it: undo it, or go to it. */
export function notice(message: string, action?: NoticeAction): void {
  const id = notifications.show({
    // Time enough to read it and to reach the button.
    autoClose: action ? 10_000 : 4_000,
    message: (
      <Group justify="space-between" wrap="nowrap">
        <Text size="sm">{message}</Text>
        {action && (
          <Anchor component="button" type="button" size="sm" onClick={() => { notifications.hide(id); action.run(); }}>
            {action.label}
          </Anchor>
        )}
      </Group>
    ),
  });
}
