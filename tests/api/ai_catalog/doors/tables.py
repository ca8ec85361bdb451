"""The doors to a table: rows, queries, branches, contracts, and shares."""

from __future__ import annotations

import io
from typing import Any

import polars as pl

from api.kernel.platform import open_lineage
from lakehouse import branch_records
from lakehouse.branches import BranchTables
from tests.api.admin.tenants import made
from tests.api.ai_catalog.doors.door import ARROW, ASSET, COPY, PARQUET, Ask, asking, door, numbered
from tests.api.ai_catalog.policies import PEOPLE, Office, people
from tests.api.ai_catalog.provenance_tables import step


def _plain(name: str, of: str, method: str, path: str, body: Any = None, **options: Any) -> None:
    headers, decode = options.pop("headers", None), options.pop("decode", bytes)

    @door(name, of, **options)
    async def prepare(office: Office) -> Ask:
        return asking(method, path, body, headers, decode)


def as_text(parquet: bytes) -> bytes:
    """What a Parquet file says. Its bytes are compressed, so they would hide what it discloses."""
    return pl.read_parquet(io.BytesIO(parquet)).write_csv().encode()


SQL = {"sql": f"SELECT * FROM {PEOPLE}"}
_plain("preview", "ai_catalog_get_asset_preview", "GET", f"{ASSET}/preview", applies=True)
_plain("preview in Arrow", "ai_catalog_get_asset_preview", "GET", f"{ASSET}/preview", applies=True, headers=ARROW)
_plain("query", "ai_catalog_run_queries", "POST", "ai-catalog/queries:run", SQL, applies=True)
_plain("query in Arrow", "ai_catalog_run_queries", "POST", "ai-catalog/queries:run", SQL, applies=True, headers=ARROW)
IN_PARQUET = {"headers": PARQUET, "decode": as_text}
_plain("preview in Parquet", "ai_catalog_get_asset_preview", "GET", f"{ASSET}/preview", applies=True, **IN_PARQUET)
_plain("query in Parquet", "ai_catalog_run_queries", "POST", "ai-catalog/queries:run", SQL, applies=True, **IN_PARQUET)
_plain("export", "ai_catalog_get_asset_export", "GET", f"{ASSET}/export", applies=True, decode=as_text)
_plain("profile", "ai_catalog_get_asset_profile", "GET", f"{ASSET}/profile", applies=True)
_plain("difference", "ai_catalog_get_asset_diff", "GET", f"{ASSET}/diff", evidence=b"secret-mail-dan", applies=True)
_plain("split", "ai_catalog_get_asset_split", "GET", f"{ASSET}/split?split=train&by=seen_at")


@door("rows of a data set", "ai_catalog_get_dataset_data")
async def data(office: Office) -> Ask:
    described = await made(office.api.admin.post("ai-catalog/datasets", {"asset": PEOPLE, "title": "People"}))
    return asking("GET", f"ai-catalog/datasets/{described['id']}/data")


DIGEST = b'"sha256"'
PERSONAL = {"masks": [{"column": "MAIL", "method": "NULL"}], "row_filter": "region = 'DE'"}


@door("digest of the rows of a data set", "ai_catalog_get_dataset_croissant", DIGEST, applies=True, hides=PERSONAL)
async def croissant(office: Office) -> Ask:
    described = await made(office.api.admin.post("ai-catalog/datasets", {"asset": PEOPLE, "title": "People"}))
    return asking("GET", f"ai-catalog/datasets/{described['id']}/croissant")


async def _branch(office: Office) -> str:
    """A branch in which a step wrote the table again."""
    body = {"project_id": "flights", "name": "trial", "versions": {PEOPLE: "0"}}
    id = str((await made(office.api.admin.post("ai-catalog/branches", body)))["id"])
    row = branch_records.find(office.api.database, id)
    assert row is not None
    view = BranchTables(office.tables, branch_records.plan_of(row, PEOPLE))
    view.start()
    one = step(view, office.api.app.platform.part(open_lineage), PEOPLE, "run-b")
    one.overwrite(people((5, "secret-mail-eli", "DE")))
    produced = {PEOPLE: {"run": "run-b", "version": view.snapshot(PEOPLE).data_version, "checks": {}}}
    branch_records.record(office.api.database, id, produced)
    return id


@door("preview of a branch", "ai_catalog_get_asset_preview", b"secret-mail-eli", applies=True)
async def branch_preview(office: Office) -> Ask:
    return asking("GET", f"{ASSET}/preview?branch={await _branch(office)}")


@door("query of a branch", "ai_catalog_run_queries", b"secret-mail-eli", applies=True)
async def branch_query(office: Office) -> Ask:
    return asking("POST", "ai-catalog/queries:run", SQL | {"branch": await _branch(office)})


@door("difference of a branch", "ai_catalog_get_branch_diff", b"secret-mail-eli")
async def branch_diff(office: Office) -> Ask:
    return asking("GET", f"ai-catalog/branches/{await _branch(office)}/diff?asset={PEOPLE}")


@door("new branch", "ai_catalog_create_branch", PEOPLE.encode(), refusal=(404, "no asset"))
async def branch(office: Office) -> Ask:
    name = numbered()
    return asking(
        "POST",
        "ai-catalog/branches",
        lambda: {"project_id": "flights", "name": name("trial"), "versions": {PEOPLE: "0"}},
    )


@door("publication of a definition", "ai_catalog_publish_definition", COPY.encode(), refusal=(422, "reads"))
async def definition(office: Office) -> Ask:
    attributes = {"asset": COPY, "sql": f"SELECT * FROM {PEOPLE}", "reads": [PEOPLE]}
    body = {"component": "SqlTransformComponent", "attributes": attributes}
    await made(office.ada.post("ai-catalog/definitions", body))
    return asking("POST", f"ai-catalog/definitions/{COPY}:publish", {})


@door("state of a contract", "ai_catalog_get_contract_status", b"3 of 4 rows")
async def contract(office: Office) -> Ask:
    rule = {"name": "few", "range": {"column": "visits", "max": 1}}
    body = {"asset": PEOPLE, "contact": "team:data", "terms": {"rules": [rule]}}
    id = (await made(office.api.admin.post("ai-catalog/contracts", body)))["id"]
    return asking("GET", f"ai-catalog/contracts/{id}/status")


@door("new contract", "ai_catalog_create_contract", PEOPLE.encode())
async def new_contract(office: Office) -> Ask:
    return asking("POST", "ai-catalog/contracts?validate_only=true", {"asset": PEOPLE, "contact": "x", "terms": {}})
