"""Materializations of one asset, and what is seen of their operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator

ASSET = "flights.gold.route_delays"


async def materialize(caller: Caller, asset: str = ASSET, **body: Any) -> dict[str, Any]:
    reply = await caller.post(f"ai-catalog/assets/{asset}:materialize", body)
    assert reply.status == 202, reply.json
    assert reply.headers["location"] == f"/api/v1/operations/{reply.json['id']}"
    operation: dict[str, Any] = reply.json
    return operation


async def seen(api: Api, id: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            operation: dict[str, Any] = (await api.viewer.get(f"operations/{id}")).json
            if holds(operation):
                return operation
            await asyncio.sleep(0.05)


async def refused(orchestrator: FakeOrchestrator) -> None:
    """Waits until a launch has been refused."""
    async with asyncio.timeout(60):
        while not orchestrator.refused:
            await asyncio.sleep(0.02)


def rows(api: Api, table: sa.Table) -> list[dict[str, Any]]:
    with api.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]
