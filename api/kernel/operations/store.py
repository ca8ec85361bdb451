"""Rows of operations. The states of runs are stored here when the operation is final."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.sagas import steps
from api.kernel.sagas.steps import StepRow
from api.kernel.storage import idempotency
from api.kernel.tables import OPERATION
from core import clock, events
from core.errors import NotFound
from core.runs import Launch, Launched, ProducedVersion


class OperationState(StrEnum):
    """State of an operation. `PENDING`: accepted, not started. `SUCCEEDED`, `FAILED`, and `CANCELED` are final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        """Whether the state can no longer change."""
        return self in FINAL


FINAL = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELED)
KIND = "operations.operation"
"""Full name of the kind."""

_FINAL_VALUES = [state.value for state in FINAL]


class Executor(StrEnum):
    """Executor of an operation: Dagster, in runs (LAUNCH), or a process of the API, in the steps of a saga (SAGA)."""

    LAUNCH = "LAUNCH"
    SAGA = "SAGA"


@dataclass(frozen=True, slots=True)
class Origin:
    """The request that started an operation: its action, subject, principal, and scope."""

    action: str
    subject: str
    principal: str
    principal_id: str
    request_id: str
    organization_id: str | None = None
    project_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class OperationRow:
    """A stored operation."""

    id: str
    action: str
    subject: str
    principal: str
    principal_id: str
    request_id: str
    executor: Executor
    state: OperationState
    assets: tuple[str, ...]
    partitions: tuple[str, ...]
    config: Mapping[str, Mapping[str, Any]]
    created_at: datetime
    updated_at: datetime
    organization_id: str | None = None
    project_id: str | None = None
    saga: str | None = None
    """Name of the saga, if the operation is one."""
    input: Mapping[str, Any] | None = None
    """Input of a saga. For a launch, further fields of the launch, if it has any."""
    steps: tuple[StepRow, ...] = ()
    stages: int = 1
    stage: int = 1
    """Number of the stage that a process launches or has launched, from 1."""
    launched_stage: int = 0
    """Number of the last stage whose runs are confirmed."""
    runs: tuple[str, ...] = ()
    backfill: str | None = None
    done: int = 0
    total: int = 0
    error: str | None = None
    produced: tuple[ProducedVersion, ...] = field(default=())
    result: Mapping[str, Any] | None = None
    lease_holder: str | None = None
    lease_expires_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None
    traceparent: str | None = None
    """Trace context of the request that started the operation."""

    @property
    def launched(self) -> Launched:
        """The runs or the backfill of the operation."""
        return Launched(self.runs, self.backfill)

    @property
    def unconfirmed(self) -> bool:
        """Whether the launch of the current stage is not confirmed."""
        return self.launched_stage < self.stage

    @property
    def launch(self) -> Launch:
        """The requested launch."""
        further = self.input or {}
        return Launch(self.assets, self.partitions, config=self.config, **further)


_FURTHER = ("tags", "job", "retries", "repeats_all")
"""Fields of a launch that its row has as its input."""


def row_of(row: sa.Row[*tuple[Any, ...]]) -> OperationRow:
    """Returns the operation in a row of the table, without its steps."""
    values = dict(row._mapping)
    values["state"] = OperationState(values["state"])
    values["executor"] = Executor(values["executor"])
    for name in ("assets", "partitions", "runs"):
        values[name] = tuple(values[name])
    values["produced"] = tuple(ProducedVersion(*item) for item in values["produced"])
    return OperationRow(**values)


def with_steps(connection: Connection, rows: Iterable[OperationRow]) -> list[OperationRow]:
    """Returns the operations with the steps of sagas."""
    rows = list(rows)
    by_operation = steps.of(connection, [row.id for row in rows if row.executor is Executor.SAGA])
    return [replace(row, steps=by_operation[row.id]) if row.id in by_operation else row for row in rows]


def insert(connection: Connection, id: str, launch: Launch, *, stages: int, origin: Origin) -> OperationRow:
    """Stores a new launch."""
    values = {
        "assets": list(launch.assets),
        "partitions": list(launch.partitions),
        "config": {asset: dict(config) for asset, config in launch.config.items()},
        "stages": stages,
    }
    if launch.tags or launch.job:
        values["input"] = {name: getattr(launch, name) for name in _FURTHER}
    return _insert(connection, id, Executor.LAUNCH, origin, **values, total=0)


def insert_saga(
    connection: Connection, id: str, saga: str, input: Mapping[str, Any], *, names: Sequence[str], origin: Origin
) -> OperationRow:
    """Stores a new saga with its steps."""
    launch = {"assets": [], "partitions": [], "config": {}, "stages": 0}
    _insert(connection, id, Executor.SAGA, origin, **launch, saga=saga, input=dict(input), total=len(names))
    steps.insert(connection, id, names)
    return get(connection, id)


def _insert(connection: Connection, id: str, executor: Executor, origin: Origin, **values: Any) -> OperationRow:
    now = clock.now()
    progress: dict[str, Any] = {
        "stage": values["stages"] and 1,
        "launched_stage": 0,
        "runs": [],
        "produced": [],
        "done": 0,
    }
    states = {"executor": executor.value, "state": OperationState.PENDING.value, "created_at": now, "updated_at": now}
    connection.execute(OPERATION.insert().values(id=id, **asdict(origin), **progress, **states, **values))
    return get(connection, id)


