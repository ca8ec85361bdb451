"""Rows of operations. Whatever is derived from the orchestrator is written here once it is final."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel import idempotency
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


@dataclass(frozen=True, slots=True)
class OperationRow:
    """One operation as stored."""

    id: str
    action: str
    subject: str
    principal: str
    request_id: str
    state: OperationState
    assets: tuple[str, ...]
    partitions: tuple[str, ...]
    config: Mapping[str, Mapping[str, Any]]
    created_at: datetime
    updated_at: datetime
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
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None

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
    """The operation in a row of the table."""
    values = dict(row._mapping)
    values["state"] = OperationState(values["state"])
    for name in ("assets", "partitions", "runs"):
        values[name] = tuple(values[name])
    values["produced"] = tuple(Produced(*item) for item in values["produced"])
    return OperationRow(**values)


def insert(
    connection: Connection,
    id: str,
    launch: Launch,
    *,
    stages: int,
    action: str,
    subject: str,
    principal: str,
    request_id: str,
) -> OperationRow:
    """Stores a new operation, not started yet."""
    now = clock.now()
    identity = {"id": id, "action": action, "subject": subject, "principal": principal, "request_id": request_id}
    config = {asset: dict(config) for asset, config in launch.config.items()}
    what = {"assets": list(launch.assets), "partitions": list(launch.partitions), "runs": [], "produced": []}
    counts = {"state": OperationState.PENDING.value, "done": 0, "total": 0, "created_at": now, "updated_at": now}
    under_way = {"stages": stages, "stage": 1, "launched_stage": 0}
    connection.execute(OPERATION.insert().values(**identity, **what, config=config, **counts, **under_way))
    return get(connection, id)


def get(connection: Connection, id: str) -> OperationRow:
    """The operation with this id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(sa.select(OPERATION).where(OPERATION.c.id == id)).first()
    if row is None:
        raise NotFound(f"There is no operation {id!r}.")
    return row_of(row)


def unfinished(connection: Connection) -> list[OperationRow]:
    """Every operation that is not final, oldest first."""
    rows = connection.execute(
        sa.select(OPERATION).where(OPERATION.c.state.not_in(_FINAL_VALUES)).order_by(OPERATION.c.id)
    )
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
        _live(id).values(state=state.value, error=error, produced=made, finished_at=now, updated_at=now, **values)
    )
    row = get(connection, id)
    if ended.rowcount:
        if never_started:
            idempotency.release(connection, id)
        facts = {"action": row.action, "state": state.value, "error": error, "produced": made}
        name = f"operations.operation.{state.value.lower()}"
        events.append(connection, events.Event(name, id, row.principal, facts, row.request_id))
    return row


def _live(id: str) -> sa.Update:
    return OPERATION.update().where(OPERATION.c.id == id, OPERATION.c.state.not_in(_FINAL_VALUES))
