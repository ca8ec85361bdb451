"""Webhook endpoints over REST: what arrives outside, what does not, and what is sent again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from api.kernel.http.trace_context import trace_of
from api.kernel.outbox import consumer
from core import clock
from core.events import verify_chain
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator
from tests.receiver import Receiver, receiving

PATH = "admin/webhook-endpoints"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    """The receiver is on loopback, so this platform allows private addresses."""
    async with running(
        tmp_path, FakeOrchestrator(), database_url=database_url, HEADWATER_PRIVATE_SOURCES="true"
    ) as started:
        yield started


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
async def acme(api: Api) -> Tenant:
    return await tenant(api, "acme")


async def endpoint(acme: Tenant, url: str, **spec: Any) -> str:
    body = {"name": "hook", "spec": {"url": url, "types": ["admin.group.*"], **spec}}
    return str((await made(acme.admin.post(PATH, body)))["id"])


async def group(acme: Tenant, name: str) -> str:
    return str((await made(acme.admin.post("admin/groups", {"name": name, "spec": {"title": name}})))["id"])


async def eventually(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(60):
        while not (found := condition()):
            await asyncio.sleep(0.02)
    return found


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in receiver.requests]


@on_both
@pytest.mark.effect("admin_rotate_secret_webhook_endpoint")
async def test_events_of_the_organization_arrive_signed_with_the_secret_shown(
    api: Api, acme: Tenant, receiver: Receiver
) -> None:
    await group(acme, "before")
    id = await endpoint(acme, receiver.url)
    secret = (await made(acme.admin.post(f"{PATH}/{id}:rotate-secret")))["secret"]
    owned = await group(acme, "mine")
    await made(api.admin.post("admin/groups", {"name": "foreign", "spec": {"title": "Foreign"}}))
    await eventually(lambda: receiver.requests)
    await group(acme, "last")
    await eventually(lambda: len(receiver.requests) == 2)
    assert [body["type"] for body in bodies(receiver)] == ["admin.group.created"] * 2
    assert bodies(receiver)[0]["subject"] == owned
    headers, body = receiver.requests[0]
    assert Webhook(secret).verify(body, headers)
    rotated = await made(acme.admin.post(f"{PATH}/{id}:rotate-secret", {"overlap_seconds": 0}))
    other = rotated["secret"]
    assert rotated["former_until"] is None
    await group(acme, "after")
    await eventually(lambda: len(receiver.requests) == 3)
    headers, body = receiver.requests[2]
    assert Webhook(other).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)
    for answer in (await acme.admin.get(f"{PATH}/{id}"), await acme.admin.get(PATH)):
        assert secret not in answer.response.text
        assert other not in answer.response.text
    assert secret not in str(api.events())


async def test_an_event_stays_in_the_trace_of_the_request_that_caused_it(
    api: Api, acme: Tenant, receiver: Receiver
) -> None:
    await endpoint(acme, receiver.url)
    body = {"name": "traced", "spec": {"title": "Traced"}}
    traced = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=secret"}
    await made(acme.admin.post("admin/groups", body, headers=traced))
    await eventually(lambda: receiver.requests)
    await group(acme, "untraced")
    await eventually(lambda: len(receiver.requests) == 2)
    (headers, _), (others, _) = receiver.requests
    event, other = bodies(receiver)
    version, trace, span, flags = headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != PARENT
    assert event["traceparent"] == headers["traceparent"]
    assert "secret" not in str(receiver.requests), "what callers tell their own systems is not for receivers"
    assert "traceparent" not in others | other
    with api.database.read() as connection:
        assert verify_chain(connection) is None


@pytest.mark.parametrize(("ago", "signs"), [(timedelta(hours=23), True), (timedelta(hours=24, seconds=1), False)])
async def test_the_former_secret_signs_too_for_a_day_after_a_rotation(
    acme: Tenant, receiver: Receiver, ago: timedelta, signs: bool
) -> None:
    id = await endpoint(acme, receiver.url)
    first = (await made(acme.admin.post(f"{PATH}/{id}:rotate-secret")))["secret"]
    clock.freeze(lambda: datetime.now(UTC) - ago)
    try:
        rotated = await made(acme.admin.post(f"{PATH}/{id}:rotate-secret"))
    finally:
        clock.freeze(None)
    assert (datetime.fromisoformat(rotated["former_until"]) > datetime.now(UTC)) is signs
    await group(acme, "after")
    [(headers, body)] = await eventually(lambda: receiver.requests)
    assert Webhook(rotated["secret"]).verify(body, headers)
    assert len(headers["webhook-signature"].split(" ")) == 1 + signs
    with contextlib.nullcontext() if signs else pytest.raises(WebhookVerificationError):
        assert Webhook(first).verify(body, headers)


@pytest.mark.effect("admin_disable_webhook_endpoint", "admin_enable_webhook_endpoint")
async def test_a_disabled_one_misses_what_happens_until_it_is_enabled(acme: Tenant, receiver: Receiver) -> None:
    id = await endpoint(acme, receiver.url)
    await made(acme.admin.post(f"{PATH}/{id}:disable"))
    await group(acme, "missed")
    await made(acme.admin.post(f"{PATH}/{id}:enable"))
    seen = await group(acme, "seen")
    await eventually(lambda: receiver.requests)
    assert [body["subject"] for body in bodies(receiver)] == [seen]


@on_both
async def test_a_changed_one_gets_what_it_asks_for_now_and_a_deleted_one_nothing(
    acme: Tenant, receiver: Receiver
) -> None:
    id = await endpoint(acme, "http://localhost:9/nowhere", types=["admin.role.*"])
    change = {"spec": {"url": receiver.url, "types": ["admin.group.deleted"]}}
    await made(acme.admin("PATCH", f"{PATH}/{id}", json=change))
    first, second = await group(acme, "first"), await group(acme, "second")
    assert (await acme.admin("DELETE", f"admin/groups/{first}")).status == 204
    await eventually(lambda: receiver.requests)
    assert [body["subject"] for body in bodies(receiver)] == [first]
    assert (await acme.admin("DELETE", f"{PATH}/{id}")).status == 204
    assert (await acme.admin("DELETE", f"admin/groups/{second}")).status == 204
    await made(acme.admin.post(f"{PATH}/{id}:restore"))
    await made(acme.admin.post(f"admin/groups/{second}:restore"))
    assert (await acme.admin("DELETE", f"admin/groups/{second}")).status == 204
    await eventually(lambda: len(receiver.requests) > 1)
    assert [body["subject"] for body in bodies(receiver)] == [first, second]


@on_both
@pytest.mark.effect("admin_redeliver_webhook_endpoint", "admin_get_webhook_endpoint_deliveries")
async def test_what_was_given_up_is_shown_and_sent_again(
    api: Api, acme: Tenant, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second try comes an hour later and so not while this test changes the row of the delivery.
    monkeypatch.setattr(consumer, "random", SimpleNamespace(uniform=lambda low, high: 3600.0))
    id = await endpoint(acme, receiver.url)
    receiver.answers = [500] * 30
    lost = await group(acme, "lost")
    async with asyncio.timeout(60):
        while not (items := (await made(acme.admin.get(f"{PATH}/{id}/deliveries")))["items"]):
            await asyncio.sleep(0.05)
    assert [(item["subject"], item["type"]) for item in items] == [(lost, "admin.group.created")]
    assert items[0]["last_error"] == "The webhook endpoint responded with 500. It must respond with 2xx."
    metrics = (await api.admin.http.get("/metrics")).text
    assert f'headwater_outbox_events_behind{{consumer="webhook:{id}"}} 1.0' in metrics
    # Ten tries take hours: given up as the dispatcher does at the last of them.
    from api.kernel.outbox.tables import OUTBOX_DELIVERY

    with api.database.write() as connection:
        connection.execute(OUTBOX_DELIVERY.update().values(state="DEAD"))
    metrics = (await api.admin.http.get("/metrics")).text
    assert f'headwater_outbox_dead_letters{{consumer="webhook:{id}"}} 1.0' in metrics
    receiver.answers.clear()
    tried = len(receiver.requests)
    assert (await made(acme.admin.post(f"{PATH}/{id}:redeliver", {"sequences": [1]})))["count"] == 0
    assert (await made(acme.admin.post(f"{PATH}/{id}:redeliver", {})))["count"] == 1
    await eventually(lambda: len(receiver.requests) > tried)
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1
    async with asyncio.timeout(60):
        while (await made(acme.admin.get(f"{PATH}/{id}/deliveries")))["items"]:
            await asyncio.sleep(0.05)
        # The redelivery was an event, too, and the cursor has to come past it.
        lag = f'headwater_outbox_events_behind{{consumer="webhook:{id}"}}'
        while f"{lag} 0.0" not in (await api.admin.http.get("/metrics")).text:
            await asyncio.sleep(0.05)


@pytest.mark.effect("admin_test_webhook_endpoint")
async def test_a_trial_says_what_is_wrong(acme: Tenant, receiver: Receiver) -> None:
    id = await endpoint(acme, receiver.url)
    assert (await made(acme.admin.post(f"{PATH}/{id}:test")))["problem"] is None
    assert [body["type"] for body in bodies(receiver)] == ["admin.webhook_endpoint.test"]
    [(headers, _)] = receiver.requests
    assert trace_of({"headers": [(b"traceparent", headers["traceparent"].encode())]}).parent_id
    receiver.answers = [404]
    problem = (await made(acme.admin.post(f"{PATH}/{id}:test")))["problem"]
    assert problem == "The webhook endpoint responded with 404. It must respond with 2xx."


async def test_one_that_says_it_is_gone_is_disabled(api: Api, acme: Tenant, receiver: Receiver) -> None:
    id = await endpoint(acme, receiver.url)
    receiver.answers = [410]
    await group(acme, "one")
    async with asyncio.timeout(60):
        while (found := await made(acme.admin.get(f"{PATH}/{id}")))["status"]["state"] == "ACTIVE":
            await asyncio.sleep(0.05)
    assert found["version"] == 2
    await group(acme, "two")
    await made(acme.admin.post(f"{PATH}/{id}:enable"))
    three = await group(acme, "three")
    await eventually(lambda: len(receiver.requests) > 1)
    assert bodies(receiver)[1]["subject"] == three


async def test_of_a_project_only_and_only_by_who_may_read_it(api: Api, acme: Tenant, receiver: Receiver) -> None:
    id = await endpoint(acme, receiver.url, types=["*"], project_id=acme.project)
    await group(acme, "outside")
    body = {"name": "robot", "project_id": acme.project, "spec": {}}
    robot = (await made(acme.admin.post("admin/service-accounts", body)))["id"]
    await eventually(lambda: receiver.requests)
    assert {body["projectid"] for body in bodies(receiver)} == {acme.project}
    assert bodies(receiver)[0]["subject"] == robot
    foreign = (await made(api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    reply = await acme.admin("PATCH", f"{PATH}/{id}", json={"spec": {"project_id": foreign}})
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/spec/project_id")
    # Who may make endpoints but not read the audit trail would read it by them.
    ada = await user(api, "ada", acme.organization)
    await grant(api, ada, "admin.webhook_endpoint.*", acme.organization)
    await grant(api, ada, "admin.organization.get", acme.organization)
    caller = api.caller("ada")
    body = {"name": "sly", "spec": {"url": receiver.url}}
    assert (await caller.post(PATH, body)).status == 403
    await grant(api, ada, "admin.audit_event.get", acme.organization)
    assert (await caller.post(PATH, body)).status == 201
    await caller.http.aclose()


@pytest.mark.parametrize("url", ["ftp://example.org", "https://u:p@example.org", "https://", "file:///etc/passwd", "x"])
async def test_no_address_of_another_kind(acme: Tenant, url: str) -> None:
    reply = await acme.admin.post(PATH, {"name": "hook", "spec": {"url": url}})
    assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/spec/url")


async def test_private_addresses_get_nothing_unless_they_are_allowed(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path, FakeOrchestrator()) as api:
        acme = await tenant(api, "acme")
        id = await endpoint(acme, receiver.url)
        problem = (await made(acme.admin.post(f"{PATH}/{id}:test")))["problem"]
        assert problem.startswith("The webhook endpoint has a private address.")
        assert receiver.requests == []
