"""`core.ports.Orchestrator` over Dagster's GraphQL."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from api.gateways.dagster import mutations, parsing, partition_parsing, queries, report_parsing, step_parsing
from api.gateways.dagster.client import DagsterClient, refusal
from api.gateways.dagster.launching import backfill_params, is_backfill, retry_params, run_params, stages
from api.gateways.dagster.readmodel import ReadModel
from core import ids as core_ids
from core.errors import Conflict, InvalidPayload, NotFound, Unavailable
from core.ports import AssetNode, Automation, GraphView
from core.reports import CheckEvaluation, VersionReport
from core.runs import BackfillState, Launch, Launched, LogLine, PartitionState, RunState, RunStatus, StepState

_BACKFILL_TAG = "dagster/backfill"
_log = logging.getLogger("headwater.orchestrator")


class DagsterOrchestrator:
    """The Dagster of this platform. Call `start` before use and `stop` after."""

    def __init__(self, client: DagsterClient) -> None:
        self.client = client
        self.read_model = ReadModel(client)
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts to watch Dagster. Returns immediately; the view is available when Dagster responds."""
        self._watcher = asyncio.create_task(self.read_model.run())

    async def stop(self) -> None:
        """Stops watching and closes the connections."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self.client.close()

    def view(self) -> GraphView:
        """See `Orchestrator`."""
        return self.read_model.view()

    async def refresh(self, assets: Sequence[str] = ()) -> None:
        """See `Orchestrator`."""
        await (self.read_model.refresh_states(assets) if assets else self.read_model.refresh_changed())

    async def refresh_graph(self) -> None:
        """Refreshes the definitions as well as the states, after a publication."""
        await self.read_model.refresh(graph=True)

    def stages(self, launch: Launch) -> int:
        """See `Orchestrator`. Assets with inputs from another code location are in a later stage."""
        return 1 if is_backfill(launch) or launch.job else len(stages(self._nodes(launch)))

    async def launch(self, launch: Launch, stage: int = 1) -> Launched:
        """See `Orchestrator`. Each code location gets a run; several partitions get a backfill."""
        if launch.retries:
            return Launched((await self._retry(launch),))
        nodes = self._nodes(launch)
        self.read_model.expect_changes()
        if not is_backfill(launch):
            selected = nodes if launch.job else stages(nodes)[stage - 1]
            return Launched(await self._start_runs(launch, selected))
        answer = await self.client.change(mutations.LAUNCH_BACKFILL, params=backfill_params(launch, nodes))
        result = answer["launchPartitionBackfill"]
        if result["__typename"] != "LaunchBackfillSuccess":
            raise refusal(result, InvalidPayload)
        return Launched(backfill=result["backfillId"])

    async def _retry(self, launch: Launch) -> str:
        self.read_model.expect_changes()
        answer = await self.client.change(mutations.RETRY_RUN, params=retry_params(launch))
        result = answer["launchRunReexecution"]
        if result["__typename"] != "LaunchRunSuccess":
            raise refusal(result, Conflict)
        return str(result["run"]["runId"])

    def _nodes(self, launch: Launch) -> list[AssetNode]:
        view = self.view()
        if unknown := [asset for asset in launch.assets if asset not in view.nodes]:
            raise NotFound(f"Dagster has no asset {', '.join(unknown)}.")
        return [view.nodes[asset] for asset in launch.assets]

    async def _start_runs(self, launch: Launch, nodes: Sequence[AssetNode]) -> tuple[str, ...]:
        started: list[str] = []
        for params in run_params(launch, nodes):
            result = (await self.client.change(mutations.LAUNCH_RUN, params=params))["launchRun"]
            if result["__typename"] != "LaunchRunSuccess":
                if started:
                    await self.terminate(Launched(tuple(started)))
                raise refusal(result, InvalidPayload)
            started.append(result["run"]["runId"])
        return tuple(started)

    async def partitions(self, asset: str) -> Sequence[str]:
        """See `Orchestrator`."""
        key = {"path": core_ids.asset_key(asset)}
        node = (await self.client.read(queries.PARTITION_KEYS, key=key))["assetNodeOrError"]
        return list(node.get("partitionKeys", ()))

    async def partition_states(self, asset: str) -> Mapping[str, PartitionState]:
        """See `Orchestrator`."""
        node = self.view().nodes.get(asset)
        if node is None or not node.partitioned:
            return {}
        key = {"path": core_ids.asset_key(asset)}
        return partition_parsing.states((await self.client.read(queries.PARTITION_STATES, key=key))["assetNodeOrError"])

    async def config_fields(self, assets: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """See `Orchestrator`."""
        keys = [{"path": core_ids.asset_key(asset)} for asset in assets]
        return parsing.config_fields(await self.client.read(queries.CONFIG_FIELDS, keys=keys))

    async def runs(self, ids: Sequence[str]) -> Mapping[str, RunState]:
        """See `Orchestrator`."""
        return {run.id: run for run in await self._runs({"runIds": list(ids)}, len(ids))} if ids else {}

    async def find_runs(
        self,
        tags: Mapping[str, str],
        *,
        statuses: Sequence[RunStatus] = (),
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        before: str = "",
        limit: int,
    ) -> Sequence[RunState]:
        """See `Orchestrator`."""
        filter: dict[str, Any] = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
        if statuses:
            filter["statuses"] = parsing.statuses(statuses)
        if created_after:
            filter["createdAfter"] = created_after.timestamp()
        if created_before:
            filter["createdBefore"] = created_before.timestamp()
        return await self._runs(filter, limit, before)

    async def steps(self, run: RunState) -> Sequence[StepState]:
        """See `Orchestrator`."""
        answer = await self.client.read(queries.RUN_STEPS, id=run.id)
        errors = await self._failures(run.id) if run.status is RunStatus.FAILED else {}
        return step_parsing.steps(answer, run.status.final, errors)

    async def report(self, asset: str) -> VersionReport | None:
        """See `Orchestrator`."""
        key = {"path": core_ids.asset_key(asset)}
        return report_parsing.version_report(await self.client.read(queries.REPORT, key=key))

    async def evaluations(self, asset: str, check: str, *, limit: int) -> Sequence[CheckEvaluation]:
        """See `Orchestrator`."""
        key = {"path": core_ids.asset_key(asset)}
        answer = await self.client.read(queries.EVALUATIONS, key=key, check=check, limit=limit)
        return [report_parsing.evaluation(raw) for raw in answer["assetCheckExecutions"]]

    async def outcome(self, run: RunState) -> RunState:
        """See `Orchestrator`."""
        produced = parsing.produced(await self.client.read(queries.ENDED_RUN, id=run.id))
        error = await self._first_failure(run.id) if run.status is RunStatus.FAILED else None
        return dataclasses.replace(run, produced=produced, error=error)

    async def runs_tagged(self, key: str, value: str) -> Launched:
        """See `Orchestrator`."""
        runs = await self._runs({"tags": [{"key": key, "value": value}]}, 500)
        for run in runs:
            if backfill := run.tags.get(_BACKFILL_TAG):
                return Launched(backfill=backfill)
        if runs:
            return Launched(tuple(sorted(run.id for run in runs)))
        recent = (await self.client.read(queries.RECENT_BACKFILLS))["partitionBackfillsOrError"]
        for backfill in recent.get("results", ()):
            if {"key": key, "value": value} in backfill["tags"]:
                return Launched(backfill=backfill["id"])
        return Launched()

    async def backfill(self, id: str) -> BackfillState | None:
        """See `Orchestrator`."""
        answer = (await self.client.read(queries.BACKFILL, id=id))["partitionBackfillOrError"]
        if answer["__typename"] == "PythonError":
            raise Unavailable(f"Dagster cannot read backfill {id}: {parsing.failure(answer)}", retry_after_seconds=2)
        return parsing.backfill(answer) if answer["__typename"] == "PartitionBackfill" else None

    async def terminate(self, launched: Launched) -> None:
        """See `Orchestrator`."""
        runs = list(launched.runs)
        if launched.backfill:
            answer = await self.client.change(mutations.CANCEL_BACKFILL, id=launched.backfill)
            _require(answer["cancelPartitionBackfill"], "CancelBackfillSuccess")
            state = await self.backfill(launched.backfill)
            runs.extend(state.runs if state else ())
        live = [run.id for run in await self._runs({"runIds": runs}, len(runs)) if not run.status.final] if runs else []
        if not live:
            return
        answer = (await self.client.change(mutations.TERMINATE_RUNS, ids=live))["terminateRuns"]
        _require(answer, "TerminateRunsResult")
        for result in answer["terminateRunResults"]:
            if result["__typename"] != "TerminateRunSuccess":
                # It may have ended meanwhile, or its worker may not exist. The next refresh reads its state.
                _log.warning("a run could not be terminated: %s", result.get("message", result["__typename"]))
        self.read_model.expect_changes()

    async def logs(self, run: str, *, after: str | None, limit: int) -> Sequence[LogLine]:
        """See `Orchestrator`. Dagster has cursors between pages; a cursor here adds the number of lines after one."""
        base, _, skipped = (after or "").rpartition("|")
        skip = int(skipped) if skipped.isdigit() else 0
        variables = {"id": run, "after": base or None, "limit": limit + skip}
        answer = (await self.client.read(queries.RUN_LOGS, **variables))["logsForRun"]
        if answer["__typename"] == "RunNotFoundError":
            return []
        _require(answer, "EventConnection")
        lines = [parsing.log_line(event, f"{base}|{n}") for n, event in enumerate(answer["events"], 1)]
        if lines:
            lines[-1] = dataclasses.replace(lines[-1], cursor=f"{answer['cursor']}|0")
        return lines[skip:]

    async def start_schedule(self, schedule: Automation) -> None:
        """See `Orchestrator`."""
        selector = {"scheduleName": schedule.id, **_repository(schedule)}
        answer = await self.client.change(mutations.START_SCHEDULE, selector=selector)
        _require(answer["startSchedule"], "ScheduleStateResult")
        await self.refresh_graph()

    async def stop_schedule(self, schedule: Automation) -> None:
        """See `Orchestrator`."""
        answer = await self.client.change(mutations.STOP_SCHEDULE, id=schedule.state_id)
        _require(answer["stopRunningSchedule"], "ScheduleStateResult")
        await self.refresh_graph()

    async def start_sensor(self, sensor: Automation) -> None:
        """See `Orchestrator`."""
        selector = {"sensorName": sensor.id, **_repository(sensor)}
        answer = await self.client.change(mutations.START_SENSOR, selector=selector)
        _require(answer["startSensor"], "Sensor")
        await self.refresh_graph()

    async def stop_sensor(self, sensor: Automation) -> None:
        """See `Orchestrator`."""
        answer = await self.client.change(mutations.STOP_SENSOR, id=sensor.state_id)
        _require(answer["stopSensor"], "StopSensorMutationResult")
        await self.refresh_graph()

    async def _runs(self, filter: dict[str, Any], limit: int, before: str = "") -> list[RunState]:
        answer = (await self.client.read(queries.RUNS, filter=filter, limit=limit, cursor=before or None))[
            "runsOrError"
        ]
        _require(answer, "Runs")
        return [parsing.run(raw) for raw in answer["results"]]

    async def _failures(self, run: str) -> dict[str, str]:
        """Returns the failure of the last attempt of each failed step."""
        failures: dict[str, str] = {}
        after: str | None = None
        while True:
            page = (await self.client.read(queries.RUN_LOGS, id=run, after=after, limit=1000))["logsForRun"]
            for event in page.get("events", ()):
                if event["__typename"] == "ExecutionStepFailureEvent" and event["error"]:
                    failures[event["stepKey"]] = parsing.failure(event["error"])
            if not page.get("hasMore"):
                return failures
            after = page["cursor"]

    async def _first_failure(self, run: str) -> str | None:
        after: str | None = None
        while True:
            answer = await self.client.read(queries.RUN_LOGS, id=run, after=after, limit=1000)
            page = answer["logsForRun"]
            for event in page.get("events", ()):
                if event["__typename"] == "ExecutionStepFailureEvent" and event["error"]:
                    return f"{event['stepKey']}: {parsing.failure(event['error'])}"
            for event in page.get("events", ()):
                if event["__typename"] == "RunFailureEvent":
                    return parsing.log_line(event, "").message
            if not page.get("hasMore"):
                return None
            after = page["cursor"]


def _repository(automation: Automation) -> dict[str, str]:
    return {"repositoryName": automation.repository, "repositoryLocationName": automation.location}


def _require(result: Any, typename: str) -> None:
    if result["__typename"] != typename:
        raise refusal(result, Conflict)
