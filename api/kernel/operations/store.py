"""Rows of operations. Whatever is derived from the orchestrator is written here once it is final."""

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
from core.ports import Launch, Launched, Produced


class OperationState(StrEnum):
    """`PENDING` is accepted but not started yet. The last three are final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELING = "CANCELING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        """Whether it can no longer change."""
        return self in FINAL


FINAL = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELED)
_FINAL_VALUES = [state.value for state in FINAL]


class Executor(StrEnum):
    """Who carries an operation out: Dagster, as runs it launches, or a process of the API, as the steps of a saga."""

    LAUNCH = "LAUNCH"
    SAGA = "SAGA"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an operation comes from: what was asked, of what, by whom, and in which scope."""

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
    """One operation as stored."""

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
    """Name of the saga, if it is one."""
    input: Mapping[str, Any] | None = None
    steps: tuple[StepRow, ...] = ()
    stages: int = 1
    stage: int = 1
    """The stage somebody set out to launch, from 1."""
    launched_stage: int = 0
    """The last stage whose runs are known."""
    runs: tuple[str, ...] = ()
    backfill: str | None = None
    done: int = 0
    total: int = 0
    error: str | None = None
    produced: tuple[Produced, ...] = field(default=())
    result: Mapping[str, Any] | None = None
    lease_holder: str | None = None
    lease_expires_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None
    traceparent: str | None = None
    """Where the request that began it stood in its trace."""

    @property
    def launched(self) -> Launched:
        """What it started."""
        return Launched(self.runs, self.backfill)

    @property
    def unconfirmed(self) -> bool:
        """Whether a stage was set out to be launched whose runs are not known."""
        return self.launched_stage < self.stage

    @property
    def launch(self) -> Launch:
        """The launch it was accepted for, without tags."""
        return Launch(self.assets, self.partitions, config=self.config)


def row_of(row: sa.Row[*tuple[Any, ...]]) -> OperationRow:
    """The operation in a row of the table, without its steps."""
    values = dict(row._mapping)
    values["state"] = OperationState(values["state"])
    values["executor"] = Executor(values["executor"])
    for name in ("assets", "partitions", "runs"):
        values[name] = tuple(values[name])
    values["produced"] = tuple(Produced(*item) for item in values["produced"])
    return OperationRow(**values)


def with_steps(connection: Connection, rows: Iterable[OperationRow]) -> list[OperationRow]:
    """These operations, the sagas among them with their steps."""
    rows = list(rows)
    found = steps.of(connection, [row.id for row in rows if row.executor is Executor.SAGA])
    return [replace(row, steps=found[row.id]) if row.id in found else row for row in rows]


def insert(connection: Connection, id: str, launch: Launch, *, stages: int, origin: Origin) -> OperationRow:
    """Stores a new launch, not started yet."""
    config = {asset: dict(config) for asset, config in launch.config.items()}
    what = {"assets": list(launch.assets), "partitions": list(launch.partitions), "config": config, "stages": stages}
    return _insert(connection, id, Executor.LAUNCH, origin, **what, total=0)


def insert_saga(
    connection: Connection, id: str, saga: str, input: Mapping[str, Any], *, names: Sequence[str], origin: Origin
) -> OperationRow:
    """Stores a new saga with its steps, not begun yet."""
    nothing = {"assets": [], "partitions": [], "config": {}, "stages": 0}
    what = {"saga": saga, "input": dict(input), "total": len(names)}
    _insert(connection, id, Executor.SAGA, origin, **nothing, **what)
    steps.insert(connection, id, names)
    return get(connection, id)


def _insert(connection: Connection, id: str, executor: Executor, origin: Origin, **what: Any) -> OperationRow:
    now = clock.now()
    under_way: dict[str, Any] = {
        "stage": what["stages"] and 1,
        "launched_stage": 0,
        "runs": [],
        "produced": [],
        "done": 0,
    }
    states = {"executor": executor.value, "state": OperationState.PENDING.value, "created_at": now, "updated_at": now}
    connection.execute(OPERATION.insert().values(id=id, **asdict(origin), **under_way, **states, **what))
    return get(connection, id)


