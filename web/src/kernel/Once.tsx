import { Alert, Button, Code, CopyButton, Group, Stack, Text, Title } from "@mantine/core";
import { words } from "../api/schema";
import { t } from "../language/text";

/** Values that the platform returns once: the secret of a key, the token of an invitation. */
export function Once({ title, values, onClose }: { title: string; values: Record<string, unknown>; onClose: () => void }) {
  return (
    <Stack maw={720}>
      <Title order={1}>{title}</Title>
      <Alert color="orange" variant="light" role="status" title={t("Copy this now. The platform doesn't show it again.")}>
        <Stack gap="sm">
          {Object.entries(values).map(([name, value]) => (
            <div key={name}>
              <Text size="xs">{words(name)}</Text>
              <Group gap="xs" wrap="nowrap">
                <Code style={{ overflowWrap: "anywhere" }}>{String(value)}</Code>
                <CopyButton value={String(value)}>{({ copied, copy }) => <Button size="compact-xs" variant="default" onClick={copy}>{copied ? t("Copied") : t("Copy")}</Button>}</CopyButton>
              </Group>
            </div>
          ))}
        </Stack>
      </Alert>
      <Group><Button onClick={onClose}>{t("Continue")}</Button></Group>
    </Stack>
  );
}
