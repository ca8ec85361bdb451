"""Delivers events to their consumers: one dispatcher per platform at a time, any process may be it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Sequence

from api.kernel.http.metrics import Metrics
from api.kernel.outbox import deliveries, webhooks
from api.kernel.outbox.consumer import Consumer
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.platform import Platform
from core import leases
from core.errors import HeadwaterError
from core.ids import new_id

LEASE_NAME = "outbox"
POLL_SECONDS = 0.5
_LEASE_SECONDS = 10.0
_RENEW_SECONDS = 3.0
_PURGE_SECONDS = 3600.0
_log = logging.getLogger("headwater.outbox")


class Dispatcher:
    """Runs beside the API. At least once: an event is only passed over when its consumer took it or it was stored."""

    def __init__(
        self,
        platform: Platform,
        subscribers: Sequence[Subscriber] = (),
        *,
        private_webhooks: bool | None = None,
        first_retry_seconds: float = 1.0,
    ) -> None:
        """`private_webhooks`: whether webhooks may go to private addresses; by default as `private_sources` says."""
        self._platform = platform
        self._subscribers = tuple(subscribers)
        self._first_retry_seconds = first_retry_seconds
        private = platform.settings.private_sources if private_webhooks is None else private_webhooks
        self._webhooks = webhooks.Sender(platform, private=private)
        self._holder = f"{os.getpid()}:{new_id('dsp')}"
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._away: set[str] = set()
        self._news: set[str] = set()
        """Consumers that were under way when something was committed: what they read may be older."""
        self._renewed = 0.0

        metrics = platform.part(Metrics)
        metrics.gauge_from(
            "headwater_outbox_events_behind", "Events a consumer has not taken.", self._events_behind, label="consumer"
        )
        metrics.gauge_from(
            "headwater_outbox_seconds_behind", "Age of the oldest of them.", self._seconds_behind, label="consumer"
        )
        metrics.gauge_from(
            "headwater_outbox_dead_letters", "Events given up for a consumer.", self._dead, label="consumer"
        )

    async def start(self) -> None:
        """Begins to deliver as soon as no other process does."""
        self._loop = asyncio.get_running_loop()
        self._platform.database.after_commit.append(self.wake)
        self._main = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends. What was under way and not settled comes again."""
        if self._main is None:
            return
        self._platform.database.after_commit.remove(self.wake)
        self._main.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._main
        self._main = None
        await self._end_consumers()
        await self._webhooks.close()
        with contextlib.suppress(HeadwaterError):
            database = self._platform.database
            await self._platform.workers.write.run(leases.release, database, LEASE_NAME, self._holder)

    def wake(self) -> None:
        """Says that events were committed. May be called from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it who would deliver
                self._loop.call_soon_threadsafe(self._woken.set)

    async def _run(self) -> None:
        purged = time.monotonic()
        while True:
            try:
                if await self._leads():
                    await self._start_consumers()
                    if time.monotonic() - purged > _PURGE_SECONDS:
                        purged = time.monotonic()
                        await self._platform.workers.write.run(self._purge)
            except HeadwaterError as error:
                _log.warning("The outbox waits: %s", error.detail)
            except Exception:  # noqa: BLE001 - a fault of one round must not end all deliveries
                _log.exception("The outbox waits")
            # Only consumers of the holder of the lease may run.
            if self._running and time.monotonic() - self._renewed > _LEASE_SECONDS:
                await self._end_consumers()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def _leads(self) -> bool:
        began = time.monotonic()
        if began - self._renewed < _RENEW_SECONDS:
            return True
        if await self._platform.workers.write.run(self._acquire):
            self._renewed = began
            return True
        await self._end_consumers()
        return False

    def _acquire(self) -> bool:
        database = self._platform.database
        # Most times somebody else holds it, and a look costs less than a write.
        if leases.holder_of(database, LEASE_NAME) not in (None, self._holder):
            return False
        return leases.acquire(database, LEASE_NAME, self._holder, _LEASE_SECONDS)

    async def _start_consumers(self) -> None:
        wanted = (*self._subscribers, *await self._webhooks.subscribers())
        for subscriber in wanted:
            task = self._running.get(subscriber.name)
            if task is None or task.done():
                consumer = Consumer(self._platform, subscriber, first_retry_seconds=self._first_retry_seconds)
                self._running[subscriber.name] = asyncio.create_task(self._drain(consumer))
            else:
                self._news.add(subscriber.name)

    async def _drain(self, consumer: Consumer) -> None:
        """Runs a consumer until nothing is left. A new task, for what it wants by then, looks again."""
        name = consumer.subscriber.name
        try:
            more = True
            while more:
                more = await consumer.run()
        except HeadwaterError as error:
            # Once: it is tried twice a second for as long as it lasts.
            if name not in self._away:
                _log.warning("%s waits: %s", name, error.detail)
            self._away.add(name)
        except Exception:  # noqa: BLE001 - the next poll tries again
            _log.exception("%s waits", name)
        else:
            if name in self._away:
                _log.info("%s goes on", name)
            self._away.discard(name)
            if name in self._news:
                self._woken.set()
        self._news.discard(name)

    async def _end_consumers(self) -> None:
        tasks = list(self._running.values())
        self._running.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _served(self, name: str) -> bool:
        """Whether somebody still wants these events: the cursor of a broker that is no longer set would only age."""
        return name.startswith(webhooks.PREFIX) or any(name == subscriber.name for subscriber in self._subscribers)

    def _events_behind(self) -> dict[str, float]:
        with self._platform.database.read() as connection:
            found = deliveries.lag(connection).items()
            return {name: lag.events_behind for name, lag in found if self._served(name)}

    def _seconds_behind(self) -> dict[str, float]:
        with self._platform.database.read() as connection:
            found = deliveries.lag(connection).items()
            return {name: lag.seconds_behind for name, lag in found if self._served(name)}

    def _dead(self) -> dict[str, float]:
        with self._platform.database.read() as connection:
            return {name: count for name, count in deliveries.dead(connection).items() if self._served(name)}

    def _purge(self) -> None:
        with self._platform.database.write() as connection:
            deliveries.purge(connection)
