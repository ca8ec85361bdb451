import { useHotkeys } from "@mantine/hooks";

/** Keys of a page, by what they do. They do nothing while a dialog or a menu is open, or where the user enters text. */
export function useKeys(keys: Record<string, () => void>): void {
  useHotkeys(
    Object.entries(keys).map(([key, run]) => [
      key,
      () => {
        if (!document.querySelector('[role="dialog"], [role="menu"], [role="listbox"]')) run();
      },
    ]),
  );
}
