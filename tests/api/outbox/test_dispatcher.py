"""Events reach their subscribers at least once, in the order of each subject, whatever fails."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.kernel.http.metrics import Metrics
from api.kernel.outbox import deliveries, dispatcher
from api.kernel.outbox.consumer import Consumer
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.outbox.tables import OUTBOX_DELIVERY, OUTBOX_SEEN
from api.kernel.sagas.runner import Runner
from core import clock, leases
from core.errors import Unavailable
from core.events import RecordedEvent
from tests import sagas
from tests.api.outbox.conftest import Outbox
from tests.sagas import later


class Taker:
    """Keeps what it is given; refuses subjects named in `refuses`."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.refuses: set[str] = set()

    async def handle(self, item: RecordedEvent) -> None:
        if item.event.subject in self.refuses:
            raise ValueError("not now")
        self.taken.append((item.event.subject, item.sequence))


def dead(outbox: Outbox) -> list[int]:
    with outbox.database.read() as connection:
        return [letter.sequence for letter in deliveries.dead_letters(connection, "taker")]


def waiting(outbox: Outbox) -> int:
    with outbox.database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(OUTBOX_DELIVERY)).scalar_one()


async def test_events_committed_before_a_dispatcher_lived_are_delivered_once_to_an_idempotent_consumer(
    outbox: Outbox,
) -> None:
    for number in range(250):
        outbox.happen(f"usr_{number % 7}")
    outbox.happen("x", "rag.index.created")
    effects: list[int] = []

    async def handle(item: RecordedEvent) -> None:
        def effect() -> None:
            with outbox.database.write() as connection:
                if deliveries.once(connection, "taker", item.event.id):
                    effects.append(item.sequence)

        await outbox.platform.workers.write.run(effect)

    subscriber = Subscriber("taker", ("admin.*",), handle)
    first = Dispatcher(outbox.platform, [subscriber])
    await first.start()
    await outbox.until(lambda: len(effects) > 20)
    await first.stop()  # somewhere in the middle: its batch comes again
    second = Dispatcher(outbox.platform, [subscriber])
    await second.start()
    await outbox.until(lambda: settled(outbox, 251))
    await second.stop()
    assert sorted(effects) == list(range(1, 251))
    with outbox.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(OUTBOX_SEEN)).scalar_one() == 250


def settled(outbox: Outbox, sequence: int) -> bool:
    with outbox.database.read() as connection:
        return deliveries.cursor(connection, "taker") == sequence


async def test_a_failing_event_holds_back_its_subject_only(outbox: Outbox) -> None:
    taker = Taker()
    taker.refuses = {"bad"}
    running = Dispatcher(outbox.platform, [Subscriber("taker", ("*",), taker.handle)], first_retry_seconds=0.05)
    await running.start()
    for subject in ("good", "bad", "good", "bad"):
        outbox.happen(subject)
    await outbox.until(lambda: len(taker.taken) == 2 and waiting(outbox) == 2)
    outbox.happen("bad")
    outbox.happen("good")
    await outbox.until(lambda: len(taker.taken) == 3 and waiting(outbox) == 3 and settled(outbox, 6))
    assert [subject for subject, _ in taker.taken] == ["good"] * 3
    with outbox.database.read() as connection:
        lag = deliveries.lag(connection)["taker"]
    assert lag.events_behind == 3
    assert lag.seconds_behind > 0
    taker.refuses = set()
    await outbox.until(lambda: len(taker.taken) == 6)
    await outbox.until(lambda: waiting(outbox) == 0)
    await running.stop()
    assert [sequence for subject, sequence in taker.taken if subject == "bad"] == [2, 4, 5]
    with outbox.database.read() as connection:
        assert deliveries.lag(connection)["taker"] == deliveries.Lag(0, 0.0)


