"""The port to the orchestrator, and the asset graph as plain data classes.

`Orchestrator` is implemented by `api.gateways.dagster` over GraphQL and by a fake in tests. The HTTP side reaches
Dagster only through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from core.definitions import ERROR_TAG, RETIRED_TAG
from core.reports import CheckEvaluation, CheckStatus, VersionReport
from core.runs import (
    BackfillState,
    Launch,
    Launched,
    LogLine,
    PartitionState,
    RunState,
    RunStatus,
    RunSummary,
    StepState,
)


class Staleness(StrEnum):
    """Whether an asset is up to date with its inputs and its code."""

    FRESH = "FRESH"
    STALE = "STALE"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class CheckState:
    """An asset check and its latest result."""

    name: str
    description: str
    blocking: bool
    status: CheckStatus
    at: datetime | None = None
    run_id: str | None = None
    message: str | None = None
    data_version: str | None = None
    """Data version that the check evaluated; `None` if the check doesn't report it."""


@dataclass(frozen=True, slots=True)
class AssetNode:
    """An asset as its code declares it. Ids are asset keys joined by dots."""

    id: str
    description: str
    group: str
    kinds: tuple[str, ...]
    owners: tuple[str, ...]
    code_version: str | None
    upstream: tuple[str, ...]
    jobs: tuple[str, ...]
    partitioned: bool
    executable: bool
    automation: str | None
    location: str
    repository: str
    op: str | None = None
    """Name of the op that produces the asset; run config addresses the asset by this name."""

    tags: Mapping[str, str] = field(default_factory=dict)
    together: tuple[str, ...] = ()
    """Other assets that the same step always produces: the step can't produce one of them alone."""

    compared_with: tuple[str, ...] = ()
    """Assets that its checks also read: without their data, the checks can't evaluate this asset."""

    @property
    def retired(self) -> bool:
        """Whether its definition is retired: nothing produces it any more, and its versions stay."""
        return RETIRED_TAG in self.tags

    @property
    def broken(self) -> bool:
        """Whether its definition is blocked or can't be built, so that nothing can produce it."""
        return ERROR_TAG in self.tags


@dataclass(frozen=True, slots=True)
class Materialization:
    """The latest version of an asset. `metadata` contains the scalar metadata entries."""

    data_version: str | None
    at: datetime
    run_id: str
    partition: str | None
    metadata: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class StaleCause:
    """The reason why an asset is stale. `category` is CODE, DATA or DEPENDENCIES."""

    asset: str
    category: str
    reason: str
    dependency: str | None


@dataclass(frozen=True, slots=True)
class AssetState:
    """The current state of an asset."""

    staleness: Staleness
    causes: tuple[StaleCause, ...] = ()
    materialization: Materialization | None = None
    checks: tuple[CheckState, ...] = ()
    last_run: RunSummary | None = None
    runs_in_progress: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Automation:
    """A schedule or a sensor.

    `id` is its name, unique across all code locations. `state_id` is the orchestrator's id.
    """

    id: str
    description: str
    running: bool
    job: str | None
    assets: tuple[str, ...]
    location: str
    repository: str
    cron: str | None = None
    timezone: str | None = None
    kind: str | None = None
    min_interval_seconds: int | None = None
    next_tick_at: datetime | None = None
    last_tick_at: datetime | None = None
    last_tick_status: str | None = None
    last_tick_message: str | None = None
    state_id: str = ""
    pipeline: str = ""
    """Id of the pipeline whose schedule it is."""
    upcoming: tuple[datetime, ...] = ()
    """The next times of a schedule, as the orchestrator computes them."""


@dataclass(frozen=True, slots=True)
class LocationState:
    """A code location. `error` is the reason why it didn't load. A location without both is still loading."""

    name: str
    loaded: bool
    error: str | None


@dataclass(frozen=True)
class GraphView:
    """The whole asset graph with its states, as last observed. Immutable: a newer view replaces it.

    `stale_since` is set while the orchestrator doesn't respond. The view then shows the state at that time.
    """

    nodes: Mapping[str, AssetNode]
    states: Mapping[str, AssetState]
    downstream: Mapping[str, tuple[str, ...]]
    schedules: Mapping[str, Automation]
    sensors: Mapping[str, Automation]
    locations: Mapping[str, LocationState]
    observed_at: datetime
    stale_since: datetime | None = None


class Orchestrator(Protocol):
    """The engine that runs assets. Methods that change something raise `Unavailable` if the engine doesn't respond."""

    def view(self) -> GraphView:
        """Returns the graph as last observed, without waiting. Raises `Unavailable` if it was never observed."""

    async def refresh(self, assets: Sequence[str] = ()) -> None:
        """Observes the given assets, or everything, immediately; returns when `view` shows the result."""

    def stages(self, launch: Launch) -> int:
        """Returns the number of stages of a launch. Each stage starts after the runs of the previous one succeeded.

        Raises `NotFound` for an unknown asset.
        """

    async def launch(self, launch: Launch, stage: int = 1) -> Launched:
        """Starts the runs of one stage. Stages are counted from 1.

        Raises `InvalidPayload` if the assets don't accept the config or the partitions, `Unavailable` if nothing was
        started, and `LaunchUnconfirmed` if it's unknown whether something was started.
        """

    async def partitions(self, asset: str) -> Sequence[str]:
        """Returns the partition keys of an asset in their order; empty if the asset has no partitions."""

    async def partition_states(self, asset: str) -> Mapping[str, PartitionState]:
        """Returns the state of each partition by its key, in their order; empty if the asset has no partitions."""

    async def config_fields(self, assets: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Returns the names of the fields of the config of the ops of these assets. Unknown assets are omitted."""

    async def runs(self, ids: Sequence[str]) -> Mapping[str, RunState]:
        """Returns the states of runs by id, without the versions they produced. Unknown ids are omitted."""

    async def outcome(self, run: RunState) -> RunState:
        """Returns a finished run with the versions it produced and the error it failed with."""

    async def runs_tagged(self, key: str, value: str) -> Launched:
        """Returns the runs and the backfill that have this tag."""

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
        """Returns runs with these tags, newest first, older than the run `before`. No statuses stand for all."""

    async def steps(self, run: RunState) -> Sequence[StepState]:
        """Returns the steps of a run, in the order in which they start."""

    async def report(self, asset: str) -> VersionReport | None:
        """Returns what the run of the latest version of an asset reported; `None` if it was never materialized."""

    async def evaluations(self, asset: str, check: str, *, limit: int) -> Sequence[CheckEvaluation]:
        """Returns the last evaluations of a check of an asset, newest first."""

    async def backfill(self, id: str) -> BackfillState | None:
        """Returns the state of a backfill, or `None` if it doesn't exist."""

    async def terminate(self, launched: Launched) -> None:
        """Stops the runs and the backfill. Finished runs are not affected."""

    async def logs(self, run: str, *, after: str | None, limit: int) -> Sequence[LogLine]:
        """Returns events of a run after a cursor, oldest first. Fewer than `limit` means that there are no more yet."""

    async def start_schedule(self, schedule: Automation) -> None:
        """Turns a schedule on."""

    async def stop_schedule(self, schedule: Automation) -> None:
        """Turns a schedule off."""

    async def start_sensor(self, sensor: Automation) -> None:
        """Turns a sensor on."""

    async def stop_sensor(self, sensor: Automation) -> None:
        """Turns a sensor off."""
