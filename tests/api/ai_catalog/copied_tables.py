"""People in a project of their own, and tables of another project that were copied from them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made
from tests.api.ai_catalog.provenance_tables import sees_only, step
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node

PEOPLE, STAFF, REPORT, OTHER = "hr.raw.people", "flights.core.staff", "flights.gold.report", "flights.raw.other"


async def make_copies(api: Api, orchestrator: FakeOrchestrator) -> Tables:
    """People, copied to staff, and from there to a report, without the salary."""
    for name in ("hr", "flights"):
        await made(api.admin.post("admin/projects", {"name": name, "spec": {"title": name}}))
    for name in (PEOPLE, STAFF, REPORT, OTHER):
        orchestrator.nodes[name] = node(name)
    tables, lineage = Tables.from_settings(api.app.platform.settings, api.database), Lineage(api.database)
    write(tables, lineage, PEOPLE, name=[], salary=[])
    write(tables, lineage, OTHER, x=[])
    write(tables, lineage, STAFF, name=[(PEOPLE, "name")], salary=[(PEOPLE, "salary")])
    write(tables, lineage, REPORT, who=[(STAFF, "name")])
    return tables


def write(tables: Tables, lineage: Lineage, asset: str, run: str = "run-1", **columns: list[tuple[str, str]]) -> str:
    """Writes a table whose columns have these sources. Returns the version."""
    one = step(tables, lineage, asset, run)
    for name in sorted({source for sources in columns.values() for source, _ in sources}):
        one.read(name)
    one.declare_columns(columns)
    rows = pa.table({name: [f"secret of {run}"] for name in columns})
    return one.overwrite(rows, evolve_schema=True).data_version


async def reads(caller: Caller, asset: str, **params: Any) -> bool:
    """Whether a caller gets the rows of an asset."""
    reply = await caller.get(f"ai-catalog/assets/{asset}/preview", params=params)
    assert reply.status in (200, 403), reply.response.text
    assert ("secret of" in reply.response.text) == (reply.status == 200)
    return reply.status == 200


async def release(api: Api, by: Caller, asset: str, copies: str, **fields: Any) -> dict[str, Any]:
    return await made(by.post("ai-catalog/releases", {"asset": asset, "copies": copies, "reason": "Agreed.", **fields}))


async def owner(api: Api, name: str, asset: str) -> Caller:
    """A user who owns one asset: reads it, releases it, and decides on requests for it."""
    caller = await sees_only(api, name, asset)
    for right in ("ai_catalog.release.*", "ai_catalog.access_request.*"):
        await grant(api, await id_of(api, name), right, asset, securable_kind="ai_catalog.asset")
    return caller


async def id_of(api: Api, name: str) -> str:
    """The id of a user."""
    page = await made(api.admin.get("admin/users", params={"filter": f'name == "{name}"'}))
    return str(page["items"][0]["id"])