async def test_each_commit_of_events_is_delivered_without_a_poll(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever thread commits them, and while a consumer is running."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 3600.0)
    taker = Taker()
    running = Dispatcher(outbox.platform, [Subscriber("taker", ("*",), taker.handle)])
    await running.start()
    for number in range(200):
        await asyncio.to_thread(outbox.happen, f"usr_{number}")
    await outbox.until(lambda: len(taker.taken) == 200)
    await running.stop()
    assert outbox.database.after_commit == []


async def test_the_end_of_a_saga_is_delivered_without_a_poll(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 3600.0)
    sagas.EFFECTS.create_all(outbox.database.engine)
    taker = Taker()
    running = Dispatcher(outbox.platform, [Subscriber("taker", ("operations.*",), taker.handle)])
    await running.start()
    runner = Runner(outbox.platform)
    runner.register(sagas.ORDER)
    id = sagas.begun(outbox.database, sagas.Order(folder=str(tmp_path)))
    await runner.run(id)
    await outbox.until(lambda: taker.taken == [(id, 1)])
    await running.stop()


async def test_what_fails_too_often_is_a_dead_letter_and_can_be_replayed(outbox: Outbox) -> None:
    taker = Taker()
    taker.refuses = {"bad"}
    subscriber = Subscriber("taker", ("*",), taker.handle, max_attempts=3)
    running = Dispatcher(outbox.platform, [subscriber], first_retry_seconds=0.01)
    await running.start()
    for subject in ("bad", "good"):
        outbox.happen(subject)
    await outbox.until(lambda: dead(outbox) == [1])
    with outbox.database.read() as connection:
        [letter] = deliveries.dead_letters(connection, "taker")
    assert (letter.attempts, letter.last_error) == (3, "ValueError")
    taker.refuses = set()
    with outbox.database.write() as connection:
        assert deliveries.replay(connection, "taker", [77]) == 0
        assert deliveries.replay(connection, "taker", [1]) == 1
    await outbox.until(lambda: ("bad", 1) in taker.taken)
    await outbox.until(lambda: waiting(outbox) == 0)
    await running.stop()


async def test_a_subscriber_that_waits_takes_up_where_it_was_when_it_is_back(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[int] = []
    away = True

    async def handle(item: RecordedEvent) -> None:
        if away and item.sequence > 3:
            raise Unavailable("The broker is away.")
        taken.append(item.sequence)

    subscriber = Subscriber("taker", ("*",), handle, blocks=True, max_attempts=2)
    running = Dispatcher(outbox.platform, [subscriber], first_retry_seconds=0.01)
    for number in range(8):
        outbox.happen(f"usr_{number % 2}")
    await running.start()
    await outbox.until(lambda: "taker waits: The broker is away." in caplog.text)
    await outbox.until(lambda: settled(outbox, 3))
    for _ in range(5):
        running.wake()
        await asyncio.sleep(0.05)
    with outbox.database.read() as connection:
        assert deliveries.cursor(connection, "taker") == 3
        assert deliveries.lag(connection)["taker"].events_behind == 5
    assert (waiting(outbox), dead(outbox)) == (0, [])
    assert caplog.text.count("taker waits") == 1
    away = False
    await outbox.until(lambda: len(taken) == 8)
    await running.stop()
    assert sorted(taken) == list(range(1, 9)), "what was taken before the first that was not is not given again"


async def test_an_event_given_back_waits_too_while_its_subscriber_is_away(outbox: Outbox) -> None:
    taken: list[int] = []
    answers: list[Exception] = [ValueError("this event"), Unavailable("away"), Unavailable("away"), Unavailable("away")]

    async def handle(item: RecordedEvent) -> None:
        if item.sequence == 1 and answers:
            raise answers.pop(0)
        taken.append(item.sequence)

    subscriber = Subscriber("taker", ("*",), handle, blocks=True, max_attempts=2)
    running = Dispatcher(outbox.platform, [subscriber], first_retry_seconds=0.01)
    outbox.happen("usr_1")
    outbox.happen("usr_1")
    await running.start()
    await outbox.until(lambda: taken == [1, 2])
    await outbox.until(lambda: waiting(outbox) == 0)
    await running.stop()
    assert answers == []


async def test_the_lag_of_a_consumer_that_is_no_more_is_not_shown(outbox: Outbox) -> None:
    with outbox.database.write() as connection:
        for consumer in ("taker", "webhook:whk_1", "redis:before"):
            deliveries.create_cursor(connection, consumer, 0)
    outbox.happen("usr_1")
    Dispatcher(outbox.platform, [Subscriber("taker", ("*",), Taker().handle)])
    displayed = {
        sample.labels["consumer"]
        for family in outbox.platform.part(Metrics).collect()
        for sample in family.samples
        if family.name.startswith("headwater_outbox_")
    }
    assert displayed == {"taker", "webhook:whk_1"}


async def test_two_dispatchers_do_not_deliver_twice_and_the_second_takes_over(outbox: Outbox) -> None:
    taker = Taker()
    subscriber = Subscriber("taker", ("*",), taker.handle)
    first, second = Dispatcher(outbox.platform, [subscriber]), Dispatcher(outbox.platform, [subscriber])
    await first.start()
    await second.start()
    for number in range(60):
        outbox.happen(f"usr_{number % 3}")
        await asyncio.sleep(0.005)
    # An event that was taken and whose cursor is not stored yet comes again: only what is settled comes once.
    await outbox.until(lambda: len(taker.taken) >= 60 and settled(outbox, 60))
    await first.stop()
    outbox.happen("late")
    await outbox.until(lambda: ("late", 61) in taker.taken)
    await second.stop()
    assert sorted(sequence for _, sequence in taker.taken) == list(range(1, 62))


async def test_only_new_events_if_so_declared(outbox: Outbox) -> None:
    taker = Taker()
    outbox.happen("old")
    running = Dispatcher(outbox.platform, [Subscriber("taker", ("*",), taker.handle, from_beginning=False)])

    def begun() -> bool:
        with outbox.database.read() as connection:
            return deliveries.cursor(connection, "taker") == 1

    await running.start()
    await outbox.until(begun)
    outbox.happen("new")
    await outbox.until(lambda: bool(taker.taken))
    await running.stop()
    assert taker.taken == [("new", 2)]


async def test_a_failed_try_of_a_consumer_that_was_removed_meanwhile_brings_it_not_back(outbox: Outbox) -> None:
    taker = Taker()
    taker.refuses = {"bad"}
    consumer = Consumer(outbox.platform, Subscriber("taker", ("*",), taker.handle))
    outbox.happen("bad")
    while await consumer.run():
        pass
    with outbox.database.write() as connection:
        (row,) = connection.execute(sa.select(OUTBOX_DELIVERY)).all()
        delivery = deliveries._delivery(row)
        deliveries.remove(connection, "taker")
    consumer._settle(delivery, "not now")
    assert waiting(outbox) == 0


async def test_a_failed_try_waits_longer_each_time_and_is_given_up_at_last(outbox: Outbox) -> None:
    taker = Taker()
    taker.refuses = {"bad"}
    subscriber = Subscriber("taker", ("*",), taker.handle, max_attempts=3)
    consumer = Consumer(outbox.platform, subscriber, first_retry_seconds=60)
    outbox.happen("bad")
    outbox.happen("bad")
    while await consumer.run():
        pass
    waits = []
    for attempt in (1, 2):
        with outbox.database.read() as connection:
            first = deliveries._delivery(
                connection.execute(sa.select(OUTBOX_DELIVERY).order_by(OUTBOX_DELIVERY.c.sequence)).first()
            )
        assert (first.attempts, first.state.value, first.last_error) == (attempt, "PENDING", "ValueError")
        waits.append((first.next_at - first.updated_at).total_seconds())
        await consumer.run()
        with later(seconds=waits[-1] - 5):
            await consumer.run()
        with outbox.database.read() as connection:
            same = connection.execute(sa.select(OUTBOX_DELIVERY.c.attempts).order_by(OUTBOX_DELIVERY.c.sequence))
            assert same.scalars().first() == attempt, "it is not its time yet"
        with later(hours=attempt):
            await consumer.run()
    assert 30 <= waits[0] <= 60 <= waits[1] <= 120
    assert dead(outbox) == [1]
    assert taker.taken == []


async def test_whoever_loses_the_lease_stops_its_consumers_at_once(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only consumers of the holder run: what another process delivers now is not delivered here as well."""
    monkeypatch.setattr(dispatcher, "POLL_SECONDS", 0.02)
    # A lease that is not renewed for long ends them as well; here only its loss may.
    monkeypatch.setattr(dispatcher, "_LEASE_SECONDS", 3600.0)
    reached, ended = asyncio.Event(), asyncio.Event()

    async def handle(item: RecordedEvent) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = Dispatcher(outbox.platform, [Subscriber("taker", ("*",), handle)])
    await running.start()
    outbox.happen("usr_1")
    await asyncio.wait_for(reached.wait(), 60)
    with outbox.database.write() as connection:
        far = clock.now() + timedelta(hours=1)
        connection.execute(leases.LEASE.update().values(holder="another process", expires_at=far))
    running._renewed = time.monotonic() - 5  # due for renewal, but not so long ago that it counts as lost by itself
    await asyncio.wait_for(ended.wait(), 60)
    assert running._running == {}
    await running.stop()
    assert leases.current_holder(outbox.database, dispatcher.LEASE_NAME) == "another process"
