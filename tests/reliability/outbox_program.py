"""A process with a dispatcher. Arguments: home, and how it dies: `committed`, `handled` or `never`.

`committed`: killed right after events were committed. `handled`: killed when the effect of an event is committed and
its cursor is not. `never`: delivers until all 20 effects are there and the cursor is behind them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import sqlalchemy as sa

from api.kernel.outbox import deliveries
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.outbox.tables import OUTBOX_SEEN
from api.kernel.platform import Platform
from core.db import Database
from core.events import Event, RecordedEvent, append
from core.settings import load_settings
from migrations.tables import METADATA
from tests.orchestration import FakeOrchestrator

EFFECT = sa.Table("effect", METADATA, sa.Column("n", sa.Integer, primary_key=True), sa.Column("event", sa.String(64)))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main(home: str, death: str) -> None:
    settings = load_settings({"HEADWATER_HOME": home})
    database = Database(settings.effective_database_url)
    METADATA.create_all(database.engine)
    platform = Platform(settings, database, FakeOrchestrator())

    async def handle(item: RecordedEvent) -> None:
        def effect() -> None:
            with database.write() as connection:
                if deliveries.once(connection, "counter", item.event.id):
                    connection.execute(EFFECT.insert().values(event=item.event.id))

        await platform.workers.write.run(effect)
        if death == "handled" and item.sequence == 12:
            die()

    def append_some() -> None:
        for number in range(10):
            with database.write() as connection:
                append(connection, Event("admin.user.created", f"usr_{number % 3}", "ada"))

    def settled() -> bool:
        with database.read() as connection:
            effects = connection.execute(sa.select(sa.func.count()).select_from(OUTBOX_SEEN)).scalar_one()
            return effects == 20 and deliveries.cursor(connection, "counter") == 20

    dispatcher = Dispatcher(platform, [Subscriber("counter", ("*",), handle)])
    if death == "committed":
        append_some()
        die()
    if death == "handled":
        append_some()
    await dispatcher.start()
    async with asyncio.timeout(60):
        while not settled():
            await asyncio.sleep(0.05)
    await dispatcher.stop()
    platform.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
