"""Delivery of events to one subscriber: in order per subject, with retries and dead letters."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import sqlalchemy as sa

from api.kernel.http.telemetry import open_telemetry
from api.kernel.http.trace_context import resumed
from api.kernel.outbox import deliveries
from api.kernel.outbox.deliveries import Delivery, DeliveryState
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.platform import Platform
from core import clock, events
from core.errors import HeadwaterError, Unavailable
from core.events import EVENT, RecordedEvent

BATCH_SIZE = 100
_CONCURRENT_SUBJECTS = 8
_FIRST_RETRY_SECONDS = 1.0
_log = logging.getLogger("headwater.outbox")


@dataclass(frozen=True, slots=True)
class _Page:
    before: int
    after: int
    events: list[RecordedEvent]
    blocked: set[str]
    """Subjects with an earlier event that is not delivered yet."""
    is_full: bool


@dataclass(frozen=True, slots=True)
class _Outage:
    """The event that could not be delivered because the subscriber is unavailable, and the error."""

    sequence: int
    error: Unavailable


class Consumer:
    """The delivery to one subscriber. Only the process that holds the lease may run it."""

    def __init__(
        self, platform: Platform, subscriber: Subscriber, *, first_retry_seconds: float = _FIRST_RETRY_SECONDS
    ) -> None:
        self._platform = platform
        self.subscriber = subscriber
        self._first_retry_seconds = first_retry_seconds
        self._slots = asyncio.Semaphore(_CONCURRENT_SUBJECTS)
        self._tracer = platform.part(open_telemetry)

    async def run(self) -> bool:
        """Delivers one batch of due events and one of new events. Returns whether more can be delivered immediately.

        Raises:
            Unavailable: the subscriber is unavailable and blocks. Its events are delivered later.
        """
        retried = await self._retry()
        page = await self._platform.workers.read.run(self._page)
        if page is None and not self.subscriber.creates_cursor:
            return False
        if page is None:
            await self._platform.workers.write.run(self._create_cursor)
            return True
        if page.after == page.before:
            return retried
        waiting, outage = await self._deliver(page)
        if outage is not None:
            # Events behind the first undelivered one are delivered again, with the same ids.
            page = replace(page, after=outage.sequence - 1)
            waiting = [delivery for delivery in waiting if delivery.sequence < outage.sequence]
        if page.after != page.before:
            await self._platform.workers.write.run(self._save, page, waiting)
        if outage is not None:
            raise outage.error
        return page.is_full or retried

    def _create_cursor(self) -> None:
        with self._platform.database.write() as connection:
            sequence = 0 if self.subscriber.from_beginning else events.head(connection)[0]
            deliveries.create_cursor(connection, self.subscriber.name, sequence)

    def _page(self) -> _Page | None:
        name = self.subscriber.name
        with self._platform.database.read() as connection:
            before = deliveries.cursor(connection, name)
            if before is None:
                return None
            newest, _ = events.head(connection)
            query = sa.select(EVENT).where(EVENT.c.sequence > before, EVENT.c.sequence <= newest)
            query = query.where(self.subscriber.condition()).order_by(EVENT.c.sequence).limit(BATCH_SIZE)
            items = [events.event_from_row(row) for row in connection.execute(query)]
            is_full = len(items) == BATCH_SIZE
            after = items[-1].sequence if is_full else newest
            blocked = deliveries.blocked(connection, name, list({item.event.subject for item in items}))
        return _Page(before, after, items, blocked, is_full)

    async def _deliver(self, page: _Page) -> tuple[list[Delivery], _Outage | None]:
        """Delivers the events, with concurrent subjects. Returns those to retry and the first that met an outage."""
        subjects: dict[str, list[RecordedEvent]] = {}
        for item in page.events:
            subjects.setdefault(item.event.subject, []).append(item)
        waiting: list[Delivery] = []
        outages: list[_Outage] = []

        async def deliver_subject(subject: str, items: Sequence[RecordedEvent]) -> None:
            blocked = subject in page.blocked
            for item in items:
                if blocked:
                    waiting.append(self._waiting(item))
                    continue
                try:
                    error = await self._attempt(item)
                except Unavailable as unavailable:
                    outages.append(_Outage(item.sequence, unavailable))
                    return
                if error is not None:
                    failed = self._failed(self._waiting(item), error)
                    blocked = failed.state is DeliveryState.PENDING
                    waiting.append(failed)

        await asyncio.gather(*(deliver_subject(subject, items) for subject, items in subjects.items()))
        return waiting, min(outages, key=lambda outage: outage.sequence, default=None)

    def _save(self, page: _Page, waiting: Sequence[Delivery]) -> None:
        with self._platform.database.write() as connection:
            # If another process moved the cursor, it has stored the results of these events.
            if deliveries.advance(connection, self.subscriber.name, page.before, page.after):
                for delivery in waiting:
                    deliveries.put(connection, delivery)

    async def _retry(self) -> bool:
        due = await self._platform.workers.read.run(self._due)
        outages: list[Unavailable] = []

        async def retry(delivery: Delivery, item: RecordedEvent) -> bool:
            try:
                error = await self._attempt(item)
            except Unavailable as unavailable:
                outages.append(unavailable)
                return False
            await self._platform.workers.write.run(self._settle, delivery, error)
            return error is None or delivery.attempts + 1 >= self.subscriber.max_attempts

        # A settled event unblocks the next event of its subject.
        settled = any(await asyncio.gather(*(retry(delivery, item) for delivery, item in due)))
        if outages:
            raise outages[0]
        return settled

    def _due(self) -> list[tuple[Delivery, RecordedEvent]]:
        with self._platform.database.read() as connection:
            due = deliveries.due(connection, self.subscriber.name, BATCH_SIZE)
            query = sa.select(EVENT).where(EVENT.c.sequence.in_([delivery.sequence for delivery in due]))
            items = {row.sequence: events.event_from_row(row) for row in connection.execute(query)} if due else {}
        return [(delivery, items[delivery.sequence]) for delivery in due if delivery.sequence in items]

    def _settle(self, delivery: Delivery, error: str | None) -> None:
        with self._platform.database.write() as connection:
            if error is None:
                deliveries.delivered(connection, delivery.consumer, delivery.sequence)
            else:
                deliveries.update(connection, self._failed(delivery, error))

    async def _attempt(self, item: RecordedEvent) -> str | None:
        """Delivers an event. Returns None, or the error.

        Raises:
            Unavailable: the subscriber is unavailable and blocks.
        """
        event = item.event
        attributes = {
            "headwater.consumer": self.subscriber.name,
            "headwater.event_id": event.id,
            "headwater.request_id": event.request_id,
        }
        try:
            async with self._slots, asyncio.timeout(self.subscriber.timeout_seconds):
                with resumed(event.traceparent, self._tracer, f"deliver {event.type}", attributes):
                    await self.subscriber.handle(item)
        except TimeoutError:
            return f"No response within {self.subscriber.timeout_seconds:g} seconds."
        except HeadwaterError as error:
            if self.subscriber.blocks and isinstance(error, Unavailable):
                raise
            return error.detail[:500]
        except Exception as error:  # noqa: BLE001 - an error of one subscriber must not stop the others
            _log.warning("%s could not handle event %s", self.subscriber.name, event.id, exc_info=True)
            return type(error).__name__
        return None

    def _waiting(self, item: RecordedEvent) -> Delivery:
        now = clock.now()
        name, subject = self.subscriber.name, item.event.subject
        return Delivery(name, item.sequence, subject, DeliveryState.PENDING, 0, now, "", now)

    def _failed(self, delivery: Delivery, error: str) -> Delivery:
        attempts, now = delivery.attempts + 1, clock.now()
        seconds = self.subscriber.backoff.seconds(attempts, first=self._first_retry_seconds)
        seconds *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, protects nothing
        dead = attempts >= self.subscriber.max_attempts
        state = DeliveryState.DEAD if dead else DeliveryState.PENDING
        if dead:
            _log.warning("%s: event %s is a dead letter: %s", delivery.consumer, delivery.sequence, error)
        next_at = now + timedelta(seconds=seconds)
        return replace(
            delivery, attempts=attempts, state=state, next_at=next_at, last_error=error[:500], updated_at=now
        )
