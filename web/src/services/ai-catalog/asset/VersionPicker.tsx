import { Alert, Button, Group, Popover, Select, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { get } from "../../../api/http";
import { relative } from "../../../ui/relative";
import { useNow } from "../../../ui/now";
import { Trouble } from "../../../ui/Trouble";
import { assetPath, partQuery, versionNumber } from "./asset";
import type { TableVersion, History } from "../../../api/generated/ai-catalog";
import { t } from "../../../language/text";

export type { TableVersion, History };

const SHOWN = 50;

export const historyQuery = (id: string) => partQuery<History>(id, "history", { page_size: SHOWN });

interface Props {
  id: string;
  label: string;
  /** A table version or a data version. The newest by default. */
  value: string | undefined;
  onChange: (version: string | undefined) => void;
}

/** Picks a version of a table from its history, or the one that was current at a time. */
export function VersionPicker({ id, label, value, onChange }: Props) {
  const history = useQuery(historyQuery(id));
  const now = useNow();
  const [open, setOpen] = useState(false);
  const [time, setTime] = useState("");
  const lookup = useMutation({
    mutationFn: (at: string) => get<{ version: string }>(assetPath(id, "/as-of"), { query: { at: new Date(at).toISOString() } }),
    onSuccess: ({ version }) => {
      setOpen(false);
      onChange(versionNumber(version));
    },
  });
  const items = history.data?.items ?? [];
  const number = value && versionNumber(value);
  const options = items.map((one, position) => ({
    value: String(one.table_version),
    label: `${one.table_version}${position ? "" : t(" (newest)")} · ${relative(new Date(one.committed_at), now)}`,
  }));
  if (number && !options.some((one) => one.value === number)) options.push({ value: number, label: number });
  return (
    <Group gap="xs" align="flex-end">
      <Select
        label={label}
        size="xs"
        w={220}
        data={options}
        value={number || options[0]?.value || null}
        onChange={(chosen) => onChange(chosen === options[0]?.value ? undefined : (chosen ?? undefined))}
        placeholder={history.error ? t("No version") : undefined}
        searchable
        allowDeselect={false}
      />
      <Popover opened={open} onChange={setOpen} trapFocus position="bottom-start">
        <Popover.Target><Button size="xs" variant="default" onClick={() => setOpen(!open)} aria-expanded={open}>{t("At a time")}</Button></Popover.Target>
        <Popover.Dropdown>
          <Stack gap="xs" component="form" onSubmit={(event) => { event.preventDefault(); if (time) lookup.mutate(time); }}>
            <TextInput type="datetime-local" step={1} label={t("Version that was current at")} description={t("In the time zone of this browser")} value={time} onChange={(event) => setTime(event.currentTarget.value)} />
            {lookup.error && <Trouble error={lookup.error} />}
            <Group justify="flex-end"><Button type="submit" size="xs" loading={lookup.isPending} disabled={!time}>{t("Show")}</Button></Group>
          </Stack>
        </Popover.Dropdown>
      </Popover>
    </Group>
  );
}

/** Says what policies hide from the reader of an asset. */
export function PolicyNote({ id }: { id: string }) {
  const { data } = useQuery(partQuery<{ restricted: boolean; masked_columns: string[]; filtered: boolean }>(id, "policies"));
  if (!data?.restricted) return null;
  const parts = [
    ...(data.filtered ? [t("some rows are left out")] : []),
    ...(data.masked_columns.length ? [t("the values of {masked_columns} are masked", { masked_columns: data.masked_columns.join(", ") })] : []),
  ];
  return <Alert color="orange" variant="light" title={t("A policy restricts what you read")}>{t("For you, {parts}.", { parts: parts.join(", and ") || t("some values are hidden") })}</Alert>;
}
