import { Button } from "@mantine/core";
import { t } from "../language/text";

/** Says how many items are new in a list. Rows move only when the user asks for it. */
export function NewPill({ count, noun, onShow }: { count: number; noun: [one: string, many: string]; onShow: () => void }) {
  return (
    <span role="status">
      {count > 0 && (
        <Button size="compact-sm" radius="xl" variant="light" onClick={onShow}>
          {t("{count, number} new {value}", { count, value: count === 1 ? noun[0] : noun[1] })}
        </Button>
      )}
    </span>
  );
}
