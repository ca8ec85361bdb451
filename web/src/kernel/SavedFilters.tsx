import { ActionIcon, Button, Group, Menu, Modal, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import type { SavedFilter } from "../api/generated/admin";
import { useChangePreferences, usePreferences } from "../api/preferences";
import { t } from "../language/text";
import { notice } from "../ui/notice";
import { Trouble } from "../ui/Trouble";

interface Props {
  /** The list: its service and the plural of its kind. */
  list: string;
  present: Pick<SavedFilter, "filter" | "order_by" | "columns">;
  onChoose: (saved: SavedFilter) => void;
}

/** Views of a list that the user keeps under names: each with its filter, order, and columns. */
export function SavedFilters({ list, present, onChoose }: Props) {
  const kept = usePreferences()?.saved_filters ?? [];
  const change = useChangePreferences();
  const [naming, setNaming] = useState(false);
  const [name, setName] = useState("");
  const [error, setError] = useState<unknown>(null);
  const own = kept.filter((one) => one.list === list);
  const others = (all: SavedFilter[], named: string) => all.filter((one) => one.list !== list || one.name !== named);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await change((now) => ({ saved_filters: [...others(now.saved_filters, name), { name, list, ...present }] }));
      setNaming(false);
      setName("");
      notice(t("View saved"));
    } catch (caught) {
      setError(caught);
    }
  };
  const remove = async (saved: SavedFilter) => {
    await change((now) => ({ saved_filters: others(now.saved_filters, saved.name) }));
    notice(t("View {name} removed", { name: saved.name }), { label: t("Undo"), run: () => void change((now) => ({ saved_filters: [...now.saved_filters, saved] })) });
  };
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target><Button variant="default">{t("Views")}</Button></Menu.Target>
        <Menu.Dropdown>
          {!own.length && <Menu.Label>{t("You saved no view of this list.")}</Menu.Label>}
          {own.map((one) => (
            <Group key={one.name} gap={0} wrap="nowrap">
              <Menu.Item flex={1} onClick={() => onChoose(one)}>{one.name}</Menu.Item>
              <ActionIcon variant="subtle" color="gray" aria-label={t("Remove the view {name}", { name: one.name })} onClick={() => void remove(one)}>×</ActionIcon>
            </Group>
          ))}
          <Menu.Divider />
          <Menu.Item onClick={() => setNaming(true)}>{t("Save this view")}</Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={naming} onClose={() => setNaming(false)} title={t("Save this view")}>
        <form onSubmit={save}>
          <TextInput label={t("Name")} required value={name} onChange={(event) => setName(event.currentTarget.value)} data-autofocus maxLength={200} />
          <Text size="sm" c="dimmed" mt="xs">{t("It keeps the filter, the order, and the columns. A view with the same name is replaced.")}</Text>
          {error !== null && <Trouble error={error} />}
          <Group justify="flex-end" mt="md">
            <Button variant="default" onClick={() => setNaming(false)}>{t("Cancel")}</Button>
            <Button type="submit" disabled={!name.trim()}>{t("Save")}</Button>
          </Group>
        </form>
      </Modal>
    </>
  );
}
