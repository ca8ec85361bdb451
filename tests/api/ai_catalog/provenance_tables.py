"""Four tables in a row with recorded columns, and callers that see only a part of them."""

from __future__ import annotations

import pyarrow as pa

from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER, make_tables

DELAYS, DAILY = "flights.gold.route_delays", "flights.gold.daily"

PARTS = {
    "column-lineage": {},
    "impact": {},
    "as-of": {"at": "2100-01-01T00:00:00Z"},
    "explanation": {},
    "provenance-diff": {},
    "provenance-export": {},
}
"""Parts of an asset that tell its provenance, with the query that each needs."""


def step(tables: Tables, lineage: Lineage, asset: str, run: str, *, code: str = "1", principal: str = "editor") -> Step:
    return Step(
        tables,
        lineage,
        asset=asset,
        run=run,
        step="make",
        code_version=code,
        engine="test 1",
        principal=principal,
        params={"code": code},
    )


def make_provenance(api: Api) -> Tables:
    """The tables of `make_tables`, then silver again with recorded columns, and two tables that read it.

    Delays reads `id` of silver. Daily reads silver without a record of the columns.
    """
    tables, lineage = make_tables(api.app.platform.settings, api.database), Lineage(api.database)
    silver = step(tables, lineage, SILVER, "run-e", code="2")
    silver.read(BRONZE)
    silver.declare_columns({"id": [(BRONZE, "id")], "carrier": [(BRONZE, "carrier"), (BRONZE, "at")]})
    silver.overwrite(pa.table({"id": [1, 2, 5], "carrier": ["A", "X", "E"]}))
    delays = step(tables, lineage, DELAYS, "run-f")
    delays.read(SILVER, columns=["id"])
    delays.declare_columns({"route": [(SILVER, "id")], "kind": []})
    delays.overwrite(pa.table({"route": [1, 2], "kind": ["a", "b"]}))
    daily = step(tables, lineage, DAILY, "run-g", principal="viewer")
    daily.read(SILVER)
    daily.overwrite(pa.table({"day": [1]}))
    return tables


async def sees_only(api: Api, name: str, *assets: str) -> Caller:
    """A user who sees and reads these assets and nothing else."""
    id = await user(api, name)
    for asset in assets:
        await grant(api, id, "ai_catalog.asset.*", asset, securable_kind="ai_catalog.asset")
    return api.caller(name)


async def released(api: Api, asset: str, copies: str) -> None:
    """Lets every reader of copies of a table read them without the right to read the table."""
    project, _, _ = asset.partition(".")
    body = {"name": project, "spec": {"title": project}}
    assert (await api.admin.post("admin/projects", body)).status in (201, 409)
    await made(api.admin.post("ai-catalog/releases", {"asset": asset, "copies": copies, "reason": "Public."}))


def version(tables: Tables, asset: str, number: int) -> str:
    """The data version of a version number of an asset."""
    return f"{tables.snapshot(asset).table_id}@{number}"
