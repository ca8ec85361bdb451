"""Events reach their subscribers at least once, in the order of each subject, whatever fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.kernel.http.metrics import Metrics
from api.kernel.outbox import deliveries, dispatcher
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.outbox.tables import OUTBOX_DELIVERY, OUTBOX_SEEN
from api.kernel.sagas.runner import Runner
from core.errors import Unavailable
from core.events import Recorded
from tests import sagas
from tests.api.outbox.conftest import Outbox


class Taker:
    """Keeps what it is given; refuses subjects named in `refuses`."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.refuses: set[str] = set()

    async def handle(self, item: Recorded) -> None:
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

    async def handle(item: Recorded) -> None:
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
    await outbox.until(lambda: len(effects) >= 250)
    await asyncio.sleep(0.1)
    await second.stop()
    assert sorted(effects) == list(range(1, 251))
    with outbox.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(OUTBOX_SEEN)).scalar_one() == 250


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
    await outbox.until(lambda: len(taker.taken) == 3 and waiting(outbox) == 3)
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
    """Whoever commits them, in whatever thread, and though a consumer is under way."""
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

    async def handle(item: Recorded) -> None:
        if away and item.sequence > 3:
            raise Unavailable("The broker is away.")
        taken.append(item.sequence)

    subscriber = Subscriber("taker", ("*",), handle, waits=True, max_attempts=2)
    running = Dispatcher(outbox.platform, [subscriber], first_retry_seconds=0.01)
    for number in range(8):
        outbox.happen(f"usr_{number % 2}")
    await running.start()
    await outbox.until(lambda: "taker waits: The broker is away." in caplog.text)
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

    async def handle(item: Recorded) -> None:
        if item.sequence == 1 and answers:
            raise answers.pop(0)
        taken.append(item.sequence)

    subscriber = Subscriber("taker", ("*",), handle, waits=True, max_attempts=2)
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
            deliveries.begin(connection, consumer, 0)
    outbox.happen("usr_1")
    Dispatcher(outbox.platform, [Subscriber("taker", ("*",), Taker().handle)])
    shown = {
        sample.labels["consumer"]
        for family in outbox.platform.part(Metrics).collect()
        for sample in family.samples
        if family.name.startswith("headwater_outbox_")
    }
    assert shown == {"taker", "webhook:whk_1"}


async def test_two_dispatchers_do_not_deliver_twice_and_the_second_takes_over(outbox: Outbox) -> None:
    taker = Taker()
    subscriber = Subscriber("taker", ("*",), taker.handle)
    first, second = Dispatcher(outbox.platform, [subscriber]), Dispatcher(outbox.platform, [subscriber])
    await first.start()
    await second.start()
    for number in range(60):
        outbox.happen(f"usr_{number % 3}")
        await asyncio.sleep(0.005)
    await outbox.until(lambda: len(taker.taken) >= 60)
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
