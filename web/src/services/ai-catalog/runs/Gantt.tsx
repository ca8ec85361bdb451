import { Text, UnstyledButton } from "@mantine/core";
import { t } from "../../../language/text";
import { duration } from "../../../ui/duration";
import classes from "./Gantt.module.css";
import type { Step } from "./runs";

const COLORS: Record<string, string> = { SUCCEEDED: "teal", FAILED: "red", RUNNING: "blue" };

interface Props {
  steps: Step[];
  from: number;
  to: number;
  now: number;
  chosen?: string;
  onChoose: (step: string | undefined) => void;
}

/** The steps of a run on a time axis. A step is a button that limits the log to it. */
export function Gantt({ steps, from, to, now, chosen, onChoose }: Props) {
  const length = Math.max(to - from, 1);
  const share = (instant: number) => (100 * (instant - from)) / length;
  return (
    <ul className={classes.steps} aria-label={t("Steps")}>
      {steps.map((step) => {
        const began = step.started_at ? Date.parse(step.started_at) : null;
        const ended = step.ended_at ? Date.parse(step.ended_at) : step.state === "RUNNING" ? now : began;
        const took = began !== null && ended !== null ? duration(ended - began) : "";
        const left = began === null ? 0 : share(began);
        const right = ended === null ? 0 : share(ended);
        const words = `${step.state.toLowerCase()}${took && `, ${took}`}${t("{attempts, plural, one {} other {, {attempts} attempts}}", { attempts: step.attempts })}`;
        return (
          <li key={step.name}>
            <UnstyledButton
              className={classes.step}
              data-chosen={step.name === chosen || undefined}
              aria-pressed={step.name === chosen}
              title={step.error ?? undefined}
              onClick={() => onChoose(step.name === chosen ? undefined : step.name)}
            >
              <Text size="sm" truncate="end" title={step.name}>{step.assets.length === 1 ? step.assets[0] : step.name}</Text>
              <span className={classes.lane}>
                {began !== null && (
                  <span className={classes.bar} style={{ left: `${left}%`, width: `${Math.max(right - left, 0)}%`, background: `var(--mantine-color-${COLORS[step.state] ?? "gray"}-filled)` }} />
                )}
              </span>
              <Text size="xs" c={step.state === "FAILED" ? "var(--mantine-color-error)" : "dimmed"} ta="right">{words}</Text>
            </UnstyledButton>
          </li>
        );
      })}
    </ul>
  );
}
