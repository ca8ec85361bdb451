"""Definitions that online reads keep in memory are never older than a change of them or of the caller's rights."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from api.kernel.kinds.unit import Unit
from api.services.ai_catalog.logic.feature_views import open_online_store
from api.services.ai_catalog.logic.online_reads import OnlineReads
from core import clock
from core.errors import Unavailable
from features.embedded import EmbeddedStore
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.feature_store import TABLE, declared, opened, serve
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, Reply
from tests.sagas import later

FEAST = "/feast/flights/get-online-features"
FEATURES = {"features": ["spending:spent"], "entities": {"customer": [0]}}


@pytest.fixture
async def service(api: Api) -> str:
    tables = opened(api)
    serve(api, tables)
    return await declared(api)


async def both(caller: Caller, service: str) -> tuple[Reply, Reply]:
    """The answers of both doors to the same features."""
    body = {"entities": [{"customer": 0}]}
    return await caller.post(f"ai-catalog/feature-services/{service}:online-get", body), await caller.post(
        FEAST, FEATURES
    )


async def statuses(caller: Caller, service: str) -> set[int]:
    return {reply.status for reply in await both(caller, service)}


async def reader(api: Api, **options: Any) -> tuple[Caller, str]:
    """A user with a right to read the project, and the grant of it."""
    project = (await made(api.admin.get("admin/projects/flights")))["id"]
    given = await grant(api, await user(api, "reader"), "rol_viewer", project, **options)
    return api.caller("reader"), given


async def test_the_second_answer_needs_no_query(api: Api, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await statuses(api.viewer, service) == {200}

    def unexpected(*_: Any, **__: Any) -> None:
        raise AssertionError("a query for definitions")

    monkeypatch.setattr(Unit, "__init__", unexpected)
    assert await statuses(api.viewer, service) == {200}


async def test_a_changed_view_counts_at_once(api: Api, service: str) -> None:
    assert await statuses(api.viewer, service) == {200}
    await made(api.editor("PATCH", "ai-catalog/feature-views/spending", json={"spec": {"ttl_seconds": 1}}))
    rest, feast = await both(api.viewer, service)
    assert rest.json["views"][0]["statuses"] == feast.json["results"][1]["statuses"] == ["OUTSIDE_MAX_AGE"]
    await made(
        api.editor("PATCH", "ai-catalog/feature-views/spending", json={"spec": {"asset": "flights.bronze.flights"}})
    )
    assert await statuses(api.viewer, service) == {409}


async def test_a_changed_service_counts_at_once(api: Api, service: str) -> None:
    assert await statuses(api.viewer, service) == {200}
    views = [{"view_id": "spending", "features": ["visits"]}]
    await made(api.editor("PATCH", f"ai-catalog/feature-services/{service}", json={"spec": {"views": views}}))
    rest, _ = await both(api.viewer, service)
    assert [column["name"] for column in rest.json["columns"]] == ["visits"]
    assert (await api.editor("DELETE", f"ai-catalog/feature-services/{service}")).status == 204
    rest, feast = await both(api.viewer, service)
    assert (rest.status, feast.status) == (404, 200)


async def test_a_revoked_or_denied_right_ends_at_once(api: Api, service: str) -> None:
    caller, given = await reader(api)
    assert await statuses(caller, service) == {200}
    denied = await grant(api, "reader", "ai_catalog.asset.preview", TABLE, effect="DENY")
    assert await statuses(caller, service) == {403}
    assert (await api.admin("DELETE", f"admin/grants/{denied}")).status == 204
    assert await statuses(caller, service) == {200}
    assert (await api.admin("DELETE", f"admin/grants/{given}")).status == 204
    assert await statuses(caller, service) <= {403, 404}


@on_both
async def test_an_expired_right_ends_at_its_time(api: Api, service: str) -> None:
    caller, _ = await reader(api, expires_at=(clock.now() + timedelta(minutes=10)).isoformat())
    assert await statuses(caller, service) == {200}
    with later(minutes=11):
        assert await statuses(caller, service) <= {403, 404}


async def test_a_condition_is_evaluated_each_time(api: Api, service: str) -> None:
    caller, _ = await reader(api)
    await grant(
        api, "reader", "ai_catalog.feature_view.get", "flights", effect="DENY", condition="labels.secret == 'yes'"
    )
    assert await statuses(caller, service) == {200}
    await made(api.editor("PATCH", "ai-catalog/feature-views/spending", json={"labels": {"secret": "yes"}}))
    assert await statuses(caller, service) == {404}


async def test_nobody_gets_what_another_may_read(api: Api, service: str) -> None:
    other = await tenant(api, "other")
    assert await statuses(api.viewer, service) == {200}
    assert await statuses(other.admin, service) == {404}


async def test_a_read_that_would_wait_goes_to_a_thread(api: Api, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await statuses(api.viewer, service) == {200}
    reads = api.app.platform.part(OnlineReads)
    assert isinstance(reads._at_once, EmbeddedStore)

    def busy(*_: Any) -> None:
        raise Unavailable("busy")

    monkeypatch.setattr(reads._at_once, "read", busy)
    assert await statuses(api.viewer, service) == {200}
    monkeypatch.setattr(api.app.platform.part(open_online_store), "read", busy)
    assert await statuses(api.viewer, service) == {503}
