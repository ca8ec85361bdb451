"""Tables from connections in runs that use the database and the keys of an API, as those of a platform do."""

from __future__ import annotations

import asyncio
from typing import Any

import dagster as dg
import sqlalchemy as sa

from assets.components import component
from core.settings import load_settings
from lakehouse.tables import Tables
from resources.delta import Delta
from tests import slices
from tests.api_process import Api
from tests.remote_postgresql import RemotePostgreSql

ASSET = "sales.bronze.orders"
ORDERS = (
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, amount numeric(10, 2), placed_at timestamptz)",
    "INSERT INTO public.orders VALUES (1, 9.50, '2026-01-01 08:00+01'), (2, NULL, NULL), (3, 0.05, '2026-01-02Z')",
    "GRANT SELECT ON public.orders TO PUBLIC",
)


def execute(remote: RemotePostgreSql, *statements: str) -> None:
    engine = sa.create_engine(remote.url, poolclass=sa.pool.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def definition(**source: Any) -> dict[str, Any]:
    """A definition of orders, by default of the whole table of the database."""
    origin = {} if "query" in source or "kind" in source else {"table": "public.orders"}
    return {
        "asset": ASSET,
        "description": "Orders of the shop.",
        "source": {"kind": "sql", "connection": "shop", **origin, **source},
        "checks": [{"unique": ["id"], "name": "one_row_per_order"}],
        "columns": {"id": "Number of the order."},
    }


def definitions(attributes: dict[str, Any]) -> dg.Definitions:
    """The asset of a definition, and what it needs."""
    built = dg.build_defs_for_component(component("DatasetComponent", attributes))
    extra = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
    return dg.Definitions.merge(built, extra)


async def run(
    instance: dg.DagsterInstance, columns: dict[str, Any] | None = None, **source: Any
) -> dg.ExecuteInProcessResult:
    """Materializes the asset with this source."""
    declared = definition(**source) | ({"columns": columns} if columns else {})
    return await asyncio.to_thread(slices.run, definitions(declared), instance)


def failure(result: dg.ExecuteInProcessResult) -> str:
    """The error of the step that failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    return (error.cause or error).message


def tables(api: Api) -> Tables:
    return Tables.from_settings(load_settings(), api.database)
