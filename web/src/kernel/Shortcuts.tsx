import { Kbd, Modal, Table } from "@mantine/core";

export interface Shortcut {
  keys: string[];
  does: string;
}

/** The sheet of the keys that a page knows. */
export function Shortcuts({ opened, onClose, shortcuts }: { opened: boolean; onClose: () => void; shortcuts: Shortcut[] }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Keyboard shortcuts">
      <Table verticalSpacing={6} withRowBorders={false}>
        <Table.Tbody>
          {shortcuts.map(({ keys, does }) => (
            <Table.Tr key={does}>
              <Table.Td w={140}>{keys.map((key, number) => <span key={key}>{number > 0 && " or "}<Kbd>{key}</Kbd></span>)}</Table.Td>
              <Table.Td>{does}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
