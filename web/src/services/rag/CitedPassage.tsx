import { Code, Drawer, Skeleton, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { rich, t } from "../../language/text";
import { Trouble } from "../../ui/Trouble";
import { passage } from "./indexes";

interface Props {
  index: string;
  version: string | undefined;
  chunk: string | undefined;
  onClose: () => void;
}

/** The cited chunk as it is in its version of the index, between its neighbors in the document. */
export function CitedPassage({ index, version, chunk, onClose }: Props) {
  const opened = Boolean(index && version && chunk);
  const found = useQuery({ ...passage(index, version ?? "", chunk ?? ""), enabled: opened });
  const shown = found.data;
  return (
    <Drawer opened={opened} onClose={onClose} position="right" size="lg" title={t("Cited passage")} closeButtonProps={{ "aria-label": t("Close") }}>
      {found.isLoading && <Skeleton height={200} />}
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.isSuccess && !shown && <Text size="sm">{t("This version of the index has no such chunk.")}</Text>}
      {shown && (
        <Stack gap="sm">
          <div>
            <Text fw={600} size="sm" style={{ overflowWrap: "anywhere" }}>{shown.chunk.document}</Text>
            <Text size="xs" c="dimmed">{shown.chunk.heading}</Text>
            <Text size="xs" style={{ overflowWrap: "anywhere" }}>{rich("{index} {version}, chunk {id}", { index, version: <Code>{version}</Code>, id: <Code>{shown.chunk.id}</Code> })}</Text>
          </div>
          {shown.before && <Text size="sm" c="dimmed" style={{ whiteSpace: "pre-wrap" }}>{shown.before.text}</Text>}
          <Text size="sm" component="blockquote" m={0} pl="sm" style={{ whiteSpace: "pre-wrap", borderInlineStart: "3px solid var(--mantine-primary-color-filled)" }}>{shown.chunk.text}</Text>
          {shown.after && <Text size="sm" c="dimmed" style={{ whiteSpace: "pre-wrap" }}>{shown.after.text}</Text>}
        </Stack>
      )}
    </Drawer>
  );
}
