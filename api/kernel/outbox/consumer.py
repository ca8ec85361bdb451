"""One consumer's way through the events: ordered per subject, retried with backoff, given up at last."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import sqlalchemy as sa

from api.kernel.http.tracing import open_telemetry, resumed
from api.kernel.outbox import deliveries
from api.kernel.outbox.deliveries import Delivery, DeliveryState
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.platform import Platform
from core import clock, events
from core.errors import HeadwaterError, Unavailable
from core.events import EVENT, Recorded

BATCH = 100
_CONCURRENT_SUBJECTS = 8
_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 3600.0
_log = logging.getLogger("headwater.outbox")


@dataclass(frozen=True, slots=True)
class _Page:
    before: int
    after: int
    events: list[Recorded]
    held: set[str]
    more: bool


@dataclass(frozen=True, slots=True)
class _Away:
    """The subscriber is away: the event that found it out, and why."""

    sequence: int
    error: Unavailable


class Consumer:
    """Delivers to one subscriber. Only the process that holds the lease may run it."""

    def __init__(
        self, platform: Platform, subscriber: Subscriber, *, first_retry_seconds: float = _FIRST_RETRY_SECONDS
    ) -> None:
        self._platform = platform
        self.subscriber = subscriber
        self._first_retry_seconds = first_retry_seconds
        self._slots = asyncio.Semaphore(_CONCURRENT_SUBJECTS)
        self._tracer = platform.part(open_telemetry)

    async def run(self) -> bool:
        """Delivers what is due, then what is new, up to a batch of each. Returns whether there is more right now.

        Raises:
            Unavailable: a subscriber that waits is away; its events stay where they are.
        """
        retried = await self._retry()
        page = await self._platform.workers.read.run(self._page)
        if page is None and not self.subscriber.begins:
            return False
        if page is None:
            await self._platform.workers.write.run(self._begin)
            return True
        if page.after == page.before:
            return retried
        waiting, away = await self._deliver(page)
        if away is not None:
            # What was taken behind the first event that was not comes again, under the same id.
            page = replace(page, after=away.sequence - 1)
            waiting = [delivery for delivery in waiting if delivery.sequence < away.sequence]
        if page.after != page.before:
            await self._platform.workers.write.run(self._save, page, waiting)
        if away is not None:
            raise away.error
        return page.more or retried

    def _begin(self) -> None:
        with self._platform.database.write() as connection:
            sequence = 0 if self.subscriber.from_beginning else events.head(connection)[0]
            deliveries.begin(connection, self.subscriber.name, sequence)

    def _page(self) -> _Page | None:
        name = self.subscriber.name
        with self._platform.database.read() as connection:
            before = deliveries.cursor(connection, name)
            if before is None:
                return None
            newest, _ = events.head(connection)
            query = sa.select(EVENT).where(EVENT.c.sequence > before, EVENT.c.sequence <= newest)
            rows = connection.execute(query.where(self.subscriber.wants()).order_by(EVENT.c.sequence).limit(BATCH))
            found = [events.recorded(row) for row in rows]
            more = len(found) == BATCH
            after = found[-1].sequence if more else newest
            held = deliveries.held(connection, name, list({item.event.subject for item in found}))
        return _Page(before, after, found, held, more)

    async def _deliver(self, page: _Page) -> tuple[list[Delivery], _Away | None]:
        """Hands the events over, subjects side by side; returns those that have to wait, and the first not tried."""
        subjects: dict[str, list[Recorded]] = {}
        for item in page.events:
            subjects.setdefault(item.event.subject, []).append(item)
        waiting: list[Delivery] = []
        away: list[_Away] = []

        async def chain(subject: str, items: Sequence[Recorded]) -> None:
            holding = subject in page.held
            for item in items:
                if holding:
                    waiting.append(self._waiting(item))
                    continue
                try:
                    error = await self._hand_over(item)
                except Unavailable as gone:
                    away.append(_Away(item.sequence, gone))
                    return
                if error is not None:
                    failed = self._failed(self._waiting(item), error)
                    holding = failed.state is DeliveryState.PENDING
                    waiting.append(failed)

        await asyncio.gather(*(chain(subject, items) for subject, items in subjects.items()))
        return waiting, min(away, key=lambda gone: gone.sequence, default=None)

    def _save(self, page: _Page, waiting: Sequence[Delivery]) -> None:
        with self._platform.database.write() as connection:
            # Somebody else moved the cursor: he has stored what became of these events.
            if deliveries.advance(connection, self.subscriber.name, page.before, page.after):
                for delivery in waiting:
                    deliveries.put(connection, delivery)

    async def _retry(self) -> bool:
        due = await self._platform.workers.read.run(self._due)
        away: list[Unavailable] = []

        async def again(delivery: Delivery, item: Recorded) -> bool:
            try:
                error = await self._hand_over(item)
            except Unavailable as gone:
                away.append(gone)
                return False
            await self._platform.workers.write.run(self._settle, delivery, error)
            return error is None or delivery.attempts + 1 >= self.subscriber.max_attempts

        # What is settled may have let the next event of its subject go.
        settled = any(await asyncio.gather(*(again(delivery, item) for delivery, item in due)))
        if away:
            raise away[0]
        return settled

    def _due(self) -> list[tuple[Delivery, Recorded]]:
        with self._platform.database.read() as connection:
            due = deliveries.due(connection, self.subscriber.name, BATCH)
            query = sa.select(EVENT).where(EVENT.c.sequence.in_([delivery.sequence for delivery in due]))
            items = {row.sequence: events.recorded(row) for row in connection.execute(query)} if due else {}
        return [(delivery, items[delivery.sequence]) for delivery in due if delivery.sequence in items]

    def _settle(self, delivery: Delivery, error: str | None) -> None:
        with self._platform.database.write() as connection:
            if error is None:
                deliveries.delivered(connection, delivery.consumer, delivery.sequence)
            else:
                deliveries.put_back(connection, self._failed(delivery, error))

    async def _hand_over(self, item: Recorded) -> str | None:
        """Nothing if the event was taken, else what went wrong.

        Raises:
            Unavailable: it is not the event's fault, and the subscriber waits.
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
            return f"No answer within {self.subscriber.timeout_seconds:g} seconds."
        except HeadwaterError as error:
            if self.subscriber.waits and isinstance(error, Unavailable):
                raise
            return error.detail[:500]
        except Exception as error:  # noqa: BLE001 - whatever a subscriber does, the others go on
            _log.warning("%s could not take event %s", self.subscriber.name, event.id, exc_info=True)
            return type(error).__name__
        return None

    def _waiting(self, item: Recorded) -> Delivery:
        now = clock.now()
        name, subject = self.subscriber.name, item.event.subject
        return Delivery(name, item.sequence, subject, DeliveryState.PENDING, 0, now, "", now)

    def _failed(self, delivery: Delivery, error: str) -> Delivery:
        attempts, now = delivery.attempts + 1, clock.now()
        seconds = min(self._first_retry_seconds * 2.0 ** min(attempts - 1, 30), _LONGEST_RETRY_SECONDS)
        seconds *= random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards nothing
        dead = attempts >= self.subscriber.max_attempts
        state = DeliveryState.DEAD if dead else DeliveryState.PENDING
        if dead:
            _log.warning("%s: event %s is a dead letter: %s", delivery.consumer, delivery.sequence, error)
        next_at = now + timedelta(seconds=seconds)
        return replace(
            delivery, attempts=attempts, state=state, next_at=next_at, last_error=error[:500], updated_at=now
        )
