"""The dispatcher of events. One process at a time holds the lease and delivers events to all consumers."""

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
from api.kernel.outbox.webhook_sender import WebhookSender
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
    """A background task of the API. A cursor moves past an event only when it was delivered or stored for a retry."""

    def __init__(
        self,
        platform: Platform,
        subscribers: Sequence[Subscriber] = (),
        *,
        private_webhooks: bool | None = None,
        first_retry_seconds: float = 1.0,
    ) -> None:
        """Creates the dispatcher.

        Args:
            platform: the shared objects of the process.
            subscribers: subscribers in addition to the webhook endpoints.
            private_webhooks: whether webhook endpoints may have private addresses. Defaults to the setting
                `private_sources`.
            first_retry_seconds: base delay of the backoff.
        """
        self._platform = platform
        self._subscribers = tuple(subscribers)
        self._first_retry_seconds = first_retry_seconds
        private = platform.settings.private_sources if private_webhooks is None else private_webhooks
        self._sender = WebhookSender(platform, private=private)
        self._holder = f"{os.getpid()}:{new_id('dsp')}"
        self._wakeup = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._unavailable: set[str] = set()
        self._stale: set[str] = set()
        """Consumers that were running when events were committed, so they may have missed them."""
        self._renewed = 0.0

        metrics = platform.part(Metrics)
        metrics.gauge_from(
            "headwater_outbox_events_behind",
            "Number of events not delivered to a consumer.",
            self._events_behind,
            label="consumer",
        )
        metrics.gauge_from(
            "headwater_outbox_seconds_behind",
            "Age of the oldest event not delivered to a consumer.",
            self._seconds_behind,
            label="consumer",
        )
        metrics.gauge_from(
            "headwater_outbox_dead_letters",
            "Number of events of a consumer for which all attempts failed.",
            self._dead_letters,
            label="consumer",
        )

    async def start(self) -> None:
        """Starts the task. It delivers events as soon as it holds the lease."""
        self._loop = asyncio.get_running_loop()
        self._platform.database.after_commit.append(self.wake)
        self._main = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stops the task. Deliveries that are interrupted are repeated later."""
        if self._main is None:
            return
        self._platform.database.after_commit.remove(self.wake)
        self._main.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._main
        self._main = None
        await self._end_consumers()
        await self._sender.close()
        with contextlib.suppress(HeadwaterError):
            database = self._platform.database
            await self._platform.workers.write.run(leases.release, database, LEASE_NAME, self._holder)

    def wake(self) -> None:
        """Signals that events were committed. Thread-safe."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(self._wakeup.set)

    async def _run(self) -> None:
        purged = time.monotonic()
        while True:
            try:
                if await self._holds_lease():
                    await self._start_consumers()
                    if time.monotonic() - purged > _PURGE_SECONDS:
                        purged = time.monotonic()
                        await self._platform.workers.write.run(self._purge)
            except HeadwaterError as error:
                _log.warning("the outbox waits: %s", error.detail)
            except Exception:  # noqa: BLE001 - an error of one round must not stop all deliveries
                _log.exception("the outbox waits")
            # Without the lease, no consumer may run.
            if self._running and time.monotonic() - self._renewed > _LEASE_SECONDS:
                await self._end_consumers()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wakeup.wait()
            self._wakeup.clear()

    async def _holds_lease(self) -> bool:
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
        # Usually another process holds the lease, and a read costs less than a write.
        if leases.current_holder(database, LEASE_NAME) not in (None, self._holder):
            return False
        return leases.acquire(database, LEASE_NAME, self._holder, _LEASE_SECONDS)

    async def _start_consumers(self) -> None:
        for subscriber in (*self._subscribers, *await self._sender.subscribers()):
            task = self._running.get(subscriber.name)
            if task is None or task.done():
                consumer = Consumer(self._platform, subscriber, first_retry_seconds=self._first_retry_seconds)
                self._running[subscriber.name] = asyncio.create_task(self._drain(consumer))
            else:
                self._stale.add(subscriber.name)

    async def _drain(self, consumer: Consumer) -> None:
        """Runs a consumer until no event is left."""
        name = consumer.subscriber.name
        try:
            has_events = True
            while has_events:
                has_events = await consumer.run()
        except HeadwaterError as error:
            # Logged once per outage, although the consumer runs twice a second.
            if name not in self._unavailable:
                _log.warning("%s waits: %s", name, error.detail)
            self._unavailable.add(name)
        except Exception:  # noqa: BLE001 - the next round tries again
            _log.exception("%s waits", name)
        else:
            if name in self._unavailable:
                _log.info("%s continues", name)
            self._unavailable.discard(name)
            if name in self._stale:
                self._wakeup.set()
        self._stale.discard(name)

    async def _end_consumers(self) -> None:
        tasks = list(self._running.values())
        self._running.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_served(self, name: str) -> bool:
        """Returns whether the consumer is in use. The cursor of a broker that is no longer configured is not."""
        return name.startswith(webhooks.PREFIX) or any(name == subscriber.name for subscriber in self._subscribers)

    def _events_behind(self) -> dict[str, float]:
        with self._platform.database.read() as connection:
            lags = deliveries.lag(connection).items()
        return {name: lag.events_behind for name, lag in lags if self._is_served(name)}

    def _seconds_behind(self) -> dict[str, float]:
        with self._platform.database.read() as connection:
            lags = deliveries.lag(connection).items()
        return {name: lag.seconds_behind for name, lag in lags if self._is_served(name)}

    def _dead_letters(self) -> dict[str, float]:
        with self._platform.database.read() as connection:
            counts = deliveries.dead_letter_counts(connection).items()
        return {name: count for name, count in counts if self._is_served(name)}

    def _purge(self) -> None:
        with self._platform.database.write() as connection:
            deliveries.purge(connection)
