import { Button, Code, CopyButton, Group } from "@mantine/core";
import { BASE } from "../../../api/http";
import { t } from "../../../language/text";

/** The link that an invited person opens. Its token is in the fragment, which browsers send to no server. */
export function InvitationLink({ token }: { token: string }) {
  const link = `${location.origin}${BASE}/invitation#${token}`;
  return (
    <Group gap="xs" wrap="nowrap">
      <Code style={{ overflowWrap: "anywhere" }}>{link}</Code>
      <CopyButton value={link}>{({ copied, copy }) => <Button size="compact-xs" variant="default" onClick={copy}>{copied ? t("Copied") : t("Copy")}</Button>}</CopyButton>
    </Group>
  );
}
