import { Button, CloseButton, Group, Pill, Stack, Text, Textarea, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, type KeyboardEvent, useState } from "react";
import { allowed, type KindEntry, method, openApi } from "../api/platform";
import { field, type Schema, type Schemas, words } from "../api/schema";
import { t } from "../language/text";
import { Fields } from "./Fields";
import { bodySchema, fullName } from "./operations";
import { useQuickChange } from "./useQuickChange";
import { isRecord } from "./values";

const QUICK = ["title", "description"];

interface Props {
  service: string;
  kind: KindEntry;
  id: string;
  item: Record<string, unknown>;
  schema: Schema;
  schemas: Schemas;
}

/** The fields of an item. Its labels, title, and description can be changed in place. */
export function Details({ service, kind, id, item, schema, schemas }: Props) {
  const { data: document } = useQuery(openApi(service));
  const updating = method(kind, "update");
  const { data: rights } = useQuery(allowed(updating ? [updating.permission] : [], { id, kind: fullName(service, kind) }));
  const change = useQuickChange(service, kind, updating, id);
  const body = document && updating && rights?.has(updating.permission) ? bodySchema(document, updating).properties : undefined;
  const spec = body?.spec && field(body.spec, schemas).schema.properties;
  const labels = isRecord(item.labels) && body?.labels ? (item.labels as Record<string, string>) : undefined;
  const texts = QUICK.filter((name) => isRecord(item.spec) && spec?.[name] && (name in item.spec || name === "title"));
  return (
    <Stack gap="lg">
      {(labels || texts.length > 0) && (
        <Stack gap="xs">
          {texts.map((name) => {
            const present = String((item.spec as Record<string, unknown>)[name] ?? "");
            return (
              <QuickText
                key={name}
                label={words(name)}
                value={present}
                isLong={name === "description"}
                onSave={(entered) => change({ spec: { [name]: entered || null } }, { spec: { [name]: present || null } }, t("{name} changed", { name: words(name) }))}
              />
            );
          })}
          {labels && (
            <QuickLabels
              labels={labels}
              onSet={(key, value) => change({ labels: { [key]: value } }, { labels: { [key]: labels[key] ?? null } }, value === null ? t("Label {key} removed", { key }) : t("Label {key} set", { key }))}
            />
          )}
        </Stack>
      )}
      <Fields item={item} schema={schema} schemas={schemas} hidden={[...texts.map((name) => `spec.${name}`), ...(labels ? ["labels"] : [])]} />
    </Stack>
  );
}

interface TextProps {
  label: string;
  value: string;
  isLong: boolean;
  onSave: (entered: string) => void;
}

function QuickText({ label, value, isLong, onSave }: TextProps) {
  const [entered, setEntered] = useState<string | null>(null);
  const save = () => {
    if (entered !== null && entered !== value) onSave(entered);
    setEntered(null);
  };
  if (entered === null) {
    return (
      <Group gap="xs" wrap="nowrap">
        {isLong ? <Text size="sm" style={{ whiteSpace: "pre-wrap" }}>{value || <Text span c="dimmed" size="sm">{t("No description")}</Text>}</Text> : <Title order={2}>{value || t("No title")}</Title>}
        <Button size="compact-xs" variant="subtle" color="gray" onClick={() => setEntered(value)} aria-label={t("Change the {label}", { label: label.toLowerCase() })}>{t("Change")}</Button>
      </Group>
    );
  }
  const common = {
    "aria-label": label,
    autoFocus: true,
    value: entered,
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key === "Escape") setEntered(null);
      if (event.key === "Enter" && !(isLong && event.shiftKey)) {
        event.preventDefault();
        save();
      }
    },
  };
  return (
    <Group gap="xs" align="flex-end">
      {isLong ? (
        <Textarea {...common} flex={1} autosize maxRows={12} onChange={(event) => setEntered(event.currentTarget.value)} />
      ) : (
        <TextInput {...common} flex={1} onChange={(event) => setEntered(event.currentTarget.value)} />
      )}
      <Button size="xs" onClick={save}>{t("Save")}</Button>
      <Button size="xs" variant="default" onClick={() => setEntered(null)}>{t("Cancel")}</Button>
    </Group>
  );
}

function QuickLabels({ labels, onSet }: { labels: Record<string, string>; onSet: (key: string, value: string | null) => void }) {
  const [text, setText] = useState<string | null>(null);
  const add = (event: FormEvent) => {
    event.preventDefault();
    const [key = "", ...rest] = (text ?? "").split("=");
    if (key.trim()) onSet(key.trim(), rest.join("=").trim());
    setText(null);
  };
  return (
    <Group gap="xs">
      {Object.entries(labels).map(([key, value]) => (
        <Pill key={key} size="md">
          {value ? `${key}: ${value}` : key}
          <CloseButton size="xs" aria-label={t("Remove the label {key}", { key })} onClick={() => onSet(key, null)} />
        </Pill>
      ))}
      {text === null ? (
        <Button size="compact-xs" variant="default" onClick={() => setText("")}>{t("Add label")}</Button>
      ) : (
        <form onSubmit={add}>
          <TextInput size="xs" aria-label={t("New label")} placeholder={t("key = value")} autoFocus value={text} onChange={(event) => setText(event.currentTarget.value)} onKeyDown={(event) => event.key === "Escape" && setText(null)} />
        </form>
      )}
    </Group>
  );
}
