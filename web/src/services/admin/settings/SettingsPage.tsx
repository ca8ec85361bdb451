import { Alert, Button, Group, List, Stack, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { get, Problem, send } from "../../../api/http";
import { allowed, openApi } from "../../../api/platform";
import { field, orderedFields } from "../../../api/schema";
import { Input } from "../../../fields/Input";
import { mergePatch } from "../../../kernel/values";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";
import { notice } from "../../../ui/notice";
import { Trouble } from "../../../ui/Trouble";
import { Section } from "../../../ui/Section";
import { type Effect, effects, label, type Settings, SETTINGS } from "./effect";
import { Former } from "./Former";

const UPDATE = "admin.settings.update";

/** Settings of passwords, logins, and keys: what a change affects, who changed what, and the way back. */
export function SettingsPage() {
  const settings = useQuery({ queryKey: ["item", "admin", "settings"], queryFn: ({ signal }) => get<Settings>(SETTINGS, { signal }), retry: false });
  return (
    <Stack gap="lg">
      <div>
        <Title order={1}>{t("Settings")}</Title>
        <Text size="sm" c="dimmed">{t("Passwords, logins, and keys on the whole platform. The operator configures everything else where the platform starts.")}</Text>
      </div>
      {settings.error && <Trouble error={settings.error} retry={() => settings.refetch()} />}
      {settings.data && <Form key={JSON.stringify(settings.data)} before={settings.data} />}
      {settings.data && <Former />}
    </Stack>
  );
}

function Form({ before }: { before: Settings }) {
  const queries = useQueryClient();
  const { data: document } = useQuery(openApi("admin"));
  const { data: rights } = useQuery(allowed([UPDATE], null));
  const [values, setValues] = useState<Settings>(before);
  const [asking, setAsking] = useState(false);
  const patch = mergePatch(before, values);
  const changed = Object.keys(patch).length > 0;
  const preview = useMutation({
    mutationFn: async () => (await send<Effect>("POST", `${SETTINGS}:preview`, { body: patch })).body,
    onSuccess: () => setAsking(true),
  });
  const save = async () => {
    await send("PATCH", SETTINGS, { body: patch });
    notice(t("Settings saved"));
    void queries.invalidateQueries({ queryKey: ["item", "admin", "settings"] });
    void queries.invalidateQueries({ queryKey: ["settings-history"] });
  };
  const schemas = document?.components.schemas;
  const declared = schemas?.SettingsChange && field(schemas.SettingsChange, schemas).schema;
  if (!schemas || !declared) return null;
  const problem = preview.error instanceof Problem ? preview.error : null;
  const faults = Object.fromEntries(problem?.faults.map((fault) => [fault.pointer, fault.detail]) ?? []);
  const permitted = rights?.has(UPDATE) ?? false;
  return (
    <Section title={t("Now")}>
      <form noValidate onSubmit={(event: FormEvent) => { event.preventDefault(); preview.mutate(); }}>
        <Stack maw={560}>
          {orderedFields(declared).map(([name, inner]) => (
            <Input key={name} name={label(name)} schema={inner} schemas={schemas} required={false} value={values[name]} faults={faults} pointer={`/${name}`} onChange={(value) => setValues((now) => ({ ...now, [name]: value }))} />
          ))}
          {preview.error && !problem?.faults.length && <Trouble error={preview.error} />}
          <Group>
            <Button type="submit" loading={preview.isPending} disabled={!changed || !permitted} title={rights && !permitted ? t("You need the permission {UPDATE}.", { UPDATE }) : undefined}>{t("Review the change")}</Button>
            {changed && <Button variant="default" onClick={() => setValues(before)}>{t("Discard")}</Button>}
          </Group>
        </Stack>
      </form>
      <Confirm opened={asking} onClose={() => setAsking(false)} title={t("Change the settings?")} submit={t("Save")} run={save} danger={preview.data?.loosens}>
        {preview.data && (
          <Stack gap="xs">
            <List size="sm">{effects(before, preview.data).map((one) => <List.Item key={one}>{one}</List.Item>)}</List>
            {preview.data.loosens && <Alert color="orange" variant="light">{t("The settings become less strict. Only a user with every right on the platform can do this.")}</Alert>}
          </Stack>
        )}
      </Confirm>
    </Section>
  );
}
