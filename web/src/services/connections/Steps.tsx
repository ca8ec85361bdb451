import { Text } from "@mantine/core";
import type { StepResult } from "../../api/generated/connections";
import { t } from "../../language/text";
import { duration } from "../../ui/duration";
import { Rows } from "../../ui/Rows";
import { State } from "../../ui/State";

const OUTCOMES = { PASSED: ["teal", t("Passed")], FAILED: ["red", t("Failed")], SKIPPED: ["gray", t("Not tried")] } as const;

/** The steps of a test. The first one that fails ends it. */
export function Steps({ steps }: { steps: StepResult[] }) {
  return (
    <Rows
      label={t("Steps of the test")}
      columns={[t("Step"), t("Outcome"), t("Time"), t("Details")]}
      rows={steps.map((step) => {
        const [color, text] = OUTCOMES[step.state];
        const time = step.milliseconds === null || step.milliseconds === undefined ? null : duration(step.milliseconds);
        return { id: step.name, cells: [step.title, <State key="outcome" color={color} title={step.reason || undefined}>{text}</State>, time, <Text key="detail" span size="sm">{step.detail}</Text>] };
      })}
    />
  );
}
