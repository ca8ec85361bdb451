import { Button, Group, Popover, Select, Stack, TextInput } from "@mantine/core";
import { useState } from "react";
import { condition, OPERATORS } from "./conditions";

/** Builds a condition from a field, a comparison, and a value. */
export function FilterBuilder({ fields, onAdd }: { fields: string[]; onAdd: (condition: string) => void }) {
  const [open, setOpen] = useState(false);
  const [name, setName] = useState(fields[0] ?? "");
  const [operator, setOperator] = useState("is");
  const [text, setText] = useState("");
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-end" trapFocus>
      <Popover.Target>
        <Button variant="default" onClick={() => setOpen(!open)} aria-expanded={open}>Add condition</Button>
      </Popover.Target>
      <Popover.Dropdown>
        <Stack gap="xs">
          <Select label="Field" data={fields} value={name} onChange={(chosen) => setName(chosen ?? "")} comboboxProps={{ withinPortal: false }} searchable />
          <Select label="Comparison" data={Object.keys(OPERATORS)} value={operator} onChange={(chosen) => setOperator(chosen ?? "is")} comboboxProps={{ withinPortal: false }} />
          <TextInput label="Value" value={text} onChange={(event) => setText(event.currentTarget.value)} />
          <Group justify="flex-end">
            <Button size="xs" disabled={!name} onClick={() => { onAdd(condition(name, operator, text)); setOpen(false); setText(""); }}>Add</Button>
          </Group>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
