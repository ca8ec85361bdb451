"""A process that passes events on. Arguments: home, URL and topic of the broker, and the event at which it dies.

It commits 20 events if there are none. It is killed when the broker has acknowledged that event: what is behind it is
committed and not published, and what was published has moved no cursor yet. Without such an event it delivers all.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace

from api.gateways.relays.relay import open_relay
from api.kernel.outbox import deliveries
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.platform import Platform
from core import events
from core.db import Database
from core.events import Event, RecordedEvent
from core.settings import load_settings
from migrations.tables import METADATA
from tests.orchestration import FakeOrchestrator


async def main(home: str, url: str, topic: str, dies_at: str) -> None:
    settings = load_settings({"HEADWATER_HOME": home, "HEADWATER_EVENTS_URL": url, "HEADWATER_EVENTS_TOPIC": topic})
    database = Database(settings.effective_database_url)
    METADATA.create_all(database.engine)
    platform = Platform(settings, database, FakeOrchestrator())
    relay = open_relay(settings)
    assert relay is not None
    handle = relay.subscriber.handle

    async def handle_and_die(item: RecordedEvent) -> None:
        await handle(item)
        if item.sequence == int(dies_at):
            os.kill(os.getpid(), signal.SIGKILL)

    with database.write() as connection:
        if not events.head(connection)[0]:
            events.append_all(connection, [Event("a.b.c", f"usr_{number % 3}", "ada") for number in range(20)])

    def behind() -> int:
        with database.read() as connection:
            known = deliveries.lag(connection).get(relay.subscriber.name)
        return known.events_behind if known else -1

    dispatcher = Dispatcher(platform, [replace(relay.subscriber, handle=handle_and_die)])
    await dispatcher.start()
    async with asyncio.timeout(60):
        while behind() != 0:
            await asyncio.sleep(0.05)
    await dispatcher.stop()
    await relay.stop()
    platform.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
