"""Every door to rows obeys the rule for copies: closed before the owner of the source released the copy, then open.

The kind: a door that asks for the right on the copy and not for what it was copied from. The caller is an admin of the
project of the copies and has no right on the source.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pyarrow as pa
import pytest

from lakehouse import branch_records
from lakehouse.branches import BranchTables
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog import feature_store
from tests.api.ai_catalog.copied_tables import OTHER, PEOPLE, STAFF, id_of, make_copies, release, write
from tests.api.ai_catalog.provenance_tables import step
from tests.api.ai_catalog.sharing import Provider
from tests.api_process import Api, Caller, Reply
from tests.orchestration import FakeOrchestrator, node


@pytest.fixture
async def tables(api: Api, orchestrator: FakeOrchestrator) -> Tables:
    return await make_copies(api, orchestrator)


@pytest.fixture
async def gina(api: Api, tables: Tables) -> Caller:
    id = await user(api, "gina")
    await grant(api, id, "rol_admin", "flights", securable_kind="admin.project")
    await grant(api, id, "ai_catalog.attestation.*", "org_default")
    return api.caller("gina")


def part(name: str, **options: Any) -> Callable[[Caller], Awaitable[Reply]]:
    return lambda caller: caller.get(f"ai-catalog/assets/{STAFF}/{name}", **options)


def post(path: str, body: dict[str, Any]) -> Callable[[Caller], Awaitable[Reply]]:
    return lambda caller: caller.post(f"ai-catalog/{path}", body)


async def data_of(caller: Caller) -> Reply:
    datasets = (await made(caller.get("ai-catalog/datasets")))["items"]
    if not datasets:
        datasets = [await made(caller.post("ai-catalog/datasets", {"asset": STAFF, "title": "Staff"}))]
    return await caller.get(f"ai-catalog/datasets/{datasets[0]['id']}/data")


async def share(caller: Caller) -> Reply:
    shares = (await made(caller.get("ai-catalog/shares")))["items"]
    if not shares:
        body = {"name": "partners", "project_id": "flights", "spec": {"title": "Partners"}}
        shares = [await made(caller.post("ai-catalog/shares", body))]
    return await caller.post(f"ai-catalog/shares/{shares[0]['id']}:add-object", {"asset": STAFF})


DOORS: dict[str, Callable[[Caller], Awaitable[Reply]]] = {
    "preview": part("preview"),
    "preview of a version": part("preview", params={"version": "0"}),
    "preview in Arrow": part("preview", headers={"accept": "application/vnd.apache.arrow.stream"}),
    "export": part("export"),
    "profile": part("profile"),
    "difference": part("diff", params={"from": "0"}),
    "split": part("split", params={"split": "train", "by": ["name"]}),
    "data set": data_of,
    "query": post("queries:run", {"sql": f"SELECT max(salary) FROM {STAFF}"}),
    "attestation": post("attestations", {"asset": STAFF}),
    "contract": post("contracts", {"asset": STAFF, "contact": "team:hr", "terms": {}}),
    "share": share,
}


@pytest.mark.parametrize("door", DOORS)
async def test_a_door_is_closed_until_the_owner_releases_the_copy(
    api: Api, tables: Tables, gina: Caller, door: str
) -> None:
    write(tables, Lineage(api.database), STAFF, "run-2", name=[(PEOPLE, "name")], salary=[(PEOPLE, "salary")])
    refused = await DOORS[door](gina)
    assert (refused.status, b"secret of" in refused.response.content) == (403, False), refused.response.text
    assert PEOPLE not in refused.response.text
    await release(api, api.admin, PEOPLE, STAFF)
    opened = await DOORS[door](gina)
    assert opened.status in (200, 201), opened.response.text


async def test_a_branch_has_no_closed_copy(api: Api, tables: Tables, gina: Caller) -> None:
    async def versions(name: str) -> set[str]:
        body = {"project_id": "flights", "name": name}
        return set((await made(gina.post("ai-catalog/branches", body)))["versions"])

    assert STAFF not in await versions("closed")
    await release(api, api.admin, PEOPLE, "flights")
    assert STAFF in await versions("open")


async def test_a_definition_reads_no_closed_copy(api: Api, tables: Tables, gina: Caller) -> None:
    attributes = {"asset": "flights.gold.names", "sql": f"SELECT name FROM {STAFF}", "reads": [STAFF]}
    body = {"component": "SqlTransformComponent", "attributes": attributes}
    await made(gina.post("ai-catalog/definitions", body))
    path = "ai-catalog/definitions/flights.gold.names:publish"
    assert (await gina.post(path, {})).status == 422
    await release(api, api.admin, PEOPLE, STAFF)
    assert (await gina.post(path, {})).status == 200


async def test_a_share_ends_with_the_release(api: Api, tables: Tables, gina: Caller) -> None:
    one, provider = await release(api, api.admin, PEOPLE, STAFF), Provider(api)
    await provider.share("partners")
    await made(provider.on_share("partners", "add-object", {"asset": STAFF}, by=gina))
    client = await provider.client("acme", "partners")
    assert (await client.query("core/tables/staff")).status == 200
    await made(api.admin.post(f"ai-catalog/releases/{one['id']}:revoke", {}))
    assert (await client.query("core/tables/staff")).status == 404
    (shared,) = await provider.objects("partners")
    assert "can no longer read" in shared["problem"]


async def test_features_of_a_copy_are_closed(api: Api, orchestrator: FakeOrchestrator) -> None:
    tables, lineage, service = feature_store.opened(api), Lineage(api.database), await feature_store.declared(api)
    await made(api.admin.post("admin/projects", {"name": "hr", "spec": {"title": "People"}}))
    orchestrator.nodes[PEOPLE] = node(PEOPLE)
    people, served = write(tables, lineage, PEOPLE, name=[]), feature_store.serve(api, tables)
    (known,) = lineage.provenance(PEOPLE, people)
    copy: dict[str, Any] = {
        "out_asset": feature_store.TABLE,
        "out_version": served,
        "in_asset": PEOPLE,
        "in_version": people,
    }
    lineage.record([dataclasses.replace(known, **copy)])
    await grant(api, await user(api, "hal"), "rol_viewer", "flights", securable_kind="admin.project")
    hal, body = api.caller("hal"), {"entities": [{"customer": 0}]}
    online = f"ai-catalog/feature-services/{service}:online-get"
    historical = f"ai-catalog/feature-services/{service}:historical"
    then = body | {"at": ["2026-04-01T00:00:00Z"]}
    assert [(await hal.post(online, body)).status, (await hal.post(historical, then)).status] == [403, 403]
    await release(api, api.admin, PEOPLE, feature_store.TABLE)
    assert [(await hal.post(online, body)).status, (await hal.post(historical, then)).status] == [200, 200]


async def test_a_table_of_a_branch_is_a_copy_of_what_the_branch_read(
    api: Api, tables: Tables, gina: Caller, orchestrator: FakeOrchestrator
) -> None:
    """The lineage of a branch is in its commits only. Main has no version of the table, and so no source."""
    asset, lineage = "flights.gold.pay", Lineage(api.database)
    orchestrator.nodes[asset] = node(asset)
    body = {"project_id": "flights", "name": "trial"}
    id = (await made(api.admin.post("ai-catalog/branches", body)))["id"]
    row = branch_records.find(api.database, id)
    assert row is not None
    view = BranchTables(tables, branch_records.plan_of(row, OTHER, asset))
    view.start()
    for made_one, source in ((OTHER, PEOPLE), (asset, OTHER)):
        one = step(view, lineage, made_one, "run-b")
        one.read(source)
        one.overwrite(pa.table({"x": ["secret of run-b"]}), evolve_schema=True)
    produced = {asset: {"run": "run-b", "version": view.snapshot(asset).data_version, "checks": {}}}
    branch_records.record(api.database, id, produced | {OTHER: produced[asset]})
    doors = [
        f"ai-catalog/assets/{asset}/preview?branch={id}",
        f"ai-catalog/assets/{OTHER}/preview?branch={id}",
        f"ai-catalog/branches/{id}/diff?asset={OTHER}",
    ]
    query = {"sql": f"SELECT * FROM {asset}", "branch": id}
    await release(api, api.admin, PEOPLE, STAFF)
    refused = [await gina.get(door) for door in doors] + [await gina.post("ai-catalog/queries:run", query)]
    assert [one.status for one in refused] == [403] * 4, [one.response.text for one in refused]
    await release(api, api.admin, PEOPLE, "flights")
    opened = [await gina.get(door) for door in doors] + [await gina.post("ai-catalog/queries:run", query)]
    assert [one.status for one in opened] == [200] * 4, [one.response.text for one in opened]
    denial = {"securable_kind": "ai_catalog.asset", "effect": "DENY"}
    await grant(api, await id_of(api, "gina"), "ai_catalog.asset.preview", OTHER, **denial)
    assert (await gina.get(doors[0])).status == 403, "a table of the branch on the way is a source, too"
