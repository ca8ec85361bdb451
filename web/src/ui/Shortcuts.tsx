import { Kbd, Modal, Table } from "@mantine/core";
import { useState } from "react";
import { t } from "../language/text";
import { type Shortcut, useShownShortcuts } from "./pageKeys";
import { useKeys } from "./useKeys";

const EVERYWHERE: Shortcut[] = [
  { keys: [t("Ctrl K")], does: t("Find a page or an item") },
  { keys: [t("Space")], does: t("Open the item of the focused link at the side") },
  { keys: ["Alt + click"], does: t("Open the item of a link at the side") },
  { keys: [t("Esc")], does: t("Close the side view") },
  { keys: ["?"], does: t("Show the keyboard shortcuts") },
];

/** The sheet of the keys that work on the page. */
export function Shortcuts() {
  const [opened, setOpened] = useState(false);
  const ofPage = useShownShortcuts();
  const open = () => setOpened(true);
  useKeys({ "?": open, "shift+?": open });
  return (
    <Modal opened={opened} onClose={() => setOpened(false)} title={t("Keyboard shortcuts")}>
      <Table verticalSpacing={6} withRowBorders={false}>
        <Table.Tbody>
          {[...ofPage, ...EVERYWHERE].map(({ keys, does }) => (
            <Table.Tr key={does}>
              <Table.Td w={140}>{keys.map((key, number) => <span key={key}>{number > 0 && t(" or ")}<Kbd>{key}</Kbd></span>)}</Table.Td>
              <Table.Td>{does}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
