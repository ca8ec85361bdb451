"""A backfill of a feature table in real Dagster processes: its progress, the days that fail, and their retry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from api.gateways.dagster.client import DagsterClient
from api.gateways.dagster.orchestrator import DagsterOrchestrator
from core.db import Database
from core.errors import Unavailable
from core.runs import BackfillState, Launch, PartitionState, RunStatus
from features.encoding import key_bytes
from features.online import open_store
from lakehouse.tables import Tables
from tests.dagster_processes import DagsterProcesses
from tests.databases import with_tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ORDERS, FEATURES, ONLINE = "shop.silver.orders", "shop.features.orders", "shop.online.orders"
PROJECT = """
import dagster as dg
from assets.features.component import FeatureViewComponent
from assets.features.online import OnlineFeaturesComponent
from resources.delta import Delta

orders = FeatureViewComponent.model_validate({
    "asset": "shop.features.orders",
    "description": "Orders.",
    "partitions": {"start": "2026-03-01", "end": "2026-03-03"},
    "point_in_time": {"instants": 1},
    "sources": {"orders": {
        "table": "shop.silver.orders", "columns": ["customer", "ordered_at"], "facts": {"paid_at": ["amount"]},
    }},
    "entity": {"source": "orders", "timestamp": "ordered_at", "columns": {"customer": "customer"}},
    "groups": [{
        "kind": "window", "name": "spent", "source": "orders", "at": "ordered_at", "by": ["customer"],
        "span": "day", "features": {"spent": "SUM(amount)"},
    }],
})
online = OnlineFeaturesComponent.model_validate({
    "asset": "shop.online.orders", "description": "Online.", "table": "shop.features.orders", "keys": ["customer"],
    "features": ["spent"],
})
defs = dg.Definitions.merge(
    dg.build_defs_for_component(orders),
    dg.build_defs_for_component(online),
    dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor),
)
"""


def orders(*, paid_late: bool) -> pl.DataFrame:
    """Two orders a day. Those of the second day may be paid a day later, which the view does not declare."""
    at = [datetime(2026, 3, day, hour, tzinfo=UTC) for day in (1, 2, 3) for hour in (10, 11)]
    late = pl.duration(days=pl.when(paid_late & (pl.col("ordered_at").dt.day() == 2)).then(1).otherwise(0))
    rows = pl.DataFrame({"customer": ["ann"] * 6, "ordered_at": pl.Series(at, dtype=pl.Datetime("us", "UTC"))})
    return rows.with_columns(paid_at=pl.col("ordered_at") + late, amount=pl.lit(1.0))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[DagsterProcesses]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "orders_project.py").write_text(PROJECT)
    processes = DagsterProcesses(tmp_path / "home", {"flights": "orders_project"}, code=code)
    with_tables(processes.settings.effective_database_url)
    with processes:
        yield processes


@pytest.fixture
async def gateway(processes: DagsterProcesses) -> AsyncIterator[DagsterOrchestrator]:
    orchestrator = DagsterOrchestrator(DagsterClient.from_settings(processes.settings))
    await orchestrator.start()
    await _until(lambda: _knows(orchestrator), "the graph")
    yield orchestrator
    await orchestrator.stop()


def _knows(orchestrator: DagsterOrchestrator) -> bool:
    try:
        return set(orchestrator.view().nodes) >= {FEATURES, ONLINE}
    except Unavailable:
        return False


async def _until(holds: Callable[[], bool], awaited: str) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, f"waited for {awaited}"
        await asyncio.sleep(0.1)


async def _ended(gateway: DagsterOrchestrator, id: str | None) -> BackfillState:
    assert id
    deadline = time.monotonic() + 240
    while not (state := await gateway.backfill(id)) or not state.status.final:
        assert time.monotonic() < deadline, state
        await asyncio.sleep(0.5)
    return state


async def test_failed_days_are_computed_again_and_then_served(
    gateway: DagsterOrchestrator, processes: DagsterProcesses
) -> None:
    settings = processes.settings
    tables = Tables.from_settings(settings, Database(settings.effective_database_url))
    tables.overwrite(ORDERS, orders(paid_late=True))
    days = tuple(await gateway.partitions(FEATURES))
    assert days == ("2026-03-01", "2026-03-02", "2026-03-03")
    assert set((await gateway.partition_states(FEATURES)).values()) == {PartitionState.MISSING}

    launched = await gateway.launch(Launch((FEATURES, ONLINE), partitions=days))
    state = await _ended(gateway, launched.backfill)
    assert state.status is RunStatus.FAILED
    states = await gateway.partition_states(FEATURES)
    assert states[days[0]] is PartitionState.MATERIALIZED
    assert states[days[1]] is PartitionState.FAILED
    assert [one.day for one in _predicted(tables)] == [1, 1, 3, 3]
    store = open_store(settings)
    assert store.served(ONLINE) is None, "nothing is served of a table whose days failed"

    tables.overwrite(ORDERS, orders(paid_late=False))
    failed = tuple(day for day, one in states.items() if one is PartitionState.FAILED)
    (run,) = (await gateway.launch(Launch((FEATURES, ONLINE), partitions=failed))).runs
    deadline = time.monotonic() + 120
    while not (one := (await gateway.runs([run]))[run]).status.final:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert (await gateway.outcome(one)).error is None
    assert set((await gateway.partition_states(FEATURES)).values()) == {PartitionState.MATERIALIZED}
    assert [one.day for one in _predicted(tables)] == [1, 1, 2, 2, 3, 3]
    found = store.read(ONLINE, [key_bytes(["ann"])])
    store.close()
    assert found
    assert found.served.data_version == tables.snapshot(FEATURES).data_version


def _predicted(tables: Tables) -> list[datetime]:
    return tables.snapshot(FEATURES).scan().collect()["predicted_at"].sort().to_list()
