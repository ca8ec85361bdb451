"""What the platform asks of the outside, as Protocols and plain values.

`Orchestrator` is implemented by `api.gateways.dagster` over GraphQL and by a fake in tests; nothing else on the HTTP
side talks to Dagster. `Publisher` turns definition rows into live assets. `Mailer` sends mail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class RunStatus(StrEnum):
    """Where a run stands. Only the last three are final."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        """Whether the run can no longer change."""
        return self in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED)


class Staleness(StrEnum):
    """Whether an asset reflects its inputs and its code."""

    FRESH = "FRESH"
    STALE = "STALE"
    MISSING = "MISSING"


class CheckStatus(StrEnum):
    """Outcome of an asset check for the latest materialization."""

    PASSED = "PASSED"
    WARNED = "WARNED"
    FAILED = "FAILED"
    RUNNING = "RUNNING"
    NOT_RUN = "NOT_RUN"


@dataclass(frozen=True, slots=True)
class CheckState:
    """One asset check and how it ended last."""

    name: str
    description: str
    blocking: bool
    status: CheckStatus
    at: datetime | None = None
    run_id: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class AssetNode:
    """One asset as its code declares it. Ids are keys joined by dots."""

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
    """Name under which run config reaches it."""

    tags: Mapping[str, str] = field(default_factory=dict)
    together: tuple[str, ...] = ()
    """Other assets that the same step always makes: it cannot make this one alone."""

    compared_with: tuple[str, ...] = ()
    """Assets that its checks read beside it: without their data it cannot be judged."""


@dataclass(frozen=True, slots=True)
class Materialization:
    """The latest version an asset reached. `metadata` holds the scalar metadata entries."""

    data_version: str | None
    at: datetime
    run_id: str
    partition: str | None
    metadata: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class StaleCause:
    """Why an asset is stale: `category` is CODE, DATA or DEPENDENCIES."""

    asset: str
    category: str
    reason: str
    dependency: str | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The run that touched an asset last."""

    id: str
    status: RunStatus
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class AssetState:
    """What is true of an asset now."""

    staleness: Staleness
    causes: tuple[StaleCause, ...] = ()
    materialization: Materialization | None = None
    checks: tuple[CheckState, ...] = ()
    last_run: RunSummary | None = None
    runs_in_progress: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Automation:
    """A schedule or a sensor. `id` is its name, unique over all code locations; `state_id` is the orchestrator's."""

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


@dataclass(frozen=True, slots=True)
class LocationState:
    """One code location: `error` says why it did not load."""

    name: str
    loaded: bool
    error: str | None


@dataclass(frozen=True)
class GraphView:
    """The whole graph with its states, as last seen. Never changed in place: a newer view replaces it.

    `stale_since` is set while the orchestrator does not answer: the view then shows what was true at that instant.
    """

    nodes: Mapping[str, AssetNode]
    states: Mapping[str, AssetState]
    downstream: Mapping[str, tuple[str, ...]]
    schedules: Mapping[str, Automation]
    sensors: Mapping[str, Automation]
    locations: Mapping[str, LocationState]
    observed_at: datetime
    stale_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A wish to materialize `assets`. More than one partition, or `backfill`, becomes a backfill.

    `config` maps an asset id to the config of its op.
    """

    assets: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    all_partitions: bool = False
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Launched:
    """What a launch became: runs, or one backfill that makes runs."""

    runs: tuple[str, ...] = ()
    backfill: str | None = None


@dataclass(frozen=True, slots=True)
class Produced:
    """A version a run made."""

    asset: str
    data_version: str | None
    partition: str | None


@dataclass(frozen=True, slots=True)
class RunState:
    """One run now. `error` is the first failure in one line."""

    id: str
    status: RunStatus
    steps_done: int
    steps_total: int
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None
    produced: tuple[Produced, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BackfillState:
    """One backfill now, with the runs it has made so far; counts are of partitions."""

    id: str
    status: RunStatus
    done: int
    total: int
    runs: tuple[str, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event of a run. `cursor` continues after it."""

    cursor: str
    at: datetime
    level: str
    type: str
    step: str | None
    message: str


class Orchestrator(Protocol):
    """The engine that runs assets. Methods that change something raise `Unavailable` when it is away."""

    def view(self) -> GraphView:
        """The graph as last seen, without waiting. Raises `Unavailable` if it was never seen."""

    async def refresh(self, assets: Sequence[str] = ()) -> None:
        """Looks now instead of at the next probe, at these assets or at everything; returns when the view shows it."""

    def stages(self, launch: Launch) -> int:
        """In how many stages it is launched: each after the runs of the one before have succeeded.

        Raises `NotFound` for an unknown asset.
        """

    async def launch(self, launch: Launch, stage: int = 1) -> Launched:
        """Starts the runs of one stage, counted from 1.

        Raises `InvalidPayload` for config or partitions the assets do not accept, `Unavailable` if nothing was started,
        `LaunchUnconfirmed` if that is not known.
        """

    async def partitions(self, asset: str) -> Sequence[str]:
        """Partition keys of an asset, in their order; none if it has no partitions."""

    async def runs(self, ids: Sequence[str]) -> Mapping[str, RunState]:
        """States of these runs, without what they made; an unknown id is absent."""

    async def outcome(self, run: RunState) -> RunState:
        """A run that has ended, with the versions it made and the error it failed with."""

    async def runs_tagged(self, key: str, value: str) -> Launched:
        """Runs and backfill that carry this tag."""

    async def backfill(self, id: str) -> BackfillState | None:
        """State of a backfill, or None if there is none."""

    async def terminate(self, launched: Launched) -> None:
        """Stops the runs and the backfill for real. Finished ones are left alone."""

    async def logs(self, run: str, *, after: str | None, limit: int) -> Sequence[LogLine]:
        """Events of a run after a cursor, oldest first; fewer than `limit` means that there are no more now."""

    async def start_schedule(self, schedule: Automation) -> None:
        """Turns a schedule on."""

    async def stop_schedule(self, schedule: Automation) -> None:
        """Turns a schedule off."""

    async def start_sensor(self, sensor: Automation) -> None:
        """Turns a sensor on."""

    async def stop_sensor(self, sensor: Automation) -> None:
        """Turns a sensor off."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A definition as it would be published."""

    asset_id: str
    component: str
    attributes: Mapping[str, Any]


class Publisher(Protocol):
    """Makes definition rows live assets, or says why not, harming no other asset.

    `readable` tells which assets the caller may read: what a definition reads, its publisher must be allowed to read.
    """

    async def validate(self, candidate: Candidate, *, readable: Callable[[str], bool]) -> Sequence[Mapping[str, Any]]:
        """Builds the candidate together with everything published, apart from the running platform.

        Returns faults as `{"pointer": "/attributes/sql", "detail": "..."}`; empty means publishable.
        """

    async def publish(
        self,
        asset_id: str,
        *,
        principal: str,
        principal_id: str,
        request_id: str,
        readable: Callable[[str], bool],
    ) -> None:
        """Publishes the definition row and returns once the orchestrator shows it.

        Raises `InvalidPayload` with the faults, having left everything as it was.
        """

    async def reconcile(self) -> None:
        """Brings the orchestrator in line with the rows. Raises `Unavailable` if it does not answer."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail of plain text to one person. Its text may hold a secret, so it is never shown."""

    id: str
    """Stays the same if it is sent again, so that mail programs show it once."""

    to: str
    subject: str
    text: str = field(repr=False)


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> None:
        """Hands a mail over to be delivered.

        Raises `MailRefused` if it is no use to try again, `Unavailable` if it is.
        """
