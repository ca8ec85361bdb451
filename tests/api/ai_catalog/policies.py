"""A table with a secret column and secret rows, and policies on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from api.kernel.platform import open_tables
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api_process import Api, Caller

PEOPLE = "flights.silver.flights"
"""An asset of the fake orchestrator."""

ONLINE = "flights.gold.route_delays"
POLICIES = "ai-catalog/policies"
SECRETS = (b"secret-mail", b"secret-land", b"4242")
"""What must not be in any response to a restricted reader: values of the masked column, and the hidden row."""


def people(*extra: tuple[int, str, str]) -> pa.Table:
    rows = [
        (1, "secret-mail-ada", "DE"),
        (2, "secret-mail-ben", "DE"),
        (4242, "secret-mail-cay", "secret-land"),
        *extra,
    ]
    ids, mails, regions = zip(*rows, strict=True)
    seen = pa.array([datetime(2026, 3, 1, tzinfo=UTC)] * len(rows), pa.timestamp("us", "UTC"))
    columns = {"id": pa.array(ids, pa.int64()), "seen_at": seen, "mail": list(mails), "region": list(regions)}
    return pa.table(columns | {"visits": pa.array([float(id) for id in ids], pa.float64())})


@dataclass
class Office:
    """An organization whose admin `ada` is restricted by what the platform's admin makes."""

    api: Api
    tables: Tables
    ada: Caller
    ada_id: str
    admin_id: str

    async def policy(self, name: str = "mails", *, active: bool = True, **spec: Any) -> str:
        values = {"title": "Mails", "assets": ["flights.*.*"], "exempt": [self.admin_id]} | spec
        if "masks" not in spec and "row_filter" not in spec:
            values |= {"masks": [{"column": "MAIL", "method": "NULL"}], "row_filter": "region = 'DE'"}
        id = str((await made(self.api.admin.post(POLICIES, {"name": name, "spec": values})))["id"])
        if active:
            await made(self.api.admin.post(f"{POLICIES}/{id}:activate", {}))
        return id

    async def preview(self, caller: Caller | None = None) -> list[dict[str, Any]]:
        reply = await made((caller or self.ada).get(f"ai-catalog/assets/{PEOPLE}/preview"))
        return sorted(reply["rows"], key=lambda row: row["id"])


async def opened(api: Api) -> Office:
    """Creates the project, two versions of the table, and `ada`, who administers the organization."""
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    tables = api.app.platform.part(open_tables)
    tables.overwrite(PEOPLE, people())
    tables.append(PEOPLE, people((3, "secret-mail-dan", "DE")).slice(3))
    ada = await user(api, "ada")
    await grant(api, ada, "rol_admin", "default")
    admin = (await made(api.admin.get("admin/users/admin")))["id"]
    return Office(api, tables, api.caller("ada"), ada, admin)
