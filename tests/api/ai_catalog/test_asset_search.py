"""Search over assets: words, facets, and counts, of what the caller can see."""

from __future__ import annotations

from typing import Any

import pytest

from api.services.ai_catalog.logic.search_documents import open_feed
from tests.api.admin.tenants import tenant
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node

pytestmark = pytest.mark.effect("ai_catalog_search_assets")


async def search(caller: Caller, **query: Any) -> dict[str, Any]:
    reply = await caller.get("ai-catalog/assets:search", params=query)
    assert reply.status == 200, reply.response.text
    return dict(reply.json)


async def ids(caller: Caller, **query: Any) -> list[str]:
    return [item["id"] for item in (await search(caller, **query))["items"]]


def counts(page: dict[str, Any], facet: str) -> dict[str, int]:
    return {one["value"]: one["count"] for one in page["facets"][facet]}


async def test_facets_narrow_the_assets_and_count_what_one_more_choice_adds(api: Api) -> None:
    page = await search(api.viewer, layer="gold")
    assert [item["id"] for item in page["items"]] == ["flights.gold.daily", "flights.gold.route_delays"]
    assert counts(page, "layer") == {"gold": 2, "bronze": 1, "silver": 1, "source": 1}
    assert counts(page, "health") == {"DEGRADED": 1, "UNKNOWN": 1}
    both = await search(api.viewer, layer=["gold", "bronze"], health=["DEGRADED", "HEALTHY"])
    assert [item["id"] for item in both["items"]] == ["flights.bronze.flights", "flights.gold.route_delays"]
    assert counts(both, "kind") == {"delta": 2, "csv": 1, "duckdb": 1}
    assert await ids(api.viewer, project="other") == []
    assert counts(await search(api.viewer, project="other"), "project") == {"flights": 5, "other": 0}


async def test_an_asset_tells_its_state_its_checks_and_its_tags(api: Api) -> None:
    tag = {"name": "reviewed", "organization_id": "default", "spec": {"title": "Reviewed"}}
    assert (await api.admin.post("ai-catalog/tags", tag)).status == 201
    (item,) = (await search(api.viewer, layer="silver"))["items"]
    assert (item["health"], item["staleness"]) == ("WARNING", "STALE")
    assert item["health_reasons"] == ["check plausible warns"]
    assert item["checks"] == {"PASSED": 1, "WARNED": 1}
    assert item["data_version"] == "def@4"


async def test_words_find_assets_by_their_texts_and_with_typos(api: Api) -> None:
    feed = api.app.platform.part(open_feed)
    feed.follow()
    assert await ids(api.viewer, q="delays") == ["flights.gold.route_delays"]
    page = await search(api.viewer, q="dleays")
    assert ([item["id"] for item in page["items"]], page["typos"]) == (["flights.gold.route_delays"], True)
    assert await ids(api.viewer, q="flights", layer="silver") == ["flights.silver.flights"]
    assert (await api.viewer.get("ai-catalog/assets:search", params={"q": "?!"})).status == 400


async def test_orders_begin_with_the_newest_or_with_what_needs_attention(api: Api) -> None:
    assert (await ids(api.viewer, sort_by="health"))[:2] == ["flights.gold.route_delays", "flights.silver.flights"]
    assert (await ids(api.viewer, sort_by="newest"))[0] == "flights.bronze.flights"


async def test_pages_hold_every_asset_once(api: Api) -> None:
    first = await search(api.viewer, page_size=3)
    assert (len(first["items"]), first["total"]) == (3, 5)
    rest = await search(api.viewer, page_size=3, page_token=first["next_page_token"])
    assert rest["next_page_token"] is None
    assert len({item["id"] for item in first["items"] + rest["items"]}) == 5
    other = {"page_token": first["next_page_token"], "layer": "gold"}
    assert (await api.viewer.get("ai-catalog/assets:search", params=other)).status == 400


async def test_another_organization_gets_its_own_assets_only(api: Api, orchestrator: FakeOrchestrator) -> None:
    north = await tenant(api, "north")
    assert await ids(north.admin) == []
    assert counts(await search(north.admin, q="flights"), "layer") == {}
    orchestrator.nodes["north_data.gold.sales"] = node("north_data.gold.sales")
    page = await search(north.admin)
    assert [item["id"] for item in page["items"]] == ["north_data.gold.sales"]
    assert counts(page, "project") == {"north_data": 1}
    assert page["total"] == 1
