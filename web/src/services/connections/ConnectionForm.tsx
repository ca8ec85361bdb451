import { Button, Group, Stack, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { ConnectionTestResult } from "../../api/generated/connections";
import { Problem, send } from "../../api/http";
import { Input } from "../../fields/Input";
import { Picker } from "../../fields/Picker";
import { useRights } from "../../kernel/useRights";
import { t } from "../../language/text";
import { Trouble } from "../../ui/Trouble";
import { type ChosenSecrets, configFields, configSchema, type Connection, type ConnectorType, PATH, placed, split, storeSecret } from "./connections";
import { SecretInput } from "./SecretInput";
import { Steps } from "./Steps";

const CREATE = "connections.connection.create";
const UPDATE = "connections.connection.update";

interface Props {
  type: ConnectorType;
  /** The connection to change. Without one, the form creates a new one. */
  connection?: Connection;
  etag?: string;
  onDone: (connection: Connection) => void;
  onCancel: () => void;
}

/** A form for a connection, drawn from the schema of its type, with a test of what is entered. */
export function ConnectionForm({ type, connection, etag, onDone, onCancel }: Props) {
  const queries = useQueryClient();
  const { data: schema, error: unread, refetch } = useQuery(configSchema(type.id));
  const spec = connection?.spec;
  const [name, setName] = useState(connection?.name ?? "");
  const [project, setProject] = useState(connection?.project_id ?? "");
  const [title, setTitle] = useState(spec?.title ?? "");
  const [description, setDescription] = useState(spec?.description ?? "");
  const [entered, setEntered] = useState<Record<string, unknown>>(spec?.config ?? {});
  const [chosen, setChosen] = useState<ChosenSecrets>(() => Object.fromEntries(Object.entries(spec?.secrets ?? {}).map(([field, id]) => [field, { id }])));
  const fields = schema ? configFields(schema) : [];
  const config = Object.fromEntries(fields.filter((one) => !one.isSecret).flatMap((one) => {
    const value = entered[one.name] ?? one.schema.default;
    return value === undefined || value === null ? [] : [[one.name, value]];
  }));
  const test = useMutation({
    mutationFn: async () => (await send<ConnectionTestResult>("POST", `${PATH}:test-draft`, { body: { project_id: project, connector: type.id, config, ...split(chosen) } })).body,
  });
  const save = useMutation({
    mutationFn: async () => {
      const { secrets, values } = split(chosen);
      for (const [field, value] of Object.entries(values)) {
        const id = await storeSecret(project, { name, title }, field, value);
        secrets[field] = id;
        // A further try uses the secret that is stored now.
        setChosen((before) => ({ ...before, [field]: { id } }));
      }
      if (!connection) return (await send<Connection>("POST", PATH, { body: { name, project_id: project, spec: { title, description, connector: type.id, config, secrets } } })).body;
      const body = { spec: { title, description, config: { ...removed(spec?.config, config), ...config }, secrets: { ...removed(spec?.secrets, secrets), ...secrets } } };
      return (await send<Connection>("PATCH", `${PATH}/${connection.id}`, { body, etag })).body;
    },
    onSuccess: (saved) => {
      void queries.invalidateQueries({ queryKey: ["items", "connections"] });
      void queries.invalidateQueries({ queryKey: ["item", "connections", "connections", saved.id] });
      onDone(saved);
    },
  });
  const permission = connection ? UPDATE : CREATE;
  const right = useRights([permission], connection ? { id: connection.id, kind: "connections.connection" } : project ? { id: project, kind: "admin.project" } : null)(permission);
  const failed = [save.error, test.error].find((error) => error !== null);
  const faults = placed(failed instanceof Problem ? failed.faults : []);
  const isIncomplete = !project || fields.some((one) => one.required && (one.isSecret ? isEmpty(chosen, one.name) : config[one.name] === undefined || config[one.name] === ""));
  const submit = (event: FormEvent) => {
    event.preventDefault();
    test.reset();
    save.mutate();
  };
  if (unread) return <Trouble error={unread} retry={() => refetch()} />;
  if (!schema) return null;
  return (
    <form onSubmit={submit} noValidate>
      <Stack gap="md" maw={860}>
        {!connection && (
          <>
            <Picker label={t("Project")} description={t("Its members can use the connection")} required kinds={["admin.project"]} value={project} onChange={setProject} error={faults["/project_id"]} />
            <TextInput label={t("Name")} description={t("Definitions name the connection by it, such as shop")} withAsterisk value={name} onChange={(event) => setName(event.currentTarget.value)} error={faults["/name"]} spellCheck={false} />
          </>
        )}
        <TextInput label={t("Title")} withAsterisk value={title} onChange={(event) => setTitle(event.currentTarget.value)} error={faults["/title"]} />
        <Textarea label={t("Description")} description={t("What the system holds, and who runs it")} autosize minRows={2} value={description} onChange={(event) => setDescription(event.currentTarget.value)} error={faults["/description"]} />
        {fields.map((one) =>
          one.isSecret ? (
            <SecretInput key={one.name} field={one} project={project} value={chosen[one.name]} error={faults[`/secrets/${one.name}`] ?? faults[`/config/${one.name}`]} onChange={(value) => setChosen((before) => ({ ...before, [one.name]: value }))} />
          ) : (
            <Input key={one.name} name={one.name} schema={one.schema} schemas={schema.$defs ?? {}} required={one.required} value={entered[one.name] ?? one.schema.default} onChange={(value) => setEntered((before) => ({ ...before, [one.name]: value }))} faults={faults} pointer={`/config/${one.name}`} />
          ),
        )}
        {failed && <Trouble error={failed} />}
        {test.data && <Steps steps={test.data.steps} />}
        <Group>
          <Button type="submit" loading={save.isPending} {...right} disabled={right.disabled || isIncomplete || !title || !name}>{connection ? t("Save") : t("Create the connection")}</Button>
          <Button variant="default" loading={test.isPending} disabled={isIncomplete} onClick={() => { save.reset(); test.mutate(); }}>{t("Test")}</Button>
          <Button variant="subtle" color="gray" onClick={onCancel}>{t("Cancel")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

function isEmpty(chosen: ChosenSecrets, field: string): boolean {
  const one = chosen[field];
  return !one || !("id" in one ? one.id : one.value);
}

/** In a merge patch, null removes what is no longer there. */
function removed(before: Record<string, unknown> = {}, now: Record<string, unknown>): Record<string, null> {
  return Object.fromEntries(Object.keys(before).filter((name) => !(name in now)).map((name) => [name, null]));
}
