import { Button, Group, Select, Stack, Switch, Text, TextInput } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import type { Log as LogState } from "../api/log";
import { t } from "../language/text";
import classes from "./Log.module.css";
import { isError, type LogFilter, type LogLine, matching } from "./logLines";
import { Trouble } from "./Trouble";

const ROW = 20;
const CHOICES = [
  { value: "information", label: t("Information and above") },
  { value: "warnings", label: t("Warnings and errors") },
  { value: "errors", label: t("Errors") },
];

interface Props {
  log: LogState;
  filter: LogFilter;
  onFilter: (changed: LogFilter) => void;
  /** Names of steps that the log can be limited to. */
  steps?: string[];
  height?: string;
}

/** A log of any length, of which only the lines on the screen are drawn. It opens at the first error, or else follows. */
export function Log({ log, filter, onFilter, steps = [], height = "48dvh" }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const [focused, setFocused] = useState<number | null>(null);
  const jumped = useRef(false);
  const { lines } = log;
  const count = lines.length;
  const chosen = useMatching(lines, filter);
  const firstError = useFirstError(lines, chosen);
  const total = chosen ? chosen.length : count;
  const rows = useVirtualizer({ count: total, getScrollElement: () => box.current, estimateSize: () => ROW, overscan: 20 });
  const jump = () => {
    setFollows(false);
    setFocused(firstError);
    rows.scrollToIndex(firstError, { align: "center" });
  };
  useEffect(() => {
    if (firstError >= 0 && !jumped.current) {
      jumped.current = true;
      jump();
    } else if (follows && total) rows.scrollToIndex(total - 1, { align: "end" });
  }, [total, follows, firstError]);
  return (
    <Stack gap="xs">
      <Group gap="xs" align="center">
        <TextInput aria-label={t("Search the log")} placeholder={t("Search the log")} size="xs" w={200} value={filter.text ?? ""} onChange={(event) => onFilter({ ...filter, text: event.currentTarget.value || undefined })} />
        <Select aria-label={t("Level")} placeholder={t("All levels")} size="xs" w={180} clearable data={CHOICES} value={filter.level ?? null} onChange={(level) => onFilter({ ...filter, level: level ?? undefined })} />
        {steps.length > 1 && (
          <Select aria-label={t("Step")} placeholder={t("All steps")} size="xs" w={240} clearable searchable data={steps} value={filter.step ?? null} onChange={(step) => onFilter({ ...filter, step: step ?? undefined })} />
        )}
        <Switch label={t("Follow")} size="xs" checked={follows} disabled={log.ended} onChange={(event) => setFollows(event.currentTarget.checked)} />
        <Button size="compact-xs" variant="default" disabled={firstError < 0} onClick={jump}>{t("First error")}</Button>
        <Text size="xs" c="dimmed" role="status">
          {chosen ? t("{total, number} of {count, number} lines", { total, count }) : t("{count, number} lines", { count })}
          {log.ended ? "" : t(", more as they are written")}
        </Text>
      </Group>
      {log.error ? <Trouble error={log.error} /> : null}
      {(count > 0 || !log.error) && (
        <div ref={box} className={classes.box} style={{ height }} tabIndex={0} role="log" aria-live="off" aria-label={t("Log")} onWheel={(event) => event.deltaY < 0 && setFollows(false)}>
          {!total && <Text size="sm" c="dimmed" p="xs">{count ? t("No line matches.") : log.ended ? t("The log is empty.") : t("No lines yet.")}</Text>}
          <div style={{ position: "relative", height: rows.getTotalSize() }}>
            {rows.getVirtualItems().map((item) => {
              const line = lines[chosen ? (chosen[item.index] as number) : item.index];
              return line && <Row key={item.key} line={line} start={item.start} focused={item.index === focused} />;
            })}
          </div>
        </div>
      )}
    </Stack>
  );
}

/** The indexes of the lines that the filter shows. The lines are one array that grows, so only new ones are looked at. */
function useMatching(lines: LogLine[], filter: LogFilter): number[] | null {
  const known = useRef<{ lines: LogLine[]; filter: string; seen: number; found: number[] | null }>(null);
  const key = JSON.stringify([filter.level, filter.step, filter.text]);
  if (known.current?.lines !== lines || known.current.filter !== key) known.current = { lines, filter: key, seen: 0, found: [] };
  const cache = known.current;
  if (cache.seen < lines.length || !lines.length) {
    const added = matching(lines, filter, cache.seen);
    if (added) for (const number of added) cache.found?.push(number);
    else cache.found = null;
    cache.seen = lines.length;
  }
  return cache.found;
}

/** The place of the first error among the lines that are shown; -1 if there is none. */
function useFirstError(lines: LogLine[], chosen: number[] | null): number {
  const known = useRef({ lines, chosen, seen: 0, found: -1 });
  if (known.current.lines !== lines || known.current.chosen !== chosen) known.current = { lines, chosen, seen: 0, found: -1 };
  const cache = known.current;
  const total = chosen ? chosen.length : lines.length;
  for (; cache.found < 0 && cache.seen < total; cache.seen++) {
    if (isError(lines[chosen ? (chosen[cache.seen] as number) : cache.seen] as LogLine)) cache.found = cache.seen;
  }
  return cache.found;
}

function Row({ line, start, focused }: { line: LogLine; start: number; focused: boolean }) {
  const tone = isError(line) ? classes.error : line.level === "WARNING" ? classes.warning : "";
  return (
    <div className={`${classes.row} ${tone} ${focused ? classes.focused : ""}`} style={{ transform: `translateY(${start}px)` }}>
      <span className={classes.time}>{line.at ? `${new Date(line.at).toLocaleTimeString(undefined, { hour12: false })} ` : ""}</span>
      {line.level.padEnd(8)} {line.step ? `${line.step}: ` : ""}{line.message}
    </div>
  );
}