def unknown(id: str) -> NotFound:
    """The error for an id that no operation has, or none that the caller may know of."""
    return NotFound(f"There is no operation {id!r}.")


def get(connection: Connection, id: str) -> OperationRow:
    """The operation with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(OPERATION).where(OPERATION.c.id == id)).first()
    if row is None:
        raise unknown(id)
    return with_steps(connection, [row_of(row)])[0]


def unfinished(connection: Connection) -> list[OperationRow]:
    """Every launch that is not final, oldest first."""
    launches = sa.select(OPERATION).where(OPERATION.c.executor == Executor.LAUNCH.value)
    rows = connection.execute(launches.where(OPERATION.c.state.not_in(_FINAL_VALUES)).order_by(OPERATION.c.id))
    return [row_of(row) for row in rows]


def started(connection: Connection, id: str, launched: Launched) -> OperationRow:
    """Notes the runs of the stage under way. An operation that is being cancelled keeps its state."""
    row = get(connection, id)
    if row.unconfirmed:
        runs = [*row.runs, *(run for run in launched.runs if run not in row.runs)]
        values = {"runs": runs, "backfill": launched.backfill}
        connection.execute(_live(id).values(**values, launched_stage=row.stage, updated_at=clock.now()))
    pending = _live(id).where(OPERATION.c.state == OperationState.PENDING.value)
    connection.execute(pending.values(state=OperationState.RUNNING.value))
    return get(connection, id)


def take_stage(connection: Connection, id: str, stage: int) -> bool:
    """Sets out to launch a stage; False if somebody else has."""
    next_one = _live(id).where(OPERATION.c.stage == stage - 1, OPERATION.c.launched_stage == stage - 1)
    return bool(connection.execute(next_one.values(stage=stage, updated_at=clock.now())).rowcount)


def give_back_stage(connection: Connection, id: str) -> OperationRow:
    """Leaves the stage to whoever looks next: it was not launched."""
    unlaunched = _live(id).where(OPERATION.c.stage > OPERATION.c.launched_stage)
    connection.execute(unlaunched.values(stage=OPERATION.c.launched_stage, updated_at=clock.now()))
    return get(connection, id)


def progressed(connection: Connection, /, id: str, **values: Any) -> OperationRow:
    """Notes what was observed of a running operation. A final one is never changed back."""
    connection.execute(_live(id).values(**values, updated_at=clock.now()))
    return get(connection, id)


def request_cancel(connection: Connection, id: str) -> OperationRow:
    """Notes that the operation shall stop; a final one stays as it is."""
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
    produced: Sequence[Produced] = (),
    never_started: bool = False,
    **values: Any,
) -> OperationRow:
    """Ends the operation once and for all, with its event. Ending one that has ended changes nothing."""
    now = clock.now()
    made = [[item.asset, item.data_version, item.partition] for item in produced]
    ended = connection.execute(
        _live(id).values(
            state=state.value,
            error=error,
            produced=made,
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
        facts = {"action": row.action, "state": state.value, "error": error, "produced": made, "result": row.result}
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
    """Removes up to `limit` operations that ended before an instant, with their steps. Returns how many."""
    ended = sa.select(OPERATION.c.id).where(OPERATION.c.finished_at < before).order_by(OPERATION.c.finished_at)
    ids = list(connection.execute(ended.limit(limit)).scalars())
    if ids:
        steps.delete(connection, ids)
        connection.execute(OPERATION.delete().where(OPERATION.c.id.in_(ids)))
    return len(ids)


def _live(id: str) -> sa.Update:
    return OPERATION.update().where(OPERATION.c.id == id, OPERATION.c.state.not_in(_FINAL_VALUES))
