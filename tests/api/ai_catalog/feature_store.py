"""A feature view over a table of the fake orchestrator, with the online rows that the online asset would write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from api.services.ai_catalog.logic.feature_views import open_online_store
from core import clock
from features.online import serving
from features.rows import ViewColumns, microseconds, read_rows
from lakehouse.tables import Tables
from tests.api.admin.tenants import made
from tests.api_process import Api

TABLE, ONLINE = "flights.silver.flights", "flights.gold.route_delays"
"""Assets of the fake orchestrator, of which the one follows the other."""
START = datetime(2026, 3, 1, tzinfo=UTC)
ENTITY = {"title": "Customer", "keys": [{"name": "customer", "type": "INTEGER"}]}
SPEC = {
    "title": "Spending",
    "entity_id": "customer",
    "asset": TABLE,
    "online_asset": ONLINE,
    "keys": {"customer": "customer_id"},
    "timestamp": "seen_at",
}


def content(*spent: float | None, hours: int = 0) -> pa.Table:
    seen_at = [START + timedelta(hours=hours)] * len(spent)
    return pa.table(
        {
            "customer_id": pa.array(range(len(spent)), pa.int64()),
            "seen_at": pa.array(seen_at, pa.timestamp("us", "UTC")),
            "spent": pa.array(spent, pa.float64()),
            "visits": pa.array([2**53 + 1] * len(spent), pa.int64()),
        }
    )


def serve(api: Api, tables: Tables, version: int | None = None) -> str:
    """Writes the online rows as the online asset does."""
    snapshot = tables.snapshot(TABLE, version=version)
    columns = ViewColumns(("customer_id",), "seen_at", ("spent", "visits"))
    served = serving(
        read_rows(snapshot, columns),
        table=TABLE,
        table_id=snapshot.table_id,
        table_version=snapshot.version,
        as_of=microseconds(clock.now()),
    )
    assert api.app.platform.part(open_online_store).write(ONLINE, served.served, served.batches)
    return snapshot.data_version


def opened(api: Api) -> Tables:
    """The tables, with the first version of that of the view."""
    tables = Tables.from_settings(api.app.platform.settings, api.database)
    tables.overwrite(TABLE, content(1.0, float("nan"), None))
    return tables


async def declared(api: Api) -> str:
    """The id of a service with the view, in a new project."""
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    place = {"project_id": "flights"}
    await made(api.editor.post("ai-catalog/entities", {"name": "customer", "spec": ENTITY, **place}))
    await made(api.editor.post("ai-catalog/feature-views", {"name": "spending", "spec": SPEC, **place}))
    spec = {"title": "Churn", "views": [{"view_id": "spending"}]}
    service = await made(api.editor.post("ai-catalog/feature-services", {"name": "churn", "spec": spec, **place}))
    return str(service["id"])
