"""Launches, runs, and backfills of the orchestrator, as plain data classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

REPRODUCE_JOB = "reproduce"
"""Job of every code location that makes a version of an asset again in a branch."""

REPRODUCE_OP = "reproduce_version"
"""The op of this job. Its config is the id of the reproduction."""

BRANCH_RUN_JOB = "run_branch"
"""Job of every code location that makes assets in a stored branch."""

BRANCH_RUN_OP = "run_branch_assets"
"""The op of this job. Its config is the id of the branch, and the ids of the assets."""

BRANCH_MERGE_JOB = "merge_branch"
"""Job of every code location that merges a stored branch."""

BRANCH_MERGE_OP = "merge_branch_tables"
"""The op of this job. Its config is the id of the branch."""


class RunStatus(StrEnum):
    """Status of a run. The last three are final."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        """Whether the status can no longer change."""
        return self in (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELED)


class StepStatus(StrEnum):
    """Status of a step of a run. `SKIPPED`: it can't run any more, because an earlier step or the run failed."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class PartitionState(StrEnum):
    """State of a partition of an asset. `FAILED`: its last run failed, whether or not an earlier one had made it."""

    MATERIALIZED = "MATERIALIZED"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The latest run of an asset."""

    id: str
    status: RunStatus
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Launch:
    """A request to materialize `assets`. Several partitions, or `all_partitions`, become a backfill.

    `config` maps an asset id to the config of its op. With `job`, the launch runs this job in the code location of the
    first asset instead. `config` then maps the name of each op of the job to its config. With `retries`, the launch
    repeats the steps of that run that did not succeed, or all with `repeats_all`.
    """

    assets: tuple[str, ...]
    partitions: tuple[str, ...] = ()
    all_partitions: bool = False
    config: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    job: str = ""
    retries: str = ""
    repeats_all: bool = False


@dataclass(frozen=True, slots=True)
class Launched:
    """Result of a launch: runs, or one backfill that starts runs."""

    runs: tuple[str, ...] = ()
    backfill: str | None = None


@dataclass(frozen=True, slots=True)
class ProducedVersion:
    """A version that a run produced."""

    asset: str
    data_version: str | None
    partition: str | None


@dataclass(frozen=True, slots=True)
class RunState:
    """The current state of a run. `error` is the first failure, in one line."""

    id: str
    status: RunStatus
    steps_done: int
    steps_total: int
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: str | None = None
    produced: tuple[ProducedVersion, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    job: str = ""
    location: str = ""
    """Code location of the job."""
    assets: tuple[str, ...] = ()
    """Assets that were selected. Empty if the run makes all assets of its job, or none."""


@dataclass(frozen=True, slots=True)
class StepState:
    """The current state of a step of a run. `error` is the failure of its last attempt, in one line."""

    key: str
    status: StepStatus
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BackfillState:
    """The current state of a backfill, with the runs it has started so far. `done` and `total` count partitions."""

    id: str
    status: RunStatus
    done: int
    total: int
    runs: tuple[str, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """An event in the log of a run. Pass `cursor` to continue after it."""

    cursor: str
    at: datetime
    level: str
    type: str
    step: str | None
    message: str
