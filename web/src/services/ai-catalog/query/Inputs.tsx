import type { History, QueryInput as Input } from "../../../api/generated/ai-catalog";
import { Anchor, Button, Group, Loader, Menu, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";

interface Props {
  inputs: Input[];
  /** Versions that the statement asked for, by the id of the asset. */
  versions: Record<string, string>;
  onChoose: (asset: string, version: string | null) => void;
}

/** The tables that a result read, at which versions, and the choice of other versions. */
export function Inputs({ inputs, versions, onChoose }: Props) {
  if (!inputs.length) return null;
  return (
    <Group gap="md" component="section" aria-label={t("Tables that were read")}>
      <Text size="sm">{t("Read:")}</Text>
      {inputs.map((one) => (
        <Group key={one.asset} gap={4} wrap="nowrap">
          <Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(one.asset)}`} size="sm" ff="monospace">{one.asset}</Anchor>
          <Version input={one} fixed={one.asset in versions} onChoose={(version) => onChoose(one.asset, version)} />
        </Group>
      ))}
    </Group>
  );
}

function Version({ input, fixed, onChoose }: { input: Input; fixed: boolean; onChoose: (version: string | null) => void }) {
  const [open, setOpen] = useState(false);
  const known = useQuery({
    queryKey: ["table-versions", input.asset],
    queryFn: ({ signal }) => get<History>(`/api/v1/ai-catalog/assets/${encodeURIComponent(input.asset)}/history`, { query: { page_size: 20 }, signal }),
    enabled: open,
    retry: false,
  });
  return (
    <Menu opened={open} onChange={setOpen} position="top-start">
      <Menu.Target>
        <Button size="compact-xs" variant={fixed ? "filled" : "default"} title={t("Data version {data_version}. Choose another version to read.", { data_version: input.data_version })}>
          {t("version {table_version}{fixed}", { table_version: input.table_version, fixed: fixed ? "" : t(" (newest)") })}
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={320} style={{ overflowY: "auto" }}>
        <Menu.Item onClick={() => onChoose(null)}>{t("Newest version")}</Menu.Item>
        {known.isPending && <Loader size="xs" m="xs" />}
        {known.error && <Trouble error={known.error} />}
        {known.data?.items.map((one) => (
          <Menu.Item key={one.table_version} onClick={() => onChoose(String(one.table_version))} rightSection={<Text size="xs" c="dimmed"><Time value={one.committed_at} /></Text>}>
            {t("Version {table_version}: {operation}", { table_version: one.table_version, operation: one.operation.toLowerCase() })}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
