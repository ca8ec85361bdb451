import { Alert, Button, Code, CopyButton, Group, Modal, NumberInput, Stack, TagsInput, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { IssuedApiKey } from "../../../api/generated/admin";
import { Problem, send } from "../../../api/http";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { permissions } from "../role/permissions";
import { useRights } from "../../../kernel/useRights";

const CREATE = "admin.api_key.create";
const DAY = 86_400_000;

/** Issues a key of a principal. Its secret is shown once. */
export function NewKey({ principal, name, kind }: { principal: string; name: string; kind: string }) {
  const queries = useQueryClient();
  const right = useRights([CREATE], { id: principal, kind })(CREATE);
  const [opened, setOpened] = useState(false);
  const [label, setLabel] = useState("");
  const [days, setDays] = useState<string | number>(90);
  const [scopes, setScopes] = useState<string[]>([]);
  const { data: every } = useQuery({ ...permissions, enabled: opened });
  const create = useMutation({
    mutationFn: async () => {
      const body = { label, principal_id: principal, scopes, expires_at: new Date(Date.now() + Number(days) * DAY).toISOString() };
      return (await send<IssuedApiKey>("POST", "/api/v1/admin/api-keys", { body })).body;
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ["items", "admin", "api-keys"] }),
  });
  const faults = create.error instanceof Problem ? create.error.faults : [];
  const fault = (of: string) => faults.find((one) => one.pointer.startsWith(`/${of}`))?.detail;
  const close = () => {
    setOpened(false);
    setLabel("");
    setScopes([]);
    create.reset();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <>
      <Button size="xs" variant="default" {...right} onClick={() => setOpened(true)}>{t("Create a key")}</Button>
      <Modal opened={opened} onClose={close} title={create.data ? t("The key is created") : t("A key for {name}", { name })} size="lg">
        {create.data ? (
          <Stack>
            <Alert color="orange" variant="light" role="status" title={t("Copy the secret now. The platform doesn't show it again.")}>
              <Group gap="xs" wrap="nowrap">
                <Code style={{ overflowWrap: "anywhere" }}>{create.data.secret}</Code>
                <CopyButton value={create.data.secret}>{({ copied, copy }) => <Button size="compact-xs" variant="default" onClick={copy}>{copied ? t("Copied") : t("Copy")}</Button>}</CopyButton>
              </Group>
            </Alert>
            <Group justify="flex-end"><Button onClick={close}>{t("Close")}</Button></Group>
          </Stack>
        ) : (
          <form onSubmit={submit}>
            <Stack>
              <TextInput label={t("Purpose")} description={t("By which you recognize the key")} withAsterisk value={label} onChange={(event) => setLabel(event.currentTarget.value)} error={fault("label")} data-autofocus />
              <NumberInput label={t("Days until it expires")} min={1} max={3660} allowDecimal={false} value={days} onChange={setDays} error={fault("expires_at")} />
              <TagsInput label={t("Limit it to")} description={t("Permissions or patterns, such as ai_catalog.*. Empty: all rights of the account")} data={every?.items.map((one) => one.name) ?? []} limit={50} value={scopes} onChange={setScopes} error={fault("scopes")} />
              {create.error && !faults.length && <Trouble error={create.error} />}
              <Text size="sm" c="dimmed">{t("Who has the secret acts as {name}.", { name })}</Text>
              <Group justify="flex-end">
                <Button variant="default" onClick={close}>{t("Cancel")}</Button>
                <Button type="submit" loading={create.isPending} disabled={!label.trim() || !Number(days)}>{t("Create")}</Button>
              </Group>
            </Stack>
          </form>
        )}
      </Modal>
    </>
  );
}
