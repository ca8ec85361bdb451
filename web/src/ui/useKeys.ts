import { useHotkeys } from "@mantine/hooks";

/** Keys of a page, by what they do. They do nothing while a dialog or a menu is open, or where the user enters text. */
export function useKeys(keys: Record<string, () => void>): void {
  useHotkeys(
    Object.entries(keys).map(([key, run]) => [
      key,
      () => {
        // Closed menus may stay in the page.
        if (![...document.querySelectorAll('[role="dialog"], [role="menu"], [role="listbox"]')].some((one) => one.checkVisibility())) run();
      },
    ]),
  );
}
