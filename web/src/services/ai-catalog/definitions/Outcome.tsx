import { Alert, Anchor, Code, Group, List, Loader, Stack, Text, Title, UnstyledButton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { Problem } from "../../../api/http";
import { rich, t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import type { Validation } from "./definitions";
import type { Progress, Step } from "./publishing";
import { type Fault, lineOf } from "./text";

const SIGNS: Record<Step["state"], string> = { waiting: "○", running: "", done: "✓", failed: "✕" };

interface Props {
  progress: Progress;
  text: string;
  onShow: (fault: Fault) => void;
}

/** How far a publication got, what is wrong, and what the definition makes. */
export function Outcome({ progress, text, onShow }: Props) {
  const { steps, faults, validation, error } = progress;
  const failed = steps.find((one) => one.state === "failed");
  return (
    <Stack gap="sm" aria-live="polite">
      <Group gap="lg" component="ol" style={{ listStyle: "none", margin: 0, padding: 0 }} aria-label={t("Progress")}>
        {steps.map((step) => (
          <Group component="li" key={step.name} gap={6} aria-current={step.state === "running" ? "step" : undefined}>
            {step.state === "running" ? <Loader size={14} /> : <Text span c={step.state === "failed" ? "var(--mantine-color-error)" : undefined}>{SIGNS[step.state]}</Text>}
            <Text size="sm">{step.name}: {step.state}{step.took !== undefined && t(" in {took} s", { took: (step.took / 1000).toFixed(1) })}</Text>
          </Group>
        ))}
      </Group>
      {faults.length > 0 && (
        <Alert color="red" variant="light" role="alert" title={t("{count, plural, one {One problem to fix} other {{count} problems to fix}}", { count: faults.length })}>
          <List size="sm" spacing={4}>
            {faults.map((fault) => (
              <List.Item key={fault.pointer + fault.detail}>
                <UnstyledButton onClick={() => onShow(fault)} td="underline" fz="sm" fw={600}>{t("{pointer}, line {text}", { pointer: placeOf(fault.pointer), text: lineOf(text, fault.pointer) })}</UnstyledButton>: {fault.detail}
              </List.Item>
            ))}
          </List>
          {error instanceof Problem && error.requestId && <Text size="xs" mt={4}>{rich("Request {requestId}", { requestId: <Code>{error.requestId}</Code> })}</Text>}
        </Alert>
      )}
      {error !== undefined && !faults.length && <Trouble error={error} />}
      {validation?.publishable && !failed && <Preview validation={validation} />}
    </Stack>
  );
}

/** A JSON pointer as people write it: `/attributes/checks/0/range` is "checks 1, range". */
function placeOf(pointer: string): string {
  const parts = pointer.split("/").slice(1).filter((part, number) => number > 0 || part !== "attributes");
  return parts.map((part) => (/^\d+$/.test(part) ? String(Number(part) + 1) : part)).join(" › ") || t("The definition");
}

/** What a definition makes and reads, and what its next run changes. */
function Preview({ validation }: { validation: Validation }) {
  return (
    <section aria-label={t("What it makes")}>
      <Title order={2} mb={4}>{t("What it makes")}</Title>
      <Stack gap={4}>
        <Text size="sm">{t("Makes")}{" "}<Assets ids={validation.assets} />. {validation.reads.length ? <>{t("Reads")}{" "}<Assets ids={validation.reads} linked />.</> : t("Reads no other asset.")}</Text>
        {validation.changes.map((change) => <Text size="sm" key={change.pointer + change.effect}>{change.detail}</Text>)}
        {validation.not_checked.length > 0 && (
          <Text size="sm" c="dimmed">{t("Not checked before the first run: {not_checked}", { not_checked: validation.not_checked.map((one) => `${placeOf(one.pointer)} (${one.reason})`).join(" ") })}</Text>
        )}
      </Stack>
    </section>
  );
}

function Assets({ ids, linked }: { ids: string[]; linked?: boolean }) {
  return ids.map((id, number) => (
    <span key={id}>
      {number > 0 && ", "}
      {linked ? <Anchor renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id }} />} size="sm" underline="always">{id}</Anchor> : <b>{id}</b>}
    </span>
  ));
}
