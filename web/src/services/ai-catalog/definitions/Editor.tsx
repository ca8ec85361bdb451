import { Alert, Button, Group, Kbd, SegmentedControl, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { useMutation, useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useMemo, useState } from "react";
import { allowed } from "../../../api/platform";
import { t } from "../../../language/text";
import { type Component, revisions } from "./definitions";
import { Difference } from "./Difference";
import { Outcome } from "./Outcome";
import { advance, type Progress, same, type Stored } from "./publishing";
import { SchemaForm } from "./SchemaForm";
import classes from "./Editor.module.css";
import { type Fault, parsed, withAttribute, written } from "./text";

const YamlEditor = lazy(async () => ({ default: (await import("./YamlEditor")).YamlEditor }));

export type View = "form" | "yaml";

const PUBLISH = "ai_catalog.definition.publish";

interface Props {
  stored: Stored | null;
  /** The text to start with. */
  initial: string;
  components: Component[];
  view: View;
  /** Whether to check what is stored at once. */
  checks?: boolean;
  onView: (view: View) => void;
  onStored: (stored: Stored, published: boolean) => void;
}

/** A form and a text for one definition, which always have the same content, and the steps to its publication. */
export function Editor({ stored, initial, components, view, checks, onView, onStored }: Props) {
  const [text, setText] = useState(initial);
  const [progress, setProgress] = useState<Progress | null>(null);
  const entered = useMemo(() => parsed(text), [text]);
  const component = components.find((one) => one.name === entered.component);
  const id = stored?.definition.id;
  const { data: rights } = useQuery(allowed([PUBLISH], id ? { id, kind: "ai_catalog.definition" } : null));
  const { data: published } = useQuery({ ...revisions(id ?? ""), enabled: Boolean(stored?.definition.published_at) });
  const live = published?.[0];
  const liveText = live && written(live.component, live.attributes);
  const work = useMutation({
    mutationFn: (publish: boolean) => advance(stored, entered, publish, setProgress),
    onSuccess: (now, publish) => {
      // A form that has just been sent can be shown as it is. Only what changed on the way is told.
      if (now && (now.etag !== stored?.etag || !stored)) onStored(now, publish && now.definition.state === "PUBLISHED");
    },
  });
  const busy = work.isPending;
  const hasText = !entered.problem;
  const run = (publish: boolean) => hasText && !busy && work.mutate(publish);
  useEffect(() => {
    if (checks && stored) work.mutate(false);
    // Once, for the definition that was just stored.
  }, []);
  useHotkeys([["mod+Enter", () => run(false)]], []);
  const faults = (progress?.faults ?? []).filter((fault) => fault.pointer);
  const unsaved = !stored || (hasText && !same(stored.definition, entered));
  const change = (changed: string) => {
    setText(changed);
    if (!busy) setProgress(null);
  };
  const show = (fault: Fault) => {
    const target = () => document.querySelector<HTMLElement>(`[data-pointer="${CSS.escape(fault.pointer)}"]`) ?? document.querySelector<HTMLElement>(`[data-pointer="${CSS.escape(fault.pointer.split("/").slice(0, 3).join("/"))}"]`);
    if (view === "form" && target()) target()?.focus();
    else if (view === "form") onView("yaml");
    else document.querySelector(".cm-content")?.scrollIntoView({ block: "center" });
  };
  const canPublish = rights?.has(PUBLISH) ?? false;
  const isPublished = stored?.definition.state === "PUBLISHED" && !unsaved;
  const isRetired = stored?.definition.state === "RETIRED";
  return (
    <div className={classes.columns}>
      <Stack gap="md" miw={0}>
        <Group justify="space-between">
          <SegmentedControl size="xs" aria-label={t("View")} value={view} onChange={(chosen) => onView(chosen as View)} data={[{ value: "form", label: t("Form") }, { value: "yaml", label: t("YAML") }]} />
          <Text size="sm" c="dimmed">{unsaved ? t("Not saved yet") : t("Saved")}</Text>
        </Group>
        {view === "form" && entered.problem && (
          <Alert color="red" variant="light" title={t("The text can't be read")}>
            {t("Line {line}: {detail}", { line: entered.problem.line, detail: entered.problem.detail })}{" "}<Button size="compact-xs" variant="default" onClick={() => onView("yaml")}>{t("Fix it")}</Button>
          </Alert>
        )}
        {view === "form" && hasText && !component && <Alert color="red" variant="light">{t("There is no component {component}.", { component: entered.component || t("yet") })}{" "}<Button size="compact-xs" variant="default" onClick={() => onView("yaml")}>{t("Change it")}</Button></Alert>}
        {view === "form" && hasText && component && (
          <SchemaForm component={component} attributes={entered.attributes} faults={faults} isNew={!stored} onChange={(name, value) => change(withAttribute(text, name, value))} />
        )}
        {view === "yaml" && (
          <Suspense fallback={<Skeleton height={320} />}>
            <YamlEditor label={t("Definition as YAML")} value={text} onChange={change} onRun={() => run(false)} problem={entered.problem} faults={hasText ? faults : []} />
          </Suspense>
        )}
      </Stack>
      <Stack gap="md" className={classes.side}>
        <Group>
          <Button variant="default" onClick={() => run(false)} disabled={!hasText || busy || isRetired} loading={busy && work.variables === false}>
            {unsaved ? t("Save and check") : t("Check")} <Kbd ml={8} size="xs">Ctrl Enter</Kbd>
          </Button>
          <Button
            onClick={() => run(true)}
            disabled={!hasText || busy || !canPublish || isPublished || isRetired}
            loading={busy && work.variables === true}
            title={rights && !canPublish ? t("You need the permission {PUBLISH}.", { PUBLISH }) : undefined}
          >
            {live ? t("Publish changes") : t("Publish")}
          </Button>
          {isPublished && <Text size="sm" c="dimmed">{t("This is what runs.")}</Text>}
        </Group>
        {progress && <Outcome progress={progress} text={text} onShow={show} />}
        {liveText && hasText && written(entered.component, entered.attributes) !== liveText && (
          <section aria-label={t("Changes to the live definition")}>
            <Title order={2} mb="xs">{t("Changes to the live definition")}</Title>
            <Difference label={t("Changes to the live definition")} before={liveText} after={written(entered.component, entered.attributes)} />
          </section>
        )}
      </Stack>
    </div>
  );
}

