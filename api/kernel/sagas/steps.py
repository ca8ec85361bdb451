"""Rows of the steps of sagas: their states, outputs, and logs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import OPERATION
from core import clock
from core.db import METADATA, UtcDateTime

SAGA_STEP = sa.Table(
    "saga_step",
    METADATA,
    sa.Column("operation", sa.ForeignKey(OPERATION.c.id), primary_key=True),
    sa.Column("index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("undo_attempts", sa.Integer, nullable=False),
    sa.Column("output", sa.JSON, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("log", sa.JSON, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
)
"""Steps of sagas. `log` contains lines that are numbered across all steps of an operation."""


class StepState(StrEnum):
    """State of a step. A `FAILED` step could not be done or undone. A `COMPENSATED` step was undone."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    COMPENSATED = "COMPENSATED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class StepRow:
    """A stored step."""

    operation: str
    index: int
    name: str
    state: StepState
    attempts: int = 0
    undo_attempts: int = 0
    output: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    log: Sequence[Mapping[str, Any]] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StepLine:
    """A line of the log of a saga. `number` counts from 1 across all steps."""

    number: int
    at: datetime
    level: str
    type: str
    step: str
    message: str


def insert(connection: Connection, operation: str, names: Iterable[str]) -> None:
    """Stores the steps of a new saga."""
    initial = {"state": StepState.PENDING.value, "attempts": 0, "undo_attempts": 0, "output": {}, "log": []}
    rows = [{"operation": operation, "index": index, "name": name, **initial} for index, name in enumerate(names)]
    connection.execute(SAGA_STEP.insert(), rows)


def of(connection: Connection, operations: Sequence[str]) -> dict[str, tuple[StepRow, ...]]:
    """Returns the steps of these operations in order. Operations without steps are absent."""
    if not operations:
        return {}
    by_operation: dict[str, tuple[StepRow, ...]] = {}
    query = sa.select(SAGA_STEP).where(SAGA_STEP.c.operation.in_(operations))
    for row in connection.execute(query.order_by(SAGA_STEP.c.operation, SAGA_STEP.c.index)):
        values = dict(row._mapping)
        step = StepRow(**values | {"state": StepState(values["state"])})
        by_operation[step.operation] = (*by_operation.get(step.operation, ()), step)
    return by_operation


def change(
    connection: Connection, operation: str, index: int, type: str, message: str, *, level: str = "INFO", **values: Any
) -> None:
    """Changes columns of a step and adds a line to its log. The caller must hold the lease in this transaction."""
    logs = connection.execute(
        sa.select(SAGA_STEP.c.index, SAGA_STEP.c.log).where(SAGA_STEP.c.operation == operation)
    ).all()
    number = sum(len(row.log) for row in logs) + 1
    line = {"number": number, "at": clock.now().isoformat(), "level": level, "type": type, "message": message}
    log = next([*row.log, line] for row in logs if row[0] == index)
    connection.execute(_step(operation, index).values(log=log, **values))


def settle(connection: Connection, operation: str) -> None:
    """Resets running steps to PENDING. Call it when the operation has ended."""
    running = SAGA_STEP.c.state == StepState.RUNNING.value
    connection.execute(
        SAGA_STEP.update().where(SAGA_STEP.c.operation == operation, running).values(state=StepState.PENDING.value)
    )


def discard_attempt(connection: Connection, operation: str) -> None:
    """Does not count the attempt of a running step. Restarts of a process must not use up attempts."""
    running = (SAGA_STEP.c.state == StepState.RUNNING.value) & (SAGA_STEP.c.attempts > 0)
    update = SAGA_STEP.update().where(SAGA_STEP.c.operation == operation, running)
    connection.execute(update.values(attempts=SAGA_STEP.c.attempts - 1))


def delete(connection: Connection, operations: Sequence[str]) -> None:
    """Removes the steps of these operations."""
    connection.execute(SAGA_STEP.delete().where(SAGA_STEP.c.operation.in_(operations)))


def lines(rows: Iterable[StepRow], *, after: int = 0) -> list[StepLine]:
    """Returns the log lines of all steps after a number, oldest first."""
    log = [
        StepLine(
            line["number"], datetime.fromisoformat(line["at"]), line["level"], line["type"], row.name, line["message"]
        )
        for row in rows
        for line in row.log
        if line["number"] > after
    ]
    return sorted(log, key=lambda line: line.number)


def _step(operation: str, index: int) -> sa.Update:
    return SAGA_STEP.update().where(SAGA_STEP.c.operation == operation, SAGA_STEP.c.index == index)
