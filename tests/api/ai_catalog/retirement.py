"""Definitions that are created, published, and retired over REST, for the tests of their life."""

from __future__ import annotations

from typing import Any

from tests.api.admin.tenants import made
from tests.api_process import Caller, Reply
from tests.orchestration import FakeOrchestrator, node

ID = "flights.gold.busiest"
OTHER = "flights.gold.other"
SWITCHES = ("start", "stop")
PATH = f"ai-catalog/definitions/{ID}"


async def create(caller: Caller, asset: str = ID, **attributes: Any) -> Reply:
    body = {"component": "SqlTransformComponent", "attributes": {"asset": asset, "sql": "SELECT 1", **attributes}}
    return await caller.post("ai-catalog/definitions", body)


async def live(caller: Caller, orchestrator: FakeOrchestrator, asset: str = ID, **attributes: Any) -> None:
    """A published definition and the asset it makes."""
    await made(create(caller, asset, **attributes))
    await made(caller.post(f"ai-catalog/definitions/{asset}:publish"))
    kinds = tuple(attributes.get("kinds", ("delta",)))
    orchestrator.nodes[asset] = node(asset, attributes.get("reads", ()), location="published", kinds=kinds)


async def retire(caller: Caller, asset: str = ID) -> dict[str, Any]:
    return await made(caller.post(f"ai-catalog/definitions/{asset}:retire"))


async def listed(caller: Caller, path: str, **query: Any) -> list[str]:
    return [item["id"] for item in (await caller.get(path, params=query)).json["items"]]
