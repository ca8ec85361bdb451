"""Webhooks get the events of their scope, signed, and nothing is sent where it must not go."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from standardwebhooks import Webhook, WebhookVerificationError

from api.kernel.outbox import deliveries, webhook_sender, webhooks
from api.kernel.outbox.consumer import Consumer
from api.kernel.outbox.dispatcher import Dispatcher
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.outbox.tables import OUTBOX_CURSOR, OUTBOX_DELIVERY
from core import clock
from core.errors import InvalidPayload
from core.sealing import Sealer
from tests.api.outbox.conftest import Outbox
from tests.receiver import Receiver


def endpoint(outbox: Outbox, url: str, **options: Any) -> tuple[webhooks.WebhookEndpoint, str]:
    sealer = Sealer(outbox.platform.settings.keys_dir)
    with outbox.database.write() as connection:
        values = {"organization_id": "org_1", "url": url, "types": ["admin.*"]} | options
        return webhooks.create(connection, sealer, **values)


async def test_events_of_the_scope_arrive_signed(outbox: Outbox, receiver: Receiver) -> None:
    outbox.happen("before", organization_id="org_1")
    made, secret = endpoint(outbox, receiver.url, project_id="prj_1")
    assert secret not in made.secret
    dispatcher = Dispatcher(outbox.platform, private_webhooks=True)
    await dispatcher.start()
    outbox.happen("other organization", organization_id="org_2", project_id="prj_1")
    outbox.happen("other project", organization_id="org_1", project_id="prj_2")
    outbox.happen("no scope")
    outbox.happen("other type", "rag.index.created", organization_id="org_1", project_id="prj_1")
    event = outbox.happen("mine", organization_id="org_1", project_id="prj_1", data={"name": "Zoë"})
    await outbox.until(lambda: bool(receiver.requests))
    await dispatcher.stop()
    [(headers, body)] = receiver.requests
    assert Webhook(secret).verify(body, headers) == json.loads(body)
    assert json.loads(body) == event.to_cloudevent() | {"sequence": f"{6:020}"}
    assert headers["webhook-id"] == event.id
    assert headers["host"].startswith("localhost:")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"mine", b"more"), headers)


async def test_what_is_not_2xx_is_sent_again_under_the_same_id_and_redirects_are_not_followed(
    outbox: Outbox, receiver: Receiver
) -> None:
    endpoint(outbox, receiver.url)
    receiver.answers = [500, 307, 429]
    dispatcher = Dispatcher(outbox.platform, private_webhooks=True, first_retry_seconds=0.01)
    await dispatcher.start()
    event = outbox.happen("usr_1", organization_id="org_1")
    await outbox.until(lambda: len(receiver.requests) == 4)
    await dispatcher.stop()
    assert {headers["webhook-id"] for headers, _ in receiver.requests} == {event.id}


async def test_an_endpoint_may_be_unavailable_for_a_day(outbox: Outbox, receiver: Receiver) -> None:
    made, _ = endpoint(outbox, receiver.url)
    receiver.answers = [503] * webhook_sender.MAX_ATTEMPTS
    event = outbox.happen("usr_1", organization_id="org_1")
    sender = webhook_sender.WebhookSender(outbox.platform, private=True)
    [subscriber] = await sender.subscribers()
    consumer = Consumer(outbox.platform, subscriber)
    began = moment = clock.now()
    delays: list[float] = []
    clock.freeze(lambda: moment)
    try:
        await consumer.run()
        while (waiting := pending(outbox)) is not None:
            delays.append((waiting - moment).total_seconds())
            moment = waiting
            await consumer.run()
    finally:
        clock.freeze(None)
        await sender.close()
    assert moment - began >= timedelta(hours=24)
    assert len(receiver.requests) == webhook_sender.MAX_ATTEMPTS == len(delays) + 1
    assert {headers["webhook-id"] for headers, _ in receiver.requests} == {event.id}
    longest = webhook_sender.BACKOFF.maximum.total_seconds()
    growing = [delay for delay in delays if delay < longest / 2]
    assert growing == sorted(growing) == delays[: len(growing)]
    assert 0.5 <= delays[0] <= 1
    assert len({delay / longest for delay in delays[len(growing) :]}) > 1, "the delays are spread"
    with outbox.database.read() as connection:
        [letter] = deliveries.dead_letters(connection, made.consumer)
    assert (letter.attempts, "503" in letter.last_error) == (webhook_sender.MAX_ATTEMPTS, True)


def pending(outbox: Outbox) -> datetime | None:
    """The time of the next attempt, if a delivery is pending."""
    states = sa.select(OUTBOX_DELIVERY.c.next_at).where(OUTBOX_DELIVERY.c.state == "PENDING")
    with outbox.database.read() as connection:
        return connection.execute(states).scalar()


def test_other_subscribers_keep_the_short_schedule() -> None:
    default = Subscriber.__dataclass_fields__["backoff"].default
    attempts = Subscriber.__dataclass_fields__["max_attempts"].default
    assert sum(default.seconds(n) for n in range(1, attempts)) == 511
    assert default.seconds(100) == timedelta(hours=1).total_seconds()


async def test_gone_disables_the_endpoint(outbox: Outbox, receiver: Receiver) -> None:
    made, _ = endpoint(outbox, receiver.url)
    receiver.answers = [410]
    dispatcher = Dispatcher(outbox.platform, private_webhooks=True, first_retry_seconds=0.01)

    def state() -> webhooks.WebhookState:
        with outbox.database.read() as connection:
            return webhooks.get(connection, made.id).state

    await dispatcher.start()
    outbox.happen("usr_1", organization_id="org_1")
    await outbox.until(lambda: state() is webhooks.WebhookState.DISABLED)
    outbox.happen("missed", organization_id="org_1")
    with outbox.database.write() as connection:
        webhooks.enable(connection, made.id)
    outbox.happen("again", organization_id="org_1")
    await outbox.until(lambda: len(receiver.requests) == 2)
    await dispatcher.stop()
    assert json.loads(receiver.requests[1][1])["subject"] == "again"
    with outbox.database.write() as connection:
        webhooks.delete(connection, made.id)
        for table in (OUTBOX_CURSOR, OUTBOX_DELIVERY):
            owned = sa.select(table).where(table.c.consumer == made.consumer)
            assert connection.execute(owned).first() is None


async def test_private_addresses_are_not_reached_unless_allowed(outbox: Outbox, receiver: Receiver) -> None:
    made, secret = endpoint(outbox, receiver.url)
    dispatcher = Dispatcher(outbox.platform, first_retry_seconds=3600)

    def error() -> str:
        with outbox.database.read() as connection:
            row = connection.execute(sa.select(OUTBOX_DELIVERY)).mappings().first()
        return row["last_error"] if row else ""

    await dispatcher.start()
    outbox.happen("usr_1", organization_id="org_1")
    await outbox.until(lambda: "private address" in error())
    await dispatcher.stop()
    assert receiver.requests == []
    assert secret not in error()
    with outbox.database.read() as connection:
        assert deliveries.lag(connection)[made.consumer].events_behind == 1


@pytest.mark.parametrize("url", ["ftp://example.org", "https://", "https://ada:pw@example.org", "file:///etc/passwd"])
async def test_other_addresses_are_refused(outbox: Outbox, url: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        endpoint(outbox, url)
    assert url not in refused.value.detail
