"""Backfills of feature views: which partitions they compute, and who may start them."""

from __future__ import annotations

import pytest

from core.runs import PartitionState
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.feature_store import ONLINE, TABLE, declared, opened
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node

BACKFILL = "ai-catalog/feature-views/spending:backfill"
STATES = {
    "2026-03-01": PartitionState.MATERIALIZED,
    "2026-03-02": PartitionState.FAILED,
    "2026-03-03": PartitionState.MISSING,
    "2026-03-04": PartitionState.FAILED,
}


@pytest.fixture
def tables(api: Api) -> Tables:
    return opened(api)


@pytest.fixture
async def days(api: Api, tables: Tables, orchestrator: FakeOrchestrator) -> FakeOrchestrator:
    """The view, whose table has four days."""
    await declared(api)
    orchestrator.nodes[TABLE] = node(TABLE, partitioned=True)
    orchestrator.partitions_of[TABLE] = STATES
    return orchestrator


@pytest.mark.effect("ai_catalog_backfill_feature_view")
@pytest.mark.parametrize(
    ("body", "chosen"),
    [
        ({}, [*STATES]),
        ({"first": "2026-03-02", "last": "2026-03-03"}, ["2026-03-02", "2026-03-03"]),
        ({"last": "2026-03-01"}, ["2026-03-01"]),
        ({"only": "FAILED"}, ["2026-03-02", "2026-03-04"]),
        ({"only": "FAILED", "first": "2026-03-03"}, ["2026-03-04"]),
        ({"only": "MISSING"}, ["2026-03-03"]),
    ],
)
async def test_a_backfill_computes_the_partitions_of_the_range(
    api: Api, days: FakeOrchestrator, body: dict[str, str], chosen: list[str]
) -> None:
    started = await api.editor.post(BACKFILL, body)
    assert (started.status, started.json["partitions"]) == (202, chosen)
    (launch,) = days.launches
    assert (set(launch.assets), list(launch.partitions)) == ({TABLE, ONLINE}, chosen)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"first": "2026-02-28"}, 422, "the first is 2026-03-01, and the last 2026-03-04"),
        ({"first": "2026-03-03", "last": "2026-03-02"}, 422, "before the first"),
        ({"only": "MISSING", "last": "2026-03-02"}, 409, "nothing to compute"),
    ],
)
async def test_a_range_without_partitions_is_refused(
    api: Api, days: FakeOrchestrator, body: dict[str, str], status: int, text: str
) -> None:
    refused = await api.editor.post(BACKFILL, body)
    assert (refused.status, text in refused.json["detail"]) == (status, True), refused.json
    assert days.launches == []


async def test_only_who_can_materialize_both_assets_can_backfill(api: Api, days: FakeOrchestrator) -> None:
    assert (await api.viewer.post(BACKFILL, {})).status == 403
    project = (await made(api.admin.get("admin/projects/flights")))["id"]
    await grant(api, await user(api, "reader"), "rol_viewer", project)
    assert (await api.caller("reader").post(BACKFILL, {})).status == 403
    assert days.launches == []


async def test_a_table_without_partitions_names_the_other_operation(
    api: Api, days: FakeOrchestrator, tables: Tables
) -> None:
    refused = await api.editor.post("ai-catalog/feature-views/spending:materialize", {})
    assert (refused.status, ":backfill" in refused.json["detail"]) == (409, True)
    days.nodes[TABLE] = node(TABLE)
    refused = await api.editor.post(BACKFILL, {})
    assert (refused.status, ":materialize" in refused.json["detail"]) == (409, True)


async def test_the_partitions_of_a_table_have_states(api: Api, days: FakeOrchestrator) -> None:
    found = await made(api.viewer.get(f"ai-catalog/assets/{TABLE}/partitions"))
    assert dict(zip(found["keys"], found["states"], strict=True)) == STATES
