"""Every event reaches a broker, in the order of its subject, whatever happens to the broker meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from cloudevents.core.base import BaseCloudEvent

from api.gateways.relays import kafka_topic
from api.gateways.relays.relay import Relay, open_relay
from api.kernel.breakers import BreakerState
from api.kernel.http.metrics import Metrics
from api.kernel.outbox import deliveries
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.outbox.tables import OUTBOX_DELIVERY
from core import events
from core.errors import Unavailable
from core.events import EVENT
from core.settings import Settings
from tests.api.outbox.conftest import Outbox
from tests.brokers import PASSWORD, Broker, Kafka, Redis

pytestmark = pytest.mark.slow
# What depends on the database is tested with the outbox itself.
on_sqlite = pytest.mark.parametrize("outbox", ["sqlite"], indirect=True)


def relay_to(broker: Broker, topic: str, **settings: object) -> Relay:
    made = open_relay(Settings(**{"events_url": broker.url, "events_topic": topic} | settings))  # type: ignore[arg-type]
    assert made is not None
    return made


def stored(outbox: Outbox) -> list[events.RecordedEvent]:
    with outbox.database.read() as connection:
        return [events.event_from_row(row) for row in connection.execute(sa.select(EVENT).order_by(EVENT.c.sequence))]


def by_subject(received: Iterable[BaseCloudEvent]) -> dict[str, list[str]]:
    """Ids of the events of each subject, in order, as a consumer sees them that skips what it has seen."""
    found: dict[str, list[str]] = defaultdict(list)
    for event in received:
        assert event.get_subject()
        if event.get_id() not in found[str(event.get_subject())]:
            found[str(event.get_subject())].append(event.get_id())
    return dict(found)


def expected(outbox: Outbox) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for item in stored(outbox):
        found[item.event.subject].append(item.event.id)
    return dict(found)


def behind(outbox: Outbox, relay: Relay) -> int:
    with outbox.database.read() as connection:
        known = deliveries.lag(connection).get(relay.subscriber.name)
    return known.events_behind if known else -1


def sample(outbox: Outbox, name: str, consumer: str) -> float:
    metrics = outbox.platform.part(Metrics)
    [value] = (
        sample.value
        for family in metrics.collect()
        for sample in family.samples
        if sample.name == name and sample.labels == {"consumer": consumer}
    )
    return value


@pytest.mark.parametrize(
    ("outbox", "broker"), [("sqlite", "redis"), ("sqlite", "kafka"), ("postgresql", "redis")], indirect=True
)
async def test_events_of_many_writers_arrive_once_and_in_the_order_of_their_subject(
    outbox: Outbox, broker: Broker, topic: str
) -> None:
    relay = relay_to(broker, topic)
    dispatcher = Dispatcher(outbox.platform, [relay.subscriber])
    await dispatcher.start()

    def write(writer: int) -> None:
        for number in range(40):
            outbox.happen(f"usr_{number % 7}", data={"writer": writer, "ä": number}, organization_id="org_1")
            dispatcher.wake()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(5) as threads:
        await asyncio.gather(*(loop.run_in_executor(threads, write, writer) for writer in range(5)))
    await outbox.until(lambda: behind(outbox, relay) == 0)
    await dispatcher.stop()
    await relay.stop()

    received = broker.read(topic)
    assert len(received) == 200
    assert by_subject(received) == expected(outbox)
    reported = {event.get_id(): event for event in received}
    for item in stored(outbox):
        attributes, wanted = reported[item.event.id].get_attributes(), item.to_cloudevent()
        assert reported[item.event.id].get_data() == wanted.pop("data")
        assert attributes.pop("time") == item.event.at
        assert attributes.pop("partitionkey", item.event.subject) == item.event.subject
        assert wanted.pop("time")
        assert attributes == wanted


@on_sqlite
async def test_a_broker_that_is_away_holds_events_back_and_gets_all_of_them(
    outbox: Outbox,
    broker: Broker,
    topic: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(kafka_topic, "_DELIVERY_SECONDS", 2.0)
    relay = relay_to(broker, topic)
    dispatcher = Dispatcher(outbox.platform, [relay.subscriber], first_retry_seconds=0.01)
    for number in range(5):
        outbox.happen(f"usr_{number}")
    await dispatcher.start()
    await outbox.until(lambda: behind(outbox, relay) == 0)
    caplog.clear()  # the first connection may have had to wait, too
    broker.kill()
    for number in range(300):
        outbox.happen(f"usr_{number % 5}")
    dispatcher.wake()
    await outbox.until(lambda: relay.dependency.state is BreakerState.OPEN)
    await asyncio.sleep(2.5)  # beyond the ten tries after which others give an event up
    name = relay.subscriber.name
    assert sample(outbox, "headwater_outbox_events_behind", name) == 300
    assert sample(outbox, "headwater_outbox_seconds_behind", name) > 2
    assert sample(outbox, "headwater_outbox_dead_letters", name) == 0
    with outbox.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(OUTBOX_DELIVERY)).scalar() == 0
    broker.start()
    await outbox.until(lambda: behind(outbox, relay) == 0)
    await outbox.until(lambda: f"{name} continues" in caplog.text)
    await dispatcher.stop()
    await relay.stop()
    assert by_subject(broker.read(topic)) == expected(outbox)
    reported = [record.getMessage() for record in caplog.records if record.name == "headwater.outbox"]
    assert [line for line in reported if line.startswith(f"{name} waits: ")][1:] == [], "it is told once"
    assert PASSWORD not in caplog.text


@on_sqlite
async def test_a_refused_password_is_told_and_not_shown(
    outbox: Outbox, broker: Broker, topic: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(kafka_topic, "_DELIVERY_SECONDS", 5.0)
    relay = relay_to(broker, topic, events_url=broker.url_with("hunter2-is-wrong"))
    outbox.happen("usr_1")
    dispatcher = Dispatcher(outbox.platform, [relay.subscriber])
    await dispatcher.start()
    await outbox.until(lambda: "waits" in caplog.text)
    await dispatcher.stop()
    await relay.stop()
    [line] = [record.getMessage() for record in caplog.records if "waits" in record.getMessage()]
    assert "refused the user and password" in line or "Authentication failed" in line
    assert behind(outbox, relay) == 1
    displayed = [caplog.text, repr(relay.__dict__), repr(relay.dependency.snapshot()), repr(relay.subscriber)]
    assert "hunter2" not in " ".join(displayed)


@on_sqlite
async def test_events_go_by_tls_to_a_broker_whose_certificate_is_trusted_and_to_no_other(
    outbox: Outbox, broker: Broker, topic: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_topic, "_DELIVERY_SECONDS", 5.0)
    outbox.happen("usr_1")
    stranger = relay_to(broker, topic, events_url=broker.tls_url())
    with pytest.raises(Unavailable, match=r"certificate verify failed|SSLCertVerificationError"):
        await stranger.subscriber.handle(stored(outbox)[0])
    await stranger.stop()
    monkeypatch.undo()
    relay = relay_to(broker, topic, events_url=broker.tls_url(f"ssl_ca_certs={broker.authority}"))
    await relay.subscriber.handle(stored(outbox)[0])
    await relay.stop()
    assert by_subject(broker.read(topic)) == expected(outbox)


@on_sqlite
async def test_what_a_broker_never_takes_does_not_hold_up_the_rest(outbox: Outbox, kafka: Kafka, topic: str) -> None:
    relay = relay_to(kafka, topic)
    few = replace(relay.subscriber, max_attempts=3)
    outbox.happen("usr_1", data={"large": "x" * 2_000_000})
    outbox.happen("usr_1")
    fine = outbox.happen("usr_2")
    dispatcher = Dispatcher(outbox.platform, [few], first_retry_seconds=0.01)
    await dispatcher.start()

    def letters() -> list[tuple[int, str]]:
        with outbox.database.read() as connection:
            found = deliveries.dead_letters(connection, relay.subscriber.name)
        return [(letter.sequence, letter.last_error) for letter in found]

    await outbox.until(lambda: letters() == [(1, "Kafka does not accept an event of this size.")])
    await outbox.until(lambda: behind(outbox, relay) == 0)
    await dispatcher.stop()
    await relay.stop()
    assert relay.dependency.state is BreakerState.CLOSED
    assert by_subject(kafka.read(topic)) == {"usr_1": [stored(outbox)[1].event.id], "usr_2": [fine.id]}


@on_sqlite
async def test_a_stream_of_redis_keeps_about_as_many_as_it_should(outbox: Outbox, redis: Redis, topic: str) -> None:
    relay = relay_to(redis, topic, events_kept=100)
    with outbox.database.write() as connection:
        events.append_all(connection, [events.Event("a.b.c", f"usr_{number}", "ada") for number in range(500)])
    dispatcher = Dispatcher(outbox.platform, [relay.subscriber])
    await dispatcher.start()
    await outbox.until(lambda: behind(outbox, relay) == 0)
    await dispatcher.stop()
    await relay.stop()
    remaining = [event.get_id() for event in redis.read(topic)]
    assert 100 <= len(remaining) < 300
    assert set(remaining) >= {item.event.id for item in stored(outbox)[-50:]}