def unknown(id: str) -> NotFound:
    """Returns the error for an id of no operation, or of one that the caller cannot see."""
    return NotFound(f"There is no operation {id!r}.")


def get(connection: Connection, id: str) -> OperationRow:
    """Returns the operation with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(OPERATION).where(OPERATION.c.id == id)).first()
    if row is None:
        raise unknown(id)
    return with_steps(connection, [row_of(row)])[0]


def unfinished(connection: Connection) -> list[OperationRow]:
    """Returns the launches that are not final, oldest first."""
    launches = sa.select(OPERATION).where(OPERATION.c.executor == Executor.LAUNCH.value)
    rows = connection.execute(launches.where(OPERATION.c.state.not_in(_FINAL_VALUES)).order_by(OPERATION.c.id))
    return [row_of(row) for row in rows]


def progress(connection: Connection) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """Returns how far each operation is that isn't final: a row is equal to an earlier one if nothing has changed."""
    columns = (OPERATION.c.id, OPERATION.c.organization_id, OPERATION.c.state, OPERATION.c.updated_at)
    live = sa.select(*columns).where(OPERATION.c.state.not_in(_FINAL_VALUES)).order_by(OPERATION.c.id)
    return connection.execute(live).all()


def started(connection: Connection, id: str, launched: Launched) -> OperationRow:
    """Stores the runs of the current stage. An operation that is being cancelled keeps its state."""
    row = get(connection, id)
    if row.unconfirmed:
        runs = [*row.runs, *(run for run in launched.runs if run not in row.runs)]
        values = {"runs": runs, "backfill": launched.backfill}
        connection.execute(_live(id).values(**values, launched_stage=row.stage, updated_at=clock.now()))
    pending = _live(id).where(OPERATION.c.state == OperationState.PENDING.value)
    connection.execute(pending.values(state=OperationState.RUNNING.value))
    return get(connection, id)


def take_stage(connection: Connection, id: str, stage: int) -> bool:
    """Reserves the launch of a stage. Returns False if another process has reserved it."""
    next_stage = _live(id).where(OPERATION.c.stage == stage - 1, OPERATION.c.launched_stage == stage - 1)
    return bool(connection.execute(next_stage.values(stage=stage, updated_at=clock.now())).rowcount)


def release_stage(connection: Connection, id: str) -> OperationRow:
    """Releases a stage that was not launched, so that any process can launch it."""
    unlaunched = _live(id).where(OPERATION.c.stage > OPERATION.c.launched_stage)
    connection.execute(unlaunched.values(stage=OPERATION.c.launched_stage, updated_at=clock.now()))
    return get(connection, id)


def progressed(connection: Connection, /, id: str, **values: Any) -> OperationRow:
    """Stores the observed state of an operation. A final operation does not change."""
    connection.execute(_live(id).values(**values, updated_at=clock.now()))
    return get(connection, id)


def request_cancel(connection: Connection, id: str) -> OperationRow:
    """Stores a request to cancel the operation. A final operation does not change."""
    now = clock.now()
    live = _live(id).where(OPERATION.c.cancel_requested_at.is_(None))
    connection.execute(live.values(state=OperationState.CANCELING.value, cancel_requested_at=now, updated_at=now))
    return get(connection, id)


def finish(
    connection: Connection,
    /,
    id: str,
    state: OperationState,
    *,
    error: str | None = None,
    produced: Sequence[ProducedVersion] = (),
    never_started: bool = False,
    **values: Any,
) -> OperationRow:
    """Makes the operation final and records its event. A final operation does not change."""
    now = clock.now()
    versions = [[item.asset, item.data_version, item.partition] for item in produced]
    ended = connection.execute(
        _live(id).values(
            state=state.value,
            error=error,
            produced=versions,
            finished_at=now,
            updated_at=now,
            lease_holder=None,
            lease_expires_at=None,
            **values,
        )
    )
    row = get(connection, id)
    if ended.rowcount:
        if never_started:
            idempotency.release(connection, id)
        facts = {"action": row.action, "state": state.value, "produced": versions, "result": row.result}
        # The error of a run can contain values of rows, which not all readers of events may read.
        facts |= {"error": error} if row.executor is Executor.SAGA or never_started else {}
        name = f"operations.operation.{state.value.lower()}"
        event = events.Event(
            name,
            id,
            row.principal,
            facts,
            row.request_id,
            organization_id=row.organization_id,
            project_id=row.project_id,
            principal_id=row.principal_id,
            traceparent=row.traceparent,
        )
        events.append(connection, event)
    return row


def purge(connection: Connection, before: datetime, limit: int) -> int:
    """Removes up to `limit` operations that ended before a time, with their steps. Returns their number."""
    ended = sa.select(OPERATION.c.id).where(OPERATION.c.finished_at < before).order_by(OPERATION.c.finished_at)
    ids = list(connection.execute(ended.limit(limit)).scalars())
    if ids:
        steps.delete(connection, ids)
        connection.execute(OPERATION.delete().where(OPERATION.c.id.in_(ids)))
    return len(ids)


def _live(id: str) -> sa.Update:
    return OPERATION.update().where(OPERATION.c.id == id, OPERATION.c.state.not_in(_FINAL_VALUES))
