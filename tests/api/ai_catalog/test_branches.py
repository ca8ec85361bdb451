"""A branch pins what its creator can read, runs within their rights, and merges all of its tables or none.

The kind: a branch that shows or reads a table that its reader could not, one whose versions a vacuum removes, two
operations of one branch at once, and a merge that overwrites what others wrote.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
import sqlalchemy as sa

from api.kernel.tables import PRINCIPAL
from api.services.ai_catalog.branch_tables import BRANCH
from lakehouse import branch_records
from lakehouse.branches import BranchTables, areas
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made
from tests.api.ai_catalog.provenance_tables import DELAYS, make_provenance, released, sees_only
from tests.api.ai_catalog.test_reproductions import failed
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import FakeOrchestrator

PATH = "ai-catalog/branches"


@pytest.fixture
async def tables(api: Api) -> Tables:
    body = {"name": "flights", "organization_id": "default", "spec": {"title": "Flights"}}
    await made(api.admin.post("admin/projects", body))
    return make_provenance(api)


async def branch(caller: Caller, name: str = "trial", **body: Any) -> dict[str, Any]:
    return await made(caller.post(PATH, {"project_id": "flights", "name": name} | body))


async def run(caller: Caller, id: str, *assets: str, **body: Any) -> dict[str, Any]:
    """The operation of a run in a branch."""
    answer = await caller.post(f"{PATH}/{id}:run", {"assets": list(assets)} | body)
    assert answer.status == 202, answer.response.text
    return dict(answer.json)


def produce(api: Api, tables: Tables, id: str, asset: str = DELAYS, **columns: list[Any]) -> None:
    """Does what a run in the branch does: writes the table of the branch, and records it."""
    row = branch_records.find(api.database, id)
    assert row is not None
    view = BranchTables(tables, branch_records.plan_of(row, asset))
    view.start()
    step = Step(
        view, Lineage(api.database), asset=asset, run="run-b", step="s", code_version="1", engine="t", principal="ann"
    )
    step.read(SILVER)
    commit = step._tables.overwrite(
        asset, pa.table(columns), user_metadata=step._user_metadata(continues=False, content_digest=None)
    )
    produced = {asset: {"run": "run-b", "version": commit.data_version, "checks": {}}}
    branch_records.record(api.database, id, produced)


@pytest.mark.effect("ai_catalog_create_branch")
class TestCreate:
    async def test_pins_the_newest_versions_and_protects_them(self, api: Api, tables: Tables) -> None:
        found = await branch(api.editor)
        assert found["versions"][SILVER] == tables.snapshot(SILVER).data_version
        assert found["code_versions"][SILVER] == "1"
        assert {pin.table for pin in tables.pins.pins(holder=found["id"])} == set(found["versions"])

    @on_both
    async def test_takes_the_versions_of_a_time_and_given_ones(self, api: Api, tables: Tables) -> None:
        first = tables.history(SILVER)[-1]
        found = await branch(
            api.editor, at=first.committed_at.isoformat().replace("+00:00", "Z"), versions={BRONZE: "0"}
        )
        assert found["versions"][SILVER] == first.data_version
        assert found["versions"][BRONZE] == tables.snapshot(BRONZE, version=0).data_version
        assert DELAYS not in found["versions"], "it did not exist then"

    async def test_names_are_unique_and_the_number_is_limited(self, api: Api, tables: Tables) -> None:
        await branch(api.editor)
        assert (await api.editor.post(PATH, {"project_id": "flights", "name": "trial"})).status == 409
        for number in range(19):
            await branch(api.editor, f"b{number}")
        assert (await api.editor.post(PATH, {"project_id": "flights", "name": "another"})).status == 409

    @pytest.mark.parametrize("body", [{"name": "../x"}, {"versions": {"flights.no.table": "0"}}, {"days": 0}])
    async def test_bad_input_is_refused(self, api: Api, tables: Tables, body: dict[str, Any]) -> None:
        answer = await api.editor.post(PATH, {"project_id": "flights", "name": "trial"} | body)
        assert 400 <= answer.status < 500, answer.response.text

    async def test_contains_only_what_its_creator_reads(self, api: Api, tables: Tables) -> None:
        dora = await sees_only(api, "dora", DELAYS)
        await may_branch(api, "dora")
        assert (await branch(dora, "closed"))["versions"] == {}, "delays was copied from silver"
        await released(api, SILVER, DELAYS)
        await released(api, BRONZE, DELAYS)
        found = await branch(dora)
        assert set(found["versions"]) == {DELAYS}
        hidden = await dora.post(PATH, {"project_id": "flights", "name": "other", "versions": {SILVER: "0"}})
        assert hidden.status == 404
        full = await branch(api.editor, "full")
        assert set((await made(dora.get(f"{PATH}/{full['id']}")))["versions"]) == {DELAYS}


@pytest.mark.effect("ai_catalog_run_branch")
class TestRun:
    async def test_launches_the_job_and_refuses_a_second_at_once(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await branch(api.editor))["id"]
        operation = await run(api.editor, id, DELAYS)
        launch = orchestrator.launches[-1]
        assert (launch.job, launch.config) == ("run_branch", {"run_branch_assets": {"branch": id, "assets": [DELAYS]}})
        assert (await made(api.viewer.get(f"{PATH}/{id}")))["operation_id"] == operation["id"]
        assert (await api.editor.post(f"{PATH}/{id}:run", {"assets": [DELAYS]})).status == 409
        assert (await api.editor("DELETE", f"{PATH}/{id}")).status == 409
        await failed(api, orchestrator, operation["id"], "the worker was killed")
        await run(api.editor, id, DELAYS)

    @on_both
    async def test_inputs_outside_the_branch_need_the_right_to_read_them(self, api: Api, tables: Tables) -> None:
        dora = await sees_only(api, "dora", DELAYS)
        await may_branch(api, "dora")
        await released(api, BRONZE, "flights")
        id = (await branch(dora))["id"]
        answer = await dora.post(f"{PATH}/{id}:run", {"assets": [DELAYS]})
        assert answer.status == 403
        assert SILVER not in answer.response.text
        await grant(api, await id_of(api, "dora"), "ai_catalog.asset.*", SILVER, securable_kind="ai_catalog.asset")
        await run(dora, id, DELAYS)
        assert (await made(dora.get(f"{PATH}/{id}")))["versions"][SILVER] == tables.snapshot(SILVER).data_version
        assert SILVER in {pin.table for pin in tables.pins.pins(holder=id)}

    async def test_viewers_run_nothing(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        assert (await api.viewer.post(f"{PATH}/{id}:run", {"assets": [DELAYS]})).status == 403
        assert (await api.editor.post(f"{PATH}/{id}:run", {"assets": ["flights.no.table"]})).status == 404
        assert (await api.editor.post(f"{PATH}/{id}:run", {"assets": ["flights.source.prices"]})).status == 422


@pytest.mark.effect("ai_catalog_get_branch_tables", "ai_catalog_get_branch_diff")
async def test_shows_its_tables_and_how_they_differ(api: Api, tables: Tables) -> None:
    id = (await branch(api.editor))["id"]
    produce(api, tables, id, route=[1, 3], kind=["a", "c"])
    found = {one["asset"]: one for one in (await made(api.viewer.get(f"{PATH}/{id}/tables")))["tables"]}
    assert (found[DELAYS]["produced"], found[DELAYS]["row_count"], found[SILVER]["produced"]) == (True, 2, False)
    assert found[DELAYS]["version"] != found[DELAYS]["base"] == tables.snapshot(DELAYS).data_version
    diff = await made(api.viewer.get(f"{PATH}/{id}/diff?asset={DELAYS}"))
    assert (diff["added"], diff["removed"]) == ([{"route": 3, "kind": "c"}], [{"route": 2, "kind": "b"}])
    dora = await sees_only(api, "dora", SILVER)
    await may_branch(api, "dora")
    assert DELAYS not in (await dora.get(f"{PATH}/{id}/tables")).response.text
    assert (await dora.get(f"{PATH}/{id}/diff?asset={DELAYS}")).status == 404


class TestReads:
    """The doors to the rows of a table read a branch with the rights of the table and of the branch."""

    SQL = f"SELECT route, kind FROM {DELAYS} ORDER BY route"

    async def test_previews_and_statements_read_the_branch(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor, versions={SILVER: "0"}))["id"]
        produce(api, tables, id, route=[1, 3], kind=["a", "c"])
        preview = await made(api.viewer.get(f"ai-catalog/assets/{DELAYS}/preview?branch={id}&page_size=1"))
        assert (preview["rows"], preview["row_count"]) == ([{"route": 1, "kind": "a"}], 2)
        token = quote(preview["next_page_token"])
        following = await made(
            api.viewer.get(f"ai-catalog/assets/{DELAYS}/preview?branch={id}&page_size=1&page_token={token}")
        )
        assert following["rows"] == [{"route": 3, "kind": "c"}]
        answer = await made(api.viewer.post("ai-catalog/queries:run", {"sql": self.SQL, "branch": id}))
        assert answer["rows"] == [[1, "a"], [3, "c"]]
        pinned = {"sql": f"SELECT count(*) FROM {SILVER}", "branch": id}
        answer = await made(api.viewer.post("ai-catalog/queries:run", pinned))
        assert answer["inputs"][0]["table_version"] == 0
        answer = await made(api.viewer.post("ai-catalog/queries:run", {"sql": self.SQL}))
        assert answer["rows"] == [[1, "a"], [2, "b"]], "the project has not changed"

    @on_both
    async def test_needs_the_rights_of_the_branch_and_of_the_table(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        produce(api, tables, id, route=[1, 3], kind=["a", "c"])
        dora = await sees_only(api, "dora", DELAYS)
        outside = f"ai-catalog/assets/{DELAYS}/preview?branch={id}"
        assert (await dora.get(outside)).status == 404
        assert (await dora.post("ai-catalog/queries:run", {"sql": self.SQL, "branch": id})).status == 404
        assert (await api.viewer.get(outside.replace(id, "bra_none"))).status == 404
        await may_branch(api, "dora")
        assert (await dora.get(outside)).status == 403, "delays was copied from silver"
        await released(api, SILVER, DELAYS)
        await released(api, BRONZE, DELAYS)
        assert (await dora.get(outside)).status == 200
        hidden = {"sql": f"SELECT * FROM {SILVER}", "branch": id}
        assert (await dora.post("ai-catalog/queries:run", hidden)).status == 404
        assert (await dora.get(f"ai-catalog/assets/{SILVER}/preview?branch={id}")).status == 404


@pytest.mark.effect("ai_catalog_merge_branch", "ai_catalog_get_branch_merge_plan")
class TestMerge:
    @on_both
    async def test_launches_the_job_for_the_changed_tables(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await branch(api.editor))["id"]
        assert (await api.editor.post(f"{PATH}/{id}:merge", {})).status == 409, "nothing has changed"
        produce(api, tables, id, route=[1, 3], kind=["a", "c"])
        plan = await made(api.viewer.get(f"{PATH}/{id}/merge-plan"))
        assert (plan["mergeable"], [(one["asset"], one["state"]) for one in plan["tables"]]) == (
            True,
            [(DELAYS, "CHANGED")],
        )
        assert (await api.viewer.post(f"{PATH}/{id}:merge", {})).status == 403
        assert (await api.editor.post(f"{PATH}/{id}:merge", {})).status == 202
        launch = orchestrator.launches[-1]
        assert (launch.job, launch.assets) == ("merge_branch", (DELAYS,))
        assert launch.config == {"merge_branch_tables": {"branch": id}}
        assert (await api.editor.post(f"{PATH}/{id}:merge", {})).status == 409, "one at a time"

    async def test_reports_conflicts_and_launches_nothing(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await branch(api.editor))["id"]
        produce(api, tables, id, route=[1, 3], kind=["a", "c"])
        tables.append(DELAYS, pa.table({"route": [9], "kind": ["z"]}))
        plan = await made(api.viewer.get(f"{PATH}/{id}/merge-plan"))
        assert not plan["mergeable"]
        assert plan["tables"][0]["current"] == tables.snapshot(DELAYS).data_version
        answer = await api.editor.post(f"{PATH}/{id}:merge", {})
        assert answer.status == 409
        assert answer.json["errors"][0]["pointer"] == f"/tables/{DELAYS}"
        assert orchestrator.launches == []

    @on_both
    async def test_a_merged_branch_does_not_change(self, api: Api, tables: Tables) -> None:
        id = (await branch(api.editor))["id"]
        produce(api, tables, id, route=[1, 3], kind=["a", "c"])
        branch_records.merged(api.database, tables, id)
        assert (await made(api.viewer.get(f"{PATH}/{id}")))["state"] == "MERGED"
        assert (await api.editor.post(f"{PATH}/{id}:run", {"assets": [DELAYS]})).status == 409


@on_both
async def test_discarding_removes_everything_of_it(api: Api, tables: Tables) -> None:
    id = (await branch(api.editor))["id"]
    produce(api, tables, id, route=[1, 3], kind=["a", "c"])
    assert areas(tables.storage) == [id]
    assert (await api.viewer("DELETE", f"{PATH}/{id}")).status == 403
    assert (await api.editor("DELETE", f"{PATH}/{id}")).status == 204
    assert (areas(tables.storage), tables.pins.pins(holder=id)) == ([], [])
    with api.database.read() as connection:
        assert connection.execute(sa.select(BRANCH.c.id)).all() == []
    await branch(api.editor)


async def may_branch(api: Api, name: str) -> None:
    await grant(api, await id_of(api, name), "ai_catalog.branch.*", "org_default")
    await grant(api, await id_of(api, name), "admin.project.get", "org_default")


async def id_of(api: Api, name: str) -> str:
    with api.database.read() as connection:
        return str(connection.execute(sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.name == name)).scalar_one())
