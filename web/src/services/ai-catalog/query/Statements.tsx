import { Button, Code, Drawer, Group, Stack, Tabs, Text, TextInput, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { rich, t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { forget, recent } from "./recent";
import { projects, savedQueries } from "./saved";

interface Props {
  user: string;
  onOpen: (id: string) => void;
  onPick: (sql: string) => void;
  onClose: () => void;
}

/** Saved queries of the projects, and the statements that the user ran before. */
export function Statements({ user, onOpen, onPick, onClose }: Props) {
  const [text, setText] = useState("");
  const [own, setOwn] = useState(() => recent(user));
  const saved = useQuery(savedQueries);
  const known = useQuery(projects);
  const wanted = text.toLowerCase();
  const matches = (...texts: string[]) => texts.some((one) => one.toLowerCase().includes(wanted));
  const found = saved.data?.filter((one) => matches(one.spec.title, one.spec.description, one.spec.sql)) ?? [];
  const ran = own.filter((one) => matches(one.sql));
  const projectOf = (id: string | null) => known.data?.find((one) => one.id === id)?.spec.title ?? "";
  return (
    <Drawer opened onClose={onClose} title={t("Queries")} position="right" size="md">
      <TextInput aria-label={t("Find a query")} placeholder={t("Find a query")} data-autofocus value={text} onChange={(event) => setText(event.currentTarget.value)} mb="sm" />
      <Tabs defaultValue="saved" keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="saved">{t("Saved")}</Tabs.Tab>
          <Tabs.Tab value="recent">{t("Run before")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="saved" pt="sm">
          {saved.error && <Trouble error={saved.error} retry={() => saved.refetch()} />}
          {saved.data && !found.length && <Text size="sm" c="dimmed">{text ? t("No saved query matches.") : t("There are no saved queries that you can see. Run a statement, and save it.")}</Text>}
          <Stack gap="xs">
            {found.map((one) => (
              <UnstyledButton key={one.id} onClick={() => onOpen(one.id)}>
                <Text size="sm" fw={600}>{one.spec.title}</Text>
                <Text size="xs" c="dimmed">{rich("{project_id} · {chart} · changed {time} by {updated_by}", { project_id: projectOf(one.project_id), chart: one.spec.chart ? t("chart") : t("table"), time: <Time value={one.updated_at} />, updated_by: one.updated_by })}</Text>
              </UnstyledButton>
            ))}
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="recent" pt="sm">
          <Group justify="space-between" mb="xs" wrap="nowrap">
            <Text size="xs" c="dimmed">{t("Kept in this browser only.")}</Text>
            {own.length > 0 && <Button size="compact-xs" variant="subtle" onClick={() => { forget(user); setOwn([]); }}>{t("Clear")}</Button>}
          </Group>
          {!ran.length && <Text size="sm" c="dimmed">{own.length ? t("No statement matches.") : t("You didn't run a statement yet.")}</Text>}
          <Stack gap="xs">
            {ran.map((one) => (
              <UnstyledButton key={one.sql} onClick={() => onPick(one.sql)}>
                <Code block mah={80} style={{ overflow: "hidden" }}>{one.sql}</Code>
                <Text size="xs" c="dimmed"><Time value={one.at} /> · {one.rows === null ? t("failed") : t("{rows, number} rows", { rows: one.rows })}</Text>
              </UnstyledButton>
            ))}
          </Stack>
        </Tabs.Panel>
      </Tabs>
    </Drawer>
  );
}
