"""Kind of fault: a delivery that is still owed is purged, or one that is replayed begins with the tries of before."""

from __future__ import annotations

from datetime import timedelta

from api.kernel.outbox import deliveries
from api.kernel.outbox.deliveries import Delivery, DeliveryState
from core import clock
from tests.api.outbox.conftest import Outbox


def delivery(sequence: int, state: DeliveryState, age: timedelta) -> Delivery:
    at = clock.now() - age
    return Delivery("taker", sequence, f"subject-{sequence}", state, 7, at, "no answer", at)


async def test_a_purge_takes_old_dead_letters_and_nothing_that_is_owed(outbox: Outbox) -> None:
    old, young = deliveries.RETENTION + timedelta(hours=1), deliveries.RETENTION - timedelta(hours=1)
    with outbox.database.write() as connection:
        for sequence, age in ((1, old), (2, young)):
            deliveries.put(connection, delivery(sequence, DeliveryState.DEAD, age))
            deliveries.put(connection, delivery(sequence + 10, DeliveryState.PENDING, age))
        deliveries.purge(connection)
        assert [letter.sequence for letter in deliveries.dead_letters(connection, "taker")] == [2]
        assert [owed.sequence for owed in deliveries.due(connection, "taker", 9)] == [11, 12]


async def test_a_replay_makes_the_chosen_dead_letters_due_with_all_their_tries(outbox: Outbox) -> None:
    with outbox.database.write() as connection:
        for sequence in (1, 2):
            deliveries.put(connection, delivery(sequence, DeliveryState.DEAD, timedelta(days=1)))
        deliveries.put(connection, delivery(3, DeliveryState.PENDING, timedelta(days=1)))
        assert deliveries.replay(connection, "taker", [1, 3]) == 1
        due = [(owed.sequence, owed.attempts) for owed in deliveries.due(connection, "taker", 9)]
        assert due == [(1, 0), (3, 7)], "the one that was pending goes on as it was"
        assert [letter.sequence for letter in deliveries.dead_letters(connection, "taker")] == [2]
