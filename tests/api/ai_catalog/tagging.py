"""Tables with recorded columns, and requests that tag them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from api.kernel.platform import open_tables
from lakehouse.column_sources import Sources
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.admin.tenants import made
from tests.api.ai_catalog.provenance_tables import step
from tests.api_process import Api, Caller

BRONZE, SILVER = "flights.bronze.flights", "flights.silver.flights"
DELAYS, DAILY = "flights.gold.route_delays", "flights.gold.daily"


class Chain:
    """Bronze, silver, and two tables that read silver: delays records its columns, daily doesn't."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.tables: Tables = api.app.platform.part(open_tables)
        self.lineage = Lineage(api.database)
        self.runs = 0

    async def begin(self) -> None:
        await made(self.api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
        self.make(BRONZE, {}, id=[1], mail=["a@b.c"], carrier=["AA"])
        self.make_silver()
        self.make(DELAYS, {"route": [(SILVER, "id")], "host": [(SILVER, "domain")]}, SILVER, route=[1], host=["b.c"])
        self.make(DAILY, None, SILVER, day=[1])

    def make_silver(self, **further: list[tuple[str, str]]) -> None:
        sources = {"id": [(BRONZE, "id")], "domain": [(BRONZE, "mail")], **further}
        self.make(SILVER, sources, BRONZE, **{name: [1] for name in sources})

    def make(self, asset: str, sources: Sources | None, *inputs: str, **columns: list[Any]) -> None:
        self.runs += 1
        one = step(self.tables, self.lineage, asset, f"run-{self.runs}")
        for input in inputs:
            one.read(input)
        one.declare_columns(sources)
        one.overwrite(pa.table(columns), evolve_schema=True)


async def new_tag(by: Caller, name: str = "pii", **spec: Any) -> str:
    body = {"name": name, "spec": {"title": "Personal data", "values": ["email", "phone"], **spec}}
    return str((await made(by.post("ai-catalog/tags", body)))["id"])


def target(id: str, *columns: str) -> dict[str, Any]:
    return {"id": id, "columns": list(columns)}


async def tagged(by: Caller, tag: str, verb: str, *targets: dict[str, Any], **body: Any) -> dict[str, Any]:
    return await made(by.post(f"ai-catalog/tags/{tag}:{verb}", {"targets": list(targets), **body}))


async def tags(by: Caller, asset: str) -> set[str]:
    """The tags of an asset, such as `mail pii:email STATED`."""
    reply = await by.get(f"ai-catalog/assets/{asset}/tags")
    assert reply.status == 200, reply.response.text
    return {
        f"{one['column'] or '*'} {one['tag']}{':' + one['value'] if one['value'] else ''} {one['origin']}"
        for one in reply.json["items"]
    }
