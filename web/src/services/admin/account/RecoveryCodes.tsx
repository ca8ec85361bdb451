import { Button, Code, Group, List, Stack, Text, Title } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { t } from "../../../language/text";

/** New recovery codes, which are shown once. */
export function RecoveryCodes({ codes, onKept }: { codes: string[]; onKept: () => void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const shown = useRef<HTMLOListElement>(null);
  const [said, setSaid] = useState("");
  useEffect(() => heading.current?.focus(), []);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(codes.join("\n"));
      setSaid(t("Copied."));
    } catch {
      // Browsers allow access to the clipboard over TLS only.
      if (shown.current) getSelection()?.selectAllChildren(shown.current);
      setSaid(t("The codes are selected. Copy them with your keyboard."));
    }
  };
  return (
    <Stack gap="sm" align="flex-start">
      <Title order={3} ref={heading} tabIndex={-1}>{t("Keep your recovery codes")}</Title>
      <Text size="sm">{t("If you lose the app, you can use each of them once instead of a code. They are shown only now. Store them in a safe place.")}</Text>
      <List ref={shown} listStyleType="none" aria-label={t("Recovery codes")} spacing={4}>
        {codes.map((one) => <List.Item key={one}><Code>{one}</Code></List.Item>)}
      </List>
      <Text size="sm" c="dimmed" role="status">{said}</Text>
      <Group>
        <Button variant="default" onClick={() => void copy()}>{t("Copy")}</Button>
        <Button onClick={onKept}>{t("I have kept them")}</Button>
      </Group>
    </Stack>
  );
}
