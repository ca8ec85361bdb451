import { Button, Group } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { BASE, send } from "../../../api/http";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";
import { notice } from "../../../ui/notice";
import { isFinal, type Run, RUNS } from "./runs";

interface Operation {
  id: string;
  runs: string[];
}

/** What can be done with a run. The platform says what the user may do with it now. */
export function RunButtons({ run }: { run: Run }) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [cancels, setCancels] = useState(false);
  const [retries, setRetries] = useState(false);
  const id = encodeURIComponent(run.id);
  const again = () => queries.invalidateQueries({ queryKey: ["asset-run", run.id] });
  const cancel = async () => {
    await send("POST", `${RUNS}/${id}:cancel`, { body: {} });
    notice(t("The run is canceled"));
    await again();
  };
  const retry = async () => {
    const path = run.pipeline_id ? `/api/v1/ai-catalog/pipeline-runs/${id}:retry` : `${RUNS}/${id}:retry`;
    const { body } = await send<Operation>("POST", path, { body: {} });
    const [started] = body.runs;
    if (started) void navigate({ to: `/runs/${started}` });
    else void navigate({ to: `/operations/operations/${body.id}` });
  };
  const ended = isFinal(run.state);
  return (
    <Group gap="xs">
      {ended && run.state !== "SUCCEEDED" && (
        <Button size="xs" disabled={!run.retriable} title={run.retriable ? undefined : t("You need the permission to materialize all assets of the run.")} onClick={() => setRetries(true)}>
          {t("Retry from the failed step")}
        </Button>
      )}
      {!ended && (
        <Button size="xs" color="red" variant="outline" disabled={!run.cancelable} title={run.cancelable ? undefined : t("You need the permission to materialize all assets of the run.")} onClick={() => setCancels(true)}>
          {t("Cancel run")}
        </Button>
      )}
      <Button size="xs" variant="default" component="a" href={`${BASE}/dagster/runs/${id}`} target="_blank" rel="noopener">{t("Open in Dagster")}</Button>
      <Confirm opened={cancels} title={t("Cancel this run?")} submit={t("Cancel run")} danger run={cancel} onClose={() => setCancels(false)}>
        {t("Steps that run are stopped. Versions that the run has written stay.")}
      </Confirm>
      <Confirm opened={retries} title={t("Retry this run?")} submit={t("Retry")} run={retry} onClose={() => setRetries(false)}>
        {t("Steps that succeeded are not repeated. A new run starts.")}
      </Confirm>
    </Group>
  );
}
