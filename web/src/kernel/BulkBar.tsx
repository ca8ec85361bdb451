import { Button, Group, Modal, Paper, Progress, Stack, Table, Text, TextInput } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { allowedOnEach, type KindEntry, method, openApi, type OperationEntry } from "../api/platform";
import { t } from "../language/text";
import { notice } from "../ui/notice";
import { Trouble } from "../ui/Trouble";
import { type Outcome, runOnEach } from "./bulk";
import { type ItemOfList, idOf } from "./ItemTable";
import { bodySchema, fullName, hasOwnAnswer, isDestructive, isFinal, label, onItem, restoring } from "./operations";

const MAX_BUTTONS = 4;

interface Props {
  service: string;
  kind: KindEntry;
  items: ItemOfList[];
  onClear: () => void;
}

/** What can be done with all selected items at once. */
export function BulkBar({ service, kind, items, onClear }: Props) {
  const { data: document } = useQuery(openApi(service));
  const [chosen, setChosen] = useState<OperationEntry | null>(null);
  const updating = method(kind, "update");
  const isLabeled = updating && document && "labels" in (bodySchema(document, updating).properties ?? {});
  const operations = onItem(kind).filter((one) => {
    if (one === updating) return isLabeled;
    return document && !Object.keys(bodySchema(document, one).properties ?? {}).length && !hasOwnAnswer(kind, one);
  });
  const ids = items.map(idOf);
  const { data: rights } = useQuery(allowedOnEach(operations.map((one) => one.permission), ids, fullName(service, kind)));
  if (!items.length) return null;
  const text = (operation: OperationEntry) => (operation === updating ? t("Set label") : label(operation));
  return (
    <Paper withBorder p="xs" role="region" aria-label={t("Selected items")}>
      <Group gap="xs">
        <Text size="sm" fw={600}>{t("{count, number} selected", { count: items.length })}</Text>
        {operations.slice(0, MAX_BUTTONS).map((operation) => {
          const count = rights?.get(operation.permission) ?? 0;
          const title = rights && !count ? t("You need the permission {permission}.", { permission: operation.permission }) : operation.summary;
          return (
            <Button key={operation.operation_id} size="xs" variant="default" disabled={!count} title={title} onClick={() => setChosen(operation)}>
              {text(operation)}{count > 0 && count < items.length ? ` (${count})` : ""}
            </Button>
          );
        })}
        <Button size="xs" variant="subtle" color="gray" onClick={onClear}>{t("Clear the selection")}</Button>
      </Group>
      <Modal opened={chosen !== null} onClose={() => setChosen(null)} title={chosen ? `${text(chosen)}: ${items.length} ${t("{count, plural, one {item} other {items}}", { count: items.length })}` : ""} size="lg">
        {chosen && <Run service={service} kind={kind} operation={chosen} isLabel={chosen === updating} items={items} onClose={() => setChosen(null)} onClear={onClear} />}
      </Modal>
    </Paper>
  );
}

interface RunProps extends Props {
  operation: OperationEntry;
  isLabel: boolean;
  onClose: () => void;
}

function Run({ service, kind, operation, isLabel, items, onClose, onClear }: RunProps) {
  const queries = useQueryClient();
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const [typed, setTyped] = useState("");
  const [done, setDone] = useState<number | null>(null);
  const [outcomes, setOutcomes] = useState<Outcome[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const names = new Map(items.map((one) => [idOf(one), String(one.name ?? one.id)]));
  const isForGood = isFinal(kind, operation);
  const again = () => queries.invalidateQueries({ queryKey: ["items", service, kind.plural] });
  const close = () => {
    onClear();
    onClose();
    void again();
  };
  const start = async () => {
    setDone(0);
    setError(null);
    try {
      const body = isLabel ? { labels: { [key]: value || null } } : undefined;
      const found = await runOnEach(kind, operation, [...names.keys()], body, setDone);
      const good = found.filter((one) => !one.problem).map((one) => one.id);
      const restore = operation.method === "DELETE" ? restoring(kind) : undefined;
      const undo = restore && { label: t("Undo"), run: () => void runOnEach(kind, restore, good, undefined, () => {}).then(again) };
      if (good.length) notice(t("{operation}: {count} done", { operation: isLabel ? t("Label set") : label(operation), count: good.length }), undo);
      // The list is read again when the results were read, because deleted items leave it and the selection.
      if (good.length < found.length) return setOutcomes(found);
      close();
    } catch (caught) {
      setError(caught);
    } finally {
      setDone(null);
    }
  };
  if (outcomes) {
    const failed = outcomes.filter((one) => one.problem);
    return (
      <Stack>
        <Text size="sm" role="status">{t("{count} of {count2} done, {count3} failed.", { count: outcomes.length - failed.length, count2: outcomes.length, count3: failed.length })}</Text>
        <Table verticalSpacing={4}>
          <Table.Thead><Table.Tr><Table.Th>{t("Item")}</Table.Th><Table.Th>{t("Result")}</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody>
            {[...failed, ...outcomes.filter((one) => !one.problem)].map((one) => (
              <Table.Tr key={one.id}><Table.Td>{names.get(one.id)}</Table.Td><Table.Td>{one.problem ?? t("Done")}</Table.Td></Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        <Group justify="flex-end"><Button onClick={close}>{t("Close")}</Button></Group>
      </Stack>
    );
  }
  const count = String(items.length);
  return (
    <form onSubmit={(event) => { event.preventDefault(); void start(); }}>
      <Stack>
        <Text size="sm">{operation.summary}</Text>
        <Text size="sm" c="dimmed" lineClamp={4}>{[...names.values()].join(", ")}</Text>
        {isLabel && (
          <Group grow>
            <TextInput label={t("Key")} required value={key} onChange={(event) => setKey(event.currentTarget.value)} data-autofocus />
            <TextInput label={t("Value")} description={t("Empty removes the label.")} value={value} onChange={(event) => setValue(event.currentTarget.value)} />
          </Group>
        )}
        {isForGood && <TextInput label={t("Type {count} to confirm. This can't be undone.", { count })} value={typed} onChange={(event) => setTyped(event.currentTarget.value)} data-autofocus />}
        {done !== null && <Progress value={(100 * done) / items.length} aria-label={t("{done} of {count} done", { done, count: items.length })} />}
        {error !== null && <Trouble error={error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>{t("Cancel")}</Button>
          <Button type="submit" color={isDestructive(operation) ? "red" : undefined} loading={done !== null} disabled={(isLabel && !key) || (isForGood && typed !== count)}>
            {isLabel ? t("Set label") : label(operation)}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
