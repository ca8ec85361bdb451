"""A saga with effects that can be counted: rows in the database, files of an outside service. Also a program of it.

python -m tests.sagas <database url> <home> <operation> [<point at which to strike> <signal>]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.models import Request
from api.kernel.operations import store
from api.kernel.operations.store import OperationRow, Origin
from api.kernel.platform import Platform
from api.kernel.sagas import runner as runner_module
from api.kernel.sagas import steps
from api.kernel.sagas.runner import Runner
from api.kernel.sagas.saga import ActivityStep, Output, Saga, StepContext, TransactionStep
from api.kernel.tables import IDEMPOTENCY, OPERATION
from api.kernel.workers import P, Pool, T
from core import clock
from core.db import METADATA, Database
from core.errors import Conflict, Unavailable
from core.events import EVENT, EVENT_HEAD
from core.ids import new_id
from core.settings import load_settings
from tests.orchestration import FakeOrchestrator

EFFECTS = sa.MetaData()
EFFECT = sa.Table(
    "effect",
    EFFECTS,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("operation", sa.String(64), nullable=False),
    sa.Column("step", sa.String(64), nullable=False),
    sa.Column("what", sa.String(8), nullable=False),
)

strike: Callable[[str], None] = lambda point: None  # noqa: E731 - replaced by the program


class Order(Request):
    """What the saga is begun with."""

    folder: str
    """Where the outside service keeps its files."""

    fails_at: str = ""
    """Step that is refused."""

    away_at: str = ""
    """Step whose service does not answer."""

    away_tries: int = 0
    """In how many tries it does not answer."""

    stuck_at: str = ""
    """Step that cannot be undone."""


def effects(connection: Connection, operation: str) -> list[tuple[str, str]]:
    query = sa.select(EFFECT.c.step, EFFECT.c.what).where(EFFECT.c.operation == operation).order_by(EFFECT.c.number)
    return [(step, effect) for step, effect in connection.execute(query)]


def files(folder: Path) -> list[str]:
    """Effects at the outside service: names of steps."""
    return sorted(path.read_text() for path in folder.glob("*.made"))


def _obstacles(step: StepContext[Order]) -> None:
    if step.input.fails_at == step.name:
        raise Conflict(f"{step.name} is not possible.")
    if step.input.away_at == step.name and step.attempt <= step.input.away_tries:
        raise Unavailable(f"{step.name} does not answer.")


def _insert(connection: Connection, step: StepContext[Order], effect: str) -> None:
    connection.execute(EFFECT.insert().values(operation=step.operation, step=step.name, what=effect))


def do_inside(connection: Connection, step: StepContext[Order]) -> Output:
    _insert(connection, step, "do")
    strike(f"in:{step.name}")
    _obstacles(step)
    return {"seen": sorted(step.outputs)}


def undo_inside(connection: Connection, step: StepContext[Order]) -> None:
    if step.input.stuck_at == step.name:
        raise RuntimeError("a secret of the driver")
    _insert(connection, step, "undo")
    strike(f"undo:{step.name}")


def _made(step: StepContext[Order]) -> Path:
    return Path(step.input.folder) / f"{step.idempotency_key.replace(':', '-')}.made"


async def do_outside(step: StepContext[Order]) -> Output:
    running = _made(step).with_suffix(".running")
    try:
        running.open("x").close()
    except FileExistsError:
        if step.attempt == 1:
            _made(step).with_suffix(".overlap").touch()
    with Path(step.input.folder, "calls").open("a") as calls:
        calls.write(f"{step.operation} {step.name} {os.getpid()}\n")
    await asyncio.sleep(0.005)
    strike(f"in:{step.name}")
    _obstacles(step)
    _made(step).write_text(step.name)
    strike(f"late:{step.name}")
    running.unlink(missing_ok=True)
    return {"key": step.idempotency_key, "seen": sorted(step.outputs)}


async def undo_outside(step: StepContext[Order]) -> None:
    strike(f"before-undo:{step.name}")
    _made(step).unlink(missing_ok=True)
    strike(f"undo:{step.name}")


ORDER = Saga(
    "test.order.place",
    input=Order,
    steps=[
        TransactionStep("reserve", do_inside, undo=undo_inside),
        ActivityStep("charge", do_outside, undo=undo_outside),
        TransactionStep("ship", do_inside, undo=undo_inside),
        ActivityStep("confirm", do_outside, undo=undo_outside),
    ],
)


def prepare(url: str) -> None:
    database = Database(url)
    tables = [steps.SAGA_STEP, OPERATION, EVENT, EVENT_HEAD, IDEMPOTENCY]
    METADATA.create_all(database.engine, tables)
    EFFECTS.create_all(database.engine)
    database.close()


def open_platform(url: str, home: Path) -> Platform:
    settings = load_settings({"HEADWATER_HOME": str(home), "HEADWATER_DATABASE_URL": url})
    return Platform(settings, Database(url), FakeOrchestrator())


def begun(database: Database, input: Order, saga: Saga[Order] = ORDER) -> str:
    """Stores an operation that no process runs yet and returns its id."""
    origin = Origin("test.order.place", "orders", "editor", "usr_1", "req_1", "org_1", "prj_1")
    id = new_id("op")
    with database.write() as connection:
        given = input.model_dump(mode="json")
        store.insert_saga(connection, id, saga.name, given, names=saga.step_names, origin=origin)
    return id


def stored(database: Database, id: str) -> OperationRow:
    with database.read() as connection:
        return store.get(connection, id)


async def finished(database: Database, runner: Runner, id: str, *, seconds: float = 60.0) -> OperationRow:
    """Carries on with whatever waits until the operation has ended."""
    async with asyncio.timeout(seconds):
        while not (row := stored(database, id)).state.final:
            await runner.start_waiting()
            await asyncio.sleep(0.02)
    return row


class later:  # noqa: N801 - reads as a word: with later(minutes=1)
    """The clock of this process, moved on."""

    def __init__(self, **delta: Any) -> None:
        self._delta = timedelta(**delta)

    def __enter__(self) -> None:
        clock.freeze(lambda: datetime.now(UTC) + self._delta)

    def __exit__(self, *_: object) -> None:
        clock.freeze(None)


class StrikingPool(Pool):
    """Strikes after a write was committed, counted from 1."""

    def __init__(self, threads: int) -> None:
        super().__init__("writes", threads, 64)
        self._count = 0

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._count += 1
        count = self._count
        result = await super().run(function, *args, **kwargs)
        strike(f"after:{count}")
        return result


def _wait_for_another(point: str) -> None:
    """Halts this process in its first call to the outside service until another process makes one as well."""
    deadline = time.monotonic() + 60
    while point == "in:charge" and time.monotonic() < deadline:
        if len({line.split()[2] for line in Path(sys.argv[2], "calls").read_text().splitlines()}) > 1:
            break
        time.sleep(0.01)


async def _main(url: str, home: str, operation: str, point: str = "", name: str = "SIGKILL") -> None:
    global strike

    def struck(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.Signals[name])

    strike = struck
    platform = open_platform(url, Path(home))
    platform.workers.write.close()
    platform.workers.write = StrikingPool(1 if url.startswith("sqlite") else 8)
    # Among several processes, the one that ends a saga must release it: the lease lasts longer than the test.
    lease_seconds = 600.0 if operation == "all" else runner_module.LEASE_SECONDS
    runner = Runner(platform, lease_seconds=lease_seconds, first_delay=0.01)
    runner.register(ORDER)
    if operation == "all":
        strike = _wait_for_another
        runner_module.MAX_CONCURRENT_SAGAS = 4
        print("ready", flush=True)
        sys.stdin.readline()
        while any(not stored(platform.database, id).state.final for id in Path(home, "ids").read_text().split()):
            await runner.start_waiting()
            await asyncio.sleep(0.01)
    else:
        await runner.run(operation)
    await runner.stop()
    platform.close()


def run(arguments: Sequence[str]) -> None:
    """Runs the program."""
    asyncio.run(_main(*arguments))


if __name__ == "__main__":
    # Its functions must be those of the module, which the saga's steps see.
    import tests.sagas as program

    program.run(sys.argv[1:])
