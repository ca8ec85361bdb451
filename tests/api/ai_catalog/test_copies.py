"""Who may not read a table may not read what was copied from it, at any door, until its owner releases the copy."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest

from api.protocols.artifact_files import PATH as FILES
from core import clock
from lakehouse.lineage import Edge, Lineage
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.copied_tables import (
    OTHER,
    PEOPLE,
    REPORT,
    STAFF,
    id_of,
    make_copies,
    owner,
    reads,
    release,
    write,
)
from tests.api.ai_catalog.provenance_tables import sees_only, step
from tests.api.ai_catalog.test_models import file, registered, version
from tests.api.ai_catalog.test_runs import run
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node


@pytest.fixture
async def tables(api: Api, orchestrator: FakeOrchestrator) -> Tables:
    return await make_copies(api, orchestrator)


@pytest.mark.effect("ai_catalog_create_release", "ai_catalog_revoke_release")
async def test_a_copy_needs_the_right_to_read_every_table_behind_it(api: Api, tables: Tables) -> None:
    ada = await sees_only(api, "ada", STAFF, REPORT)
    assert not await reads(ada, STAFF)
    assert not await reads(ada, REPORT), "a copy of a copy"
    grace = await sees_only(api, "grace", STAFF, REPORT, PEOPLE)
    assert await reads(grace, REPORT)
    for asset in (STAFF, REPORT):
        await release(api, api.admin, PEOPLE, asset)
    assert await reads(ada, REPORT)
    assert await reads(ada, STAFF)


@on_both
async def test_a_released_copy_opens_its_copies_until_it_is_revoked(api: Api, tables: Tables) -> None:
    ada = await sees_only(api, "ada", STAFF, REPORT)
    one = await release(api, api.admin, PEOPLE, STAFF)
    assert await reads(ada, REPORT), "every way from people goes through staff"
    revoked = await made(api.admin.post(f"ai-catalog/releases/{one['id']}:revoke", {}))
    assert revoked["revoked_by"] == "admin"
    assert not await reads(ada, REPORT)
    assert (await api.admin.post(f"ai-catalog/releases/{one['id']}:revoke", {})).status == 409


async def test_a_release_opens_no_other_way(api: Api, tables: Tables) -> None:
    lineage = Lineage(api.database)
    write(tables, lineage, REPORT, "run-2", who=[(STAFF, "name")], pay=[(PEOPLE, "salary")])
    ada = await sees_only(api, "ada", STAFF, REPORT)
    await release(api, api.admin, PEOPLE, STAFF)
    assert await reads(ada, STAFF)
    assert not await reads(ada, REPORT), "it also read people itself"
    assert await reads(ada, REPORT, version="0"), "the version before did not"


async def test_a_release_of_a_copy_does_not_open_what_the_copy_was_copied_from(api: Api, tables: Tables) -> None:
    ada = await sees_only(api, "ada", REPORT)
    await release(api, api.admin, STAFF, REPORT)
    assert not await reads(ada, REPORT), "the owner of staff does not decide on people"
    await release(api, api.admin, PEOPLE, "flights.gold")
    assert await reads(ada, REPORT), "the schema of the report"


async def test_a_denial_on_the_source_counts_from_the_next_request(api: Api, tables: Tables) -> None:
    id = await user(api, "bob")
    await grant(api, id, "rol_viewer", "platform")
    bob = api.caller("bob")
    assert await reads(bob, REPORT)
    await grant(api, id, "ai_catalog.asset.preview", PEOPLE, securable_kind="ai_catalog.asset", effect="DENY")
    assert not await reads(bob, REPORT)
    assert not await reads(bob, STAFF)
    assert await reads(bob, OTHER)


async def test_columns_that_were_not_copied_do_not_count(api: Api, tables: Tables) -> None:
    ada = await sees_only(api, "ada", REPORT, STAFF)
    lineage = Lineage(api.database)
    joined = step(tables, lineage, REPORT, "run-3")
    joined.read(PEOPLE)
    joined.declare_columns({"x": [(OTHER, "x")]})
    joined.read(OTHER)
    joined.overwrite(pa.table({"x": ["secret of run-3"]}), evolve_schema=True)
    await release(api, api.admin, OTHER, "flights")
    assert await reads(ada, REPORT, version="1"), "people only selected rows"
    assert not await reads(ada, REPORT, version="0")


async def test_what_another_system_reports_counts(api: Api, tables: Tables) -> None:
    ada = await sees_only(api, "ada", OTHER)
    assert await reads(ada, OTHER)
    version, people = tables.snapshot(OTHER).data_version, tables.snapshot(PEOPLE).data_version
    (known, *_) = Lineage(api.database).provenance(OTHER, version)
    source = "external:hr:xds_1"
    Lineage(api.database).record(
        [
            edge(known, OTHER, version, source, "unversioned"),
            edge(known, source, "unversioned", PEOPLE, people),
        ]
    )
    assert not await reads(ada, OTHER), "through a file of another system"


def edge(known: Edge, out: str, out_version: str, source: str, version: str) -> Edge:
    named = {"out_asset": out, "out_version": out_version, "in_asset": source, "in_version": version}
    return dataclasses.replace(known, run="openlineage:1", **named)


@on_both
async def test_a_table_that_was_dropped_still_closes_its_copies(
    api: Api, tables: Tables, orchestrator: FakeOrchestrator
) -> None:
    del orchestrator.nodes[PEOPLE]
    Lineage(api.database).tombstone(PEOPLE)
    ada = await sees_only(api, "ada", REPORT)
    assert not await reads(ada, REPORT)


async def test_a_copy_whose_lineage_is_not_recorded_yet_is_closed(
    api: Api, tables: Tables, orchestrator: FakeOrchestrator
) -> None:
    """A writer that was killed between its commit and the record."""
    clone = "flights.core.clone"
    orchestrator.nodes[clone] = node(clone)
    ada = await sees_only(api, "ada", clone)
    tables.clone(PEOPLE, clone)
    assert Lineage(api.database).latest(clone) is None
    assert not await reads(ada, clone)


async def test_a_release_ends(api: Api, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await sees_only(api, "ada", STAFF)
    now = clock.now()
    past = await api.admin.post(
        "ai-catalog/releases",
        {"asset": PEOPLE, "copies": STAFF, "reason": "x", "expires_at": (now - timedelta(days=1)).isoformat()},
    )
    assert (past.status, past.json["errors"][0]["pointer"]) == (422, "/expires_at")
    await release(api, api.admin, PEOPLE, STAFF, expires_at=(now + timedelta(minutes=5)).isoformat())
    assert await reads(ada, STAFF)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=6))
    assert not await reads(ada, STAFF)


class TestWhoReleases:
    @on_both
    async def test_the_owner_of_the_source_and_nobody_else(self, api: Api, tables: Tables) -> None:
        body = {"asset": PEOPLE, "copies": STAFF, "reason": "I need it."}
        ada = await sees_only(api, "ada", STAFF, REPORT)
        assert (await ada.post("ai-catalog/releases", body)).status == 403
        assert (await api.editor.post("ai-catalog/releases", body)).status == 403
        carl = await owner(api, "carl", STAFF)
        refused = await carl.post("ai-catalog/releases", body)
        assert refused.status == 404, "an owner of the copy can't see the source"
        dora = await owner(api, "dora", PEOPLE)
        assert (await dora.post("ai-catalog/releases", body)).status == 404, "dora can't see the copy"
        await grant(api, await id_of(api, "dora"), "ai_catalog.asset.get", STAFF, securable_kind="ai_catalog.asset")
        one = await made(dora.post("ai-catalog/releases", body))
        assert [found["id"] for found in (await made(dora.get("ai-catalog/releases")))["items"]] == [one["id"]]
        assert (await made(carl.get("ai-catalog/releases")))["items"] == [], "carl can't see people"
        await made(dora.post(f"ai-catalog/releases/{one['id']}:revoke", {}))

    async def test_nobody_releases_what_they_can_not_read(self, api: Api, tables: Tables) -> None:
        id = await user(api, "eve")
        for right in ("ai_catalog.release.*", "ai_catalog.asset.get"):
            await grant(api, id, right, "platform")
        reply = await api.caller("eve").post("ai-catalog/releases", {"asset": PEOPLE, "copies": STAFF, "reason": "x"})
        assert reply.status == 403

    async def test_nobody_releases_for_longer_than_they_can_read(self, api: Api, tables: Tables) -> None:
        id, until = await user(api, "fred"), (clock.now() + timedelta(days=1)).isoformat()
        await grant(api, id, "rol_admin", "platform", expires_at=until)
        body = {"asset": PEOPLE, "copies": STAFF, "reason": "x"}
        forever = await api.caller("fred").post("ai-catalog/releases", body)
        assert (forever.status, forever.json["reason"]) == (403, "EXCEEDS_RIGHTS")
        await made(api.caller("fred").post("ai-catalog/releases", body | {"expires_at": until}))

    async def test_not_to_another_organization(self, api: Api, tables: Tables, orchestrator: FakeOrchestrator) -> None:
        south = await tenant(api, "south")
        orchestrator.nodes["south_data.gold.copy"] = node("south_data.gold.copy")
        lineage = Lineage(api.database)
        write(tables, lineage, "south_data.gold.copy", name=[(PEOPLE, "name")])
        body = {"asset": PEOPLE, "copies": "south_data.gold.copy", "reason": "x"}
        reply = await api.admin.post("ai-catalog/releases", body)
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/copies")
        assert (await south.admin.post("ai-catalog/releases", body)).status == 404
        assert not await reads(south.admin, "south_data.gold.copy")

    async def test_a_trial_releases_nothing(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", STAFF)
        body = {"asset": PEOPLE, "copies": STAFF, "reason": "x"}
        await made(api.admin.post("ai-catalog/releases", body, params={"validate_only": "true"}))
        assert not await reads(ada, STAFF)


@pytest.mark.effect("ai_catalog_get_asset_access")
class TestAccess:
    async def access(self, caller: Caller, asset: str, **params: Any) -> dict[str, Any]:
        return await made(caller.get(f"ai-catalog/assets/{asset}/access", params=params))

    @on_both
    async def test_says_what_closes_a_copy_and_what_to_ask_for(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", STAFF, REPORT)
        found = await self.access(ada, REPORT)
        assert (found["granted"], found["readable"]) == (True, False)
        assert [one["asset"] for one in found["copied_from"]] == [STAFF]
        assert (found["hidden"], found["hidden_closed"], found["needs"]) == (1, 1, [])
        assert PEOPLE not in str(found), "counted, not named"
        seen = await self.access(api.admin, REPORT, principal_id=(await id_of(api, "ada")))
        (people,) = [one for one in seen["copied_from"] if one["asset"] == PEOPLE]
        assert people == {"asset": PEOPLE, "columns": ["name"], "readable": False, "releases": [], "opens": False}
        assert seen["needs"] == [{"asset": PEOPLE, "copies": REPORT}]
        one = await release(api, api.admin, PEOPLE, REPORT)
        seen = await self.access(api.admin, REPORT, principal_id=(await id_of(api, "ada")))
        (people,) = [found for found in seen["copied_from"] if found["asset"] == PEOPLE]
        assert (people["releases"], people["opens"], seen["readable"]) == ([one["id"]], True, True)

    async def test_of_another_principal_only_with_the_right_to_ask(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", REPORT)
        params = {"principal_id": await id_of(api, "viewer")}
        assert (await ada.get(f"ai-catalog/assets/{REPORT}/access", params=params)).status == 403
        assert (await ada.get(f"ai-catalog/assets/{STAFF}/access")).status == 404

    async def test_needs_no_right_but_to_see_the_asset(self, api: Api, tables: Tables) -> None:
        id = await user(api, "gil")
        await grant(api, id, "ai_catalog.asset.get", OTHER, securable_kind="ai_catalog.asset")
        found = await self.access(api.caller("gil"), OTHER)
        assert found["permissions"] == ["ai_catalog.asset.get"]
        assert (found["granted"], found["needs"]) == (False, [{"asset": OTHER, "copies": None}])


@on_both
@pytest.mark.effect("ai_catalog_get_model_version_download")
async def test_files_of_a_run_need_the_right_to_read_its_inputs(api: Api, tables: Tables) -> None:
    """Through each door to files: by a token, by a signed link, with MLflow, and as the archive of a model version."""
    body = {"name": "trials", "project_id": "flights", "spec": {"title": "Trials"}}
    experiment = (await made(api.admin.post("ai-catalog/experiments", body)))["id"]
    one = await run(api, experiment_id=experiment)
    content, model = await file(api, one["id"]), await registered(api)
    number = (await version(api, model, f"runs:/{one['id']}/model"))["id"]
    await grant(api, await user(api, "ada"), "rol_editor", "flights", securable_kind="admin.project")
    ada = api.caller("ada")
    link = urlsplit((await made(ada.post(f"ai-catalog/artifacts/{content['id']}:presign", {})))["url"])
    paths = [
        f"{FILES}/{content['id']}",
        f"{link.path}?{link.query}",
        f"/mlflow/get-artifact?run_id={one['id']}&path=model/weights.txt",
        f"/api/v1/ai-catalog/model-versions/{number}/download",
    ]

    async def opened() -> list[int]:
        return [(await ada.http.get(path)).status_code for path in paths]

    assert await opened() == [200] * 4
    inputs = {"inputs": [{"name": PEOPLE, "digest": "1", "version": "0"}]}
    await made(api.admin.post(f"ai-catalog/runs/{one['id']}:log-inputs", inputs))
    assert await opened() == [403] * 4
    await release(api, api.admin, PEOPLE, "flights")
    assert await opened() == [200] * 4
