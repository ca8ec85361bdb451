"""An orchestrator in memory: the port's behaviour without its processes. Tests move its runs along by hand."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from api.gateways.retiring import retire
from core import clock, publications
from core.db import Database
from core.definitions import RETIRED_TAG, published_definitions
from core.errors import HeadwaterError, InvalidArgument, InvalidPayload, Unavailable
from core.ports import (
    AssetNode,
    AssetState,
    Automation,
    CheckState,
    CheckStatus,
    GraphView,
    LocationState,
    Materialization,
    StaleCause,
    Staleness,
)
from core.publisher import (
    Candidate,
    DeclaredComponent,
    Publisher,
    PublishRequest,
    RetireRequest,
    ValidationReport,
)
from core.reports import CheckEvaluation, VersionReport
from core.runs import (
    BackfillState,
    Launch,
    Launched,
    LogLine,
    PartitionState,
    ProducedVersion,
    RunState,
    RunStatus,
    RunSummary,
    StepState,
)

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def node(id: str, upstream: Sequence[str] = (), **values: object) -> AssetNode:
    return dataclasses.replace(
        AssetNode(
            id=id,
            description=f"What {id} holds.",
            group="default",
            kinds=("delta", "polars"),
            owners=("team:data",),
            code_version="1",
            upstream=tuple(upstream),
            jobs=("__ASSET_JOB",),
            partitioned=False,
            executable=True,
            automation=None,
            location="flights",
            repository="__repository__",
            op=id.replace(".", "__"),
        ),
        **values,
    )


def made(version: str, **metadata: object) -> Materialization:
    return Materialization(version, AT, "run-0", None, metadata)


class FakeOrchestrator:
    """Four assets in a row, one with partitions beside them; a schedule and a sensor."""

    def __init__(self) -> None:
        self.nodes = {
            item.id: item
            for item in (
                node("flights.bronze.flights", kinds=("csv", "delta")),
                node("flights.silver.flights", ["flights.bronze.flights"]),
                node("flights.gold.route_delays", ["flights.silver.flights"], kinds=("delta", "duckdb")),
                node("flights.gold.daily", ["flights.silver.flights"], partitioned=True),
                node("flights.source.prices", executable=False),
            )
        }
        check = CheckState("not_empty", "Has rows.", True, CheckStatus.PASSED, AT, "run-0", None)
        late = CheckState("plausible", "Looks right.", False, CheckStatus.WARNED, AT, "run-0", "3 odd rows")
        self.states = {
            "flights.bronze.flights": AssetState(
                Staleness.FRESH,
                materialization=made("abc@1", **{"dagster/row_count": 3, "delta/version": 1}),
                checks=(check,),
                last_run=RunSummary("run-0", RunStatus.SUCCEEDED, AT, AT),
            ),
            "flights.silver.flights": AssetState(
                Staleness.STALE,
                causes=(StaleCause("flights.silver.flights", "DATA", "has new data", "flights.bronze.flights"),),
                materialization=made("def@4"),
                checks=(check, late),
                last_run=RunSummary("run-0", RunStatus.SUCCEEDED, AT, AT),
            ),
            "flights.gold.route_delays": AssetState(
                Staleness.MISSING, last_run=RunSummary("run-9", RunStatus.FAILED, AT, AT)
            ),
            "flights.gold.daily": AssetState(Staleness.MISSING),
        }
        self.schedules = {
            "daily": Automation(
                "daily",
                "Every night.",
                True,
                "nightly",
                (),
                "flights",
                "__repository__",
                cron="0 2 * * *",
                timezone="UTC",
            )
        }
        self.sensors = {
            "landing": Automation(
                *("landing", "New files.", False, "ingest", ("flights.bronze.flights",), "flights", "__repository__"),
                kind="STANDARD",
                min_interval_seconds=30,
                last_tick_at=AT,
                last_tick_status="SKIPPED",
                last_tick_message="nothing new",
            )
        }
        self.launches: list[Launch] = []
        self.run_states: dict[str, RunState] = {}
        self.backfills: dict[str, BackfillState] = {}
        self.lines: dict[str, list[LogLine]] = {}
        self.fields: dict[str, tuple[str, ...]] = {}
        """Fields of the config of an asset."""
        self.step_states: dict[str, list[StepState]] = {}
        self.reports: dict[str, VersionReport] = {}
        self.evaluated: dict[tuple[str, str], list[CheckEvaluation]] = {}
        """Evaluations of a check of an asset, newest first."""
        self.partitions_of: dict[str, dict[str, PartitionState]] = {}
        """State of each partition of an asset, if it is not one of three that are missing."""
        self.terminated: list[str] = []
        self.known = True
        self.location = LocationState("flights", True, None)
        self.away = False
        self.refusal: HeadwaterError | None = None
        self.refused = 0
        self.after_launch: HeadwaterError | None = None
        self._numbers = itertools.count(1)

    def view(self) -> GraphView:
        if not self.known:
            raise Unavailable("The asset graph is not known yet: Dagster is starting.", retry_after_seconds=1)
        readers: dict[str, list[str]] = {id: [] for id in self.nodes}
        for id in sorted(self.nodes):
            for source in self.nodes[id].upstream:
                readers.setdefault(source, []).append(id)
        downstream = {id: tuple(readers[id]) for id in self.nodes}
        location = {"flights": self.location}
        since = AT if self.away else None
        return GraphView(
            self.nodes, self.states, downstream, self.schedules, self.sensors, location, clock.now(), stale_since=since
        )

    async def refresh(self, assets: Sequence[str] = ()) -> None:
        self._require()

    def stages(self, launch: Launch) -> int:
        return len({self.nodes[asset].location for asset in launch.assets})

    async def launch(self, launch: Launch, stage: int = 1) -> Launched:
        self._require()
        if self.refusal:
            self.refused += 1
            raise self.refusal
        self.launches.append(launch)
        if launch.retries:
            return self._retry(launch)
        if self.stages(launch) > 1:
            location = sorted({self.nodes[asset].location for asset in launch.assets})[stage - 1]
            assets = tuple(asset for asset in launch.assets if self.nodes[asset].location == location)
            launch = dataclasses.replace(launch, assets=assets)
        name = f"run-{next(self._numbers)}"
        if launch.all_partitions or len(launch.partitions) > 1:
            count = len(launch.partitions) or 3
            self.backfills[name] = BackfillState(name, RunStatus.RUNNING, 0, count, ())
            launched = Launched(backfill=name)
        else:
            self.run_states[name] = RunState(
                name,
                RunStatus.RUNNING,
                0,
                len(launch.assets),
                created_at=clock.now(),
                tags=launch.tags,
                job=launch.job or "__ASSET_JOB",
                location="flights",
                assets=launch.assets,
            )
            self.lines[name] = []
            launched = Launched((name,))
        if self.after_launch:
            raise self.after_launch
        return launched

    async def partitions(self, asset: str) -> Sequence[str]:
        return list(await self.partition_states(asset))

    async def partition_states(self, asset: str) -> Mapping[str, PartitionState]:
        missing = dict.fromkeys("abc", PartitionState.MISSING)
        return self.partitions_of.get(asset, missing) if self.nodes[asset].partitioned else {}

    async def config_fields(self, assets: Sequence[str]) -> Mapping[str, Sequence[str]]:
        self._require()
        return {asset: self.fields.get(asset, ()) for asset in assets if asset in self.nodes}

    async def runs(self, ids: Sequence[str]) -> Mapping[str, RunState]:
        self._require()
        found = [self.run_states[id] for id in ids if id in self.run_states]
        return {run.id: dataclasses.replace(run, error=None, produced=()) for run in found}

    async def outcome(self, run: RunState) -> RunState:
        self._require()
        return self.run_states[run.id]

    async def runs_tagged(self, key: str, value: str) -> Launched:
        self._require()
        return Launched(tuple(run.id for run in self.run_states.values() if run.tags.get(key) == value))

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
        self._require()
        newest = list(reversed(self.run_states.values()))
        if before:
            ids = [run.id for run in newest]
            newest = newest[ids.index(before) + 1 :] if before in ids else []
        return [
            run
            for run in newest
            if all(run.tags.get(key) == value for key, value in tags.items())
            and (not statuses or run.status in statuses)
            and (created_after is None or (run.created_at or AT) > created_after)
            and (created_before is None or (run.created_at or AT) < created_before)
        ][:limit]

    async def steps(self, run: RunState) -> Sequence[StepState]:
        self._require()
        return self.step_states.get(run.id, [])

    async def report(self, asset: str) -> VersionReport | None:
        self._require()
        return self.reports.get(asset)

    async def evaluations(self, asset: str, check: str, *, limit: int) -> Sequence[CheckEvaluation]:
        self._require()
        return self.evaluated.get((asset, check), [])[:limit]

    async def backfill(self, id: str) -> BackfillState | None:
        self._require()
        return self.backfills.get(id)

    async def terminate(self, launched: Launched) -> None:
        self._require()
        for id in launched.runs:
            if not self.run_states[id].status.final:
                self.terminated.append(id)
                self.end(id, RunStatus.CANCELED)
        if launched.backfill:
            self.terminated.append(launched.backfill)
            state = self.backfills[launched.backfill]
            self.backfills[launched.backfill] = dataclasses.replace(state, status=RunStatus.CANCELED)

    async def logs(self, run: str, *, after: str | None, limit: int) -> Sequence[LogLine]:
        self._require()
        start = int(after) if after else 0
        return self.lines.get(run, [])[start : start + limit]

    async def start_schedule(self, schedule: Automation) -> None:
        self._switch(self.schedules, schedule, True)

    async def stop_schedule(self, schedule: Automation) -> None:
        self._switch(self.schedules, schedule, False)

    async def start_sensor(self, sensor: Automation) -> None:
        self._switch(self.sensors, sensor, True)

    async def stop_sensor(self, sensor: Automation) -> None:
        self._switch(self.sensors, sensor, False)

    # What tests do to it

    def log(self, run: str, message: str) -> None:
        lines = self.lines.setdefault(run, [])
        lines.append(LogLine(str(len(lines) + 1), AT, "INFO", "LOG", "step", message))

    def advance(self, run: str, done: int) -> None:
        self.run_states[run] = dataclasses.replace(self.run_states[run], steps_done=done)

    def end(self, run: str, status: RunStatus, *, error: str | None = None, versions: Mapping[str, str] = {}) -> None:
        state = self.run_states[run]
        produced = tuple(ProducedVersion(asset, version, None) for asset, version in versions.items())
        done = state.steps_total if status is RunStatus.SUCCEEDED else state.steps_done
        self.run_states[run] = dataclasses.replace(
            state, status=status, steps_done=done, error=error, produced=produced, ended_at=clock.now()
        )
        for asset, version in versions.items():
            self.states[asset] = AssetState(Staleness.FRESH, materialization=made(version))

    def _retry(self, launch: Launch) -> Launched:
        parent = self.run_states[launch.retries]
        root = parent.tags.get("dagster/root_run_id", parent.id)
        group = {"dagster/parent_run_id": parent.id, "dagster/root_run_id": root}
        name = f"run-{next(self._numbers)}"
        tags = {**parent.tags, **group, **launch.tags}
        self.run_states[name] = dataclasses.replace(
            parent, id=name, status=RunStatus.RUNNING, steps_done=0, created_at=clock.now(), ended_at=None, tags=tags
        )
        return Launched((name,))

    def _switch(self, kind: dict[str, Automation], item: Automation, running: bool) -> None:
        self._require()
        kind[item.id] = dataclasses.replace(item, running=running)

    def _require(self) -> None:
        if self.away:
            raise Unavailable("Dagster does not answer.", retry_after_seconds=2)


class FakePublisher(Publisher):
    """Publishes rows without Dagster; refuses what has no `sql`, or `reads` what is retired or the caller may not read.

    `makes` in the attributes are further assets. Of the orchestrator, only nodes that a test has put there change.
    """

    def __init__(self, orchestrator: FakeOrchestrator | None = None) -> None:
        self.database: Database | None = None
        self.orchestrator = orchestrator or FakeOrchestrator()
        self.reconciled: list[dict[str, str]] = []
        """What was blocked of all that is live, each time it was told to look."""

    async def validate(self, candidate: Candidate, *, readable: Callable[[str], bool]) -> ValidationReport:
        missing = {"pointer": "/attributes/sql", "detail": "is required"}
        hidden = [name for name in candidate.attributes.get("reads", ()) if not readable(name)]
        faults = [{"pointer": "/attributes", "detail": f"reads {name}"} for name in hidden]
        changes = candidate.attributes.get("changes", ())
        not_checked = candidate.attributes.get("not_checked", ())
        faults = faults if "sql" in candidate.attributes else [missing]
        if faults:
            return ValidationReport(faults, changes, not_checked)
        reads, code = tuple(candidate.attributes.get("reads", ())), self.code_versions(candidate)
        return ValidationReport(faults, changes, not_checked, reads, code)

    async def components(self) -> Sequence[DeclaredComponent]:
        schema = {"type": "object", "required": ["asset", "sql"], "properties": {"sql": {"type": "string"}}}
        return [DeclaredComponent("SqlTransformComponent", "A table from SQL.", schema)]

    async def selected(self, selection: str, among: Sequence[AssetNode]) -> list[str]:
        """Evaluates it as the subprocess does, with the parser of Dagster."""
        from dagster_project.asset_selection import asset_selection

        fields = ("id", "upstream", "group", "kinds", "owners", "tags")
        assets = [{name: getattr(one, name) for name in fields} for one in among]
        answer = await asyncio.to_thread(asset_selection, {"selection": selection, "assets": assets})
        if "error" in answer:
            raise InvalidArgument(answer["error"])
        return list(answer["assets"])

    def code_versions(self, candidate: Candidate) -> dict[str, str]:
        """The code version of what it makes: a digest of its attributes, as components compute it."""
        text = json.dumps([candidate.component, candidate.attributes], sort_keys=True)
        made = (candidate.asset_id, *candidate.attributes.get("makes", ()))
        return dict.fromkeys(made, hashlib.sha256(text.encode()).hexdigest()[:16])

    async def publish(self, request: PublishRequest) -> None:
        await self._activate(request)

    async def reinstate(self, request: PublishRequest, *, edited: bool) -> None:
        await self._activate(request, reinstates=True, edited=edited)

    async def retire(self, request: RetireRequest) -> None:
        assert self.database
        asset_id, view = request.asset_id, self.orchestrator.view()
        with self.database.write() as connection:
            retire(connection, view, asset_id, principal=request.principal, visible=request.visible)
            self._tag(publications.assets_of(connection, asset_id), retired=True)

    async def _activate(self, request: PublishRequest, *, reinstates: bool = False, edited: bool = True) -> None:
        assert self.database
        asset_id = request.asset_id
        with self.database.read() as connection:
            candidate = publications.candidate_of(
                connection, asset_id, reinstates=reinstates, edited=edited, revision=request.revision
            )
        verdict = await self.validate(candidate, readable=request.readable)
        if verdict.errors:
            raise InvalidPayload(f"{asset_id} cannot be published.", errors=list(verdict.errors))
        made = [asset_id, *candidate.attributes.get("makes", ())]
        with self.database.write() as connection:
            publications.activate(
                connection,
                candidate,
                assets=made,
                reads=candidate.attributes.get("reads", []),
                principal=request.principal,
                principal_id=request.principal_id,
                code_assets={},
                code_versions=self.code_versions(candidate),
                reinstates=reinstates,
            )
        self._tag(made, retired=False, **self.code_versions(candidate))

    def _tag(self, assets: Sequence[str], *, retired: bool, **code_versions: str) -> None:
        for id in assets:
            if known := self.orchestrator.nodes.get(id):
                tags = {RETIRED_TAG: "true"} if retired else {}
                changed = dataclasses.replace(known, tags=tags, executable=not retired, location="published")
                changed = dataclasses.replace(changed, code_version=code_versions.get(id, known.code_version))
                self.orchestrator.nodes[id] = changed

    async def reconcile(self) -> None:
        assert self.database
        with self.database.read() as connection:
            live = [item for item in published_definitions(connection) if not item.retired]
            self.reconciled.append({item.asset_id: item.blocked for item in live if item.blocked})
