"""A branch runs the definitions of its time or its own, under the rights of who runs them, and changes no other.

The kind: a branch or reproduction that runs today's definition, an earlier revision that shows a caller what its
publisher could read, and a merge of rows that the project's definition doesn't make.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa
import pytest

from core import clock, definition_revisions
from lakehouse import branch_records
from lakehouse.branches import BranchTables
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made
from tests.api.ai_catalog.provenance_tables import make_provenance, sees_only, step
from tests.api.ai_catalog.retirement import ID, PATH, live, retire
from tests.api.ai_catalog.test_branches import PATH as BRANCHES
from tests.api.ai_catalog.test_branches import branch, id_of, may_branch, run
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import FakeOrchestrator


@pytest.fixture
async def tables(api: Api, orchestrator: FakeOrchestrator) -> Tables:
    """The tables, and a definition that is published in two revisions: the first one reads silver."""
    body = {"name": "flights", "organization_id": "default", "spec": {"title": "Flights"}}
    await made(api.admin.post("admin/projects", body))
    tables = make_provenance(api)
    await live(api.editor, orchestrator, reads=[SILVER])
    orchestrator.nodes[ID] = dataclasses.replace(orchestrator.nodes[ID], code_version=code_version(api, 1))
    return tables


async def publish(caller: Caller, sql: str, *reads: str) -> None:
    """Publishes the next revision of the definition."""
    await made(caller("PATCH", f"/api/v1/{PATH}", json={"attributes": attributes(sql, *reads)}))
    await made(caller.post(f"{PATH}:publish", {}))


def attributes(sql: str, *reads: str) -> dict[str, Any]:
    return {"asset": ID, "sql": sql, "reads": list(reads)}


async def reads(api: Api, name: str, *assets: str) -> None:
    """Grants a user the right to read assets, which includes what these were copied from."""
    for asset in assets:
        await grant(api, await id_of(api, name), "ai_catalog.asset.*", asset, securable_kind="ai_catalog.asset")


async def definition(caller: Caller, id: str) -> dict[str, Any]:
    """The definition in a branch, with its attributes."""
    (found,) = (await made(caller.get(f"{BRANCHES}/{id}/definitions?asset={ID}")))["definitions"]
    return dict(found)


async def define(caller: Caller, id: str, **body: Any) -> Any:
    return await caller.post(f"{BRANCHES}/{id}:define", {"asset": ID} | body)


def code_version(api: Api, revision: int) -> str:
    with api.database.read() as connection:
        found = definition_revisions.find(connection, ID, revision)
    assert found is not None
    return found.code_versions[ID]


def make(api: Api, tables: Tables, asset: str, code: str, branch: str = "") -> None:
    """Does what a run does: writes the table with a code version, in the lakehouse or in a branch."""
    view, lineage = tables, Lineage(api.database)
    if branch:
        row = branch_records.find(api.database, branch)
        assert row is not None
        view = BranchTables(tables, branch_records.plan_of(row, asset))
    made_by = step(view, lineage, asset, "run-x", code=code)
    made_by.read(SILVER)
    if not branch:
        made_by.overwrite(pa.table({"n": [1]}))
        return
    commit = view.overwrite(
        asset, pa.table({"n": [2]}), user_metadata=made_by._user_metadata(continues=False, content_digest=None)
    )
    produced = {asset: {"run": "run-x", "version": commit.data_version, "checks": {}, "code_version": code}}
    branch_records.record(api.database, branch, produced)


@on_both
@pytest.mark.effect("ai_catalog_get_definition_revisions")
async def test_each_publication_is_a_revision(api: Api, tables: Tables) -> None:
    await publish(api.editor, "SELECT 2")
    await made(api.editor("PATCH", f"/api/v1/{PATH}", json={"attributes": attributes("SELECT 3")}))
    found = await made(api.viewer.get(f"{PATH}/revisions"))
    assert [(one["revision"], one["attributes"]["sql"]) for one in found["revisions"]] == [
        (2, "SELECT 2"),
        (1, "SELECT 1"),
    ]
    assert found["revisions"][1]["code_versions"] == {ID: code_version(api, 1)}
    older = await made(api.viewer.get(f"{PATH}/revisions?before=2"))
    assert [one["revision"] for one in older["revisions"]] == [1]
    dora = await sees_only(api, "dora", SILVER)
    assert (await dora.get(f"{PATH}/revisions")).status == 403


@pytest.mark.effect("ai_catalog_get_branch_definitions")
class TestPins:
    async def test_a_branch_keeps_the_revisions_of_its_time(self, api: Api, tables: Tables) -> None:
        first, then = await branch(api.editor, "first"), clock.now()
        await publish(api.editor, "SELECT 2")
        second = await branch(api.editor, "second")
        past = await branch(api.editor, "past", at=then.isoformat().replace("+00:00", "Z"))
        for id, revision in ((first["id"], 1), (second["id"], 2), (past["id"], 1)):
            found = await definition(api.viewer, id)
            assert (found["revision"], found["published_revision"]) == (revision, 2)
            assert found["attributes"]["sql"] == f"SELECT {revision}"

    async def test_a_given_version_pins_the_revision_that_made_it(self, api: Api, tables: Tables) -> None:
        make(api, tables, ID, code_version(api, 1))
        await publish(api.editor, "SELECT 2")
        found = await branch(api.editor, versions={ID: "0"})
        assert (await definition(api.viewer, found["id"]))["revision"] == 1

    async def test_shows_only_definitions_that_the_caller_sees(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        dora = await sees_only(api, "dora", ID)
        await may_branch(api, "dora")
        path = f"{BRANCHES}/{id}/definitions"
        assert (await made(dora.get(path)))["definitions"] == []
        (found,) = (await made(api.viewer.get(path)))["definitions"]
        assert (found["asset"], found["attributes"]) == (ID, None)


class TestRun:
    async def test_an_earlier_revision_needs_the_rights_of_the_caller(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        dora = await sees_only(api, "dora", ID)
        await may_branch(api, "dora")
        id = (await branch(api.editor))["id"]
        await run(dora, id, ID)  # it is published, and runs under the rights of its publisher
        orchestrator.launches.clear()
        await publish(api.editor, "SELECT 2")
        other = (await branch(api.editor, "other"))["id"]
        assert (await define(api.editor, other, revision=1)).status == 200
        refused = await dora.post(f"{BRANCHES}/{other}:run", {"assets": [ID]})
        assert (refused.status, orchestrator.launches) == (403, [])
        assert SILVER not in refused.response.text
        await reads(api, "dora", SILVER, BRONZE)
        await run(dora, other, ID)

    async def test_a_retired_definition_runs_in_a_branch(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await branch(api.editor))["id"]
        later = clock.now()
        await retire(api.editor)
        await run(api.editor, id, ID)
        assert orchestrator.launches[-1].assets == (ID,)
        empty = (await branch(api.editor, "later", at=later.isoformat().replace("+00:00", "Z")))["id"]
        await run(api.editor, empty, ID)
        now = (await branch(api.editor, "now"))["id"]
        assert (await api.editor.post(f"{BRANCHES}/{now}:run", {"assets": [ID]})).status == 422

    async def test_a_definition_from_after_the_branch_is_pinned_by_its_first_run(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await branch(api.editor, at="2020-01-01T00:00:00Z"))["id"]
        assert (await made(api.viewer.get(f"{BRANCHES}/{id}/definitions")))["definitions"] == []
        await run(api.editor, id, ID)
        assert (await definition(api.viewer, id))["revision"] == 1


@pytest.mark.effect("ai_catalog_define_branch")
class TestDefine:
    @on_both
    async def test_a_changed_definition_is_only_in_the_branch(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        assert (await define(api.editor, id, attributes=attributes("SELECT 9", SILVER))).status == 200
        found = await definition(api.viewer, id)
        assert (found["revision"], found["published_revision"], found["attributes"]["sql"]) == (None, 1, "SELECT 9")
        project = await made(api.viewer.get(PATH))
        assert (project["state"], project["attributes"]["sql"]) == ("PUBLISHED", "SELECT 1")
        assert (await define(api.editor, id, revision=1)).status == 200
        assert (await definition(api.viewer, id))["revision"] == 1
        assert (await api.editor("DELETE", f"{BRANCHES}/{id}")).status == 204

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"revision": 1, "attributes": {"asset": ID, "sql": "SELECT 1"}},
            {"revision": 1, "component": "SqlTransformComponent"},
            {"revision": 7},
            {"attributes": {"asset": SILVER, "sql": "SELECT 1"}},
            {"attributes": {"asset": ID}},
            {"attributes": {"asset": ID, "sql": "SELECT 1", "makes": ["flights.gold.nothing"]}},
        ],
    )
    async def test_bad_input_is_refused(self, api: Api, tables: Tables, body: dict[str, Any]) -> None:
        id = (await branch(api.editor))["id"]
        assert (await define(api.editor, id, **body)).status == 422
        assert (await definition(api.viewer, id))["revision"] == 1

    async def test_needs_the_rights_of_a_publisher(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        changed = {"attributes": attributes("SELECT 9", BRONZE)}
        assert (await define(api.viewer, id, **changed)).status == 403
        dora = await sees_only(api, "dora", ID)
        await may_branch(api, "dora")
        assert (await define(dora, id, **changed)).status == 404
        await grant(api, await id_of(api, "dora"), "ai_catalog.definition.get", "org_default")
        assert (await define(dora, id, **changed)).status == 403
        await grant(api, await id_of(api, "dora"), "ai_catalog.definition.publish", "org_default")
        assert (await define(dora, id, **changed)).status == 422
        assert (await define(dora, id, attributes=attributes("SELECT 9"))).status == 200
        assert (await define(dora, id, revision=1)).status == 422

    async def test_rows_of_a_branch_are_copies_of_what_only_the_branch_read(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        make(api, tables, ID, "x", id)
        dora = await sees_only(api, "dora", ID)
        await may_branch(api, "dora")
        statement = {"sql": f"SELECT n FROM {ID}", "branch": id}
        preview = f"ai-catalog/assets/{ID}/preview?branch={id}"
        assert (await dora.get(preview)).status == 403
        assert (await dora.post("ai-catalog/queries:run", statement)).status == 403
        await reads(api, "dora", SILVER, BRONZE)
        assert (await made(dora.get(preview)))["rows"] == [{"n": 2}]
        assert (await made(dora.post("ai-catalog/queries:run", statement)))["rows"] == [[2]]

    async def test_waits_for_a_run(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        await run(api.editor, id, ID)
        assert (await define(api.editor, id, attributes=attributes("SELECT 9"))).status == 409


class TestMerge:
    async def test_rows_of_another_definition_are_a_conflict_until_it_is_published(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        make(api, tables, ID, code_version(api, 1))
        await publish(api.editor, "SELECT 2")
        id = (await branch(api.editor))["id"]
        await made(define(api.editor, id, revision=1))
        make(api, tables, ID, code_version(api, 1), id)
        (conflict,) = (await made(api.viewer.get(f"{BRANCHES}/{id}/merge-plan")))["tables"]
        assert conflict["state"] == "CONFLICT"
        assert "Publish the definition of the branch" in conflict["reason"]
        assert (await api.editor.post(f"{BRANCHES}/{id}:merge", {})).status == 409
        assert orchestrator.launches == []
        await publish(api.editor, "SELECT 1", SILVER)
        assert (await api.editor.post(f"{BRANCHES}/{id}:merge", {})).status == 202
        await retire(api.editor)
        (conflict,) = (await made(api.viewer.get(f"{BRANCHES}/{id}/merge-plan")))["tables"]
        assert "retired" in conflict["reason"]


class TestReproduce:
    async def test_a_version_is_planned_with_the_revision_that_made_it(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        make(api, tables, ID, code_version(api, 1))
        plan = f"ai-catalog/assets/{ID}/reproduce-plan"
        assert (await made(api.viewer.get(plan)))["definition_revision"] is None
        await publish(api.editor, "SELECT 2")
        for _ in range(2):
            found = await made(api.viewer.get(plan))
            assert (found["possible"], found["definition_revision"], found["problems"]) == (True, 1, [])
            answer = await api.editor.post(f"ai-catalog/assets/{ID}:reproduce", {})
            assert answer.status == 202, answer.response.text
            if orchestrator.nodes[ID].executable:
                await retire(api.editor)
