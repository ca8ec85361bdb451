"""A reproduction repeats the recorded step, tells its true state, and shows nothing that its reader could not read.

The kind: a plan that promises what can't be repeated, a record that stays in progress after its run ended, one that
names a hidden input, and an area that stays.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from api.kernel.tables import OPERATION, PRINCIPAL
from core.runs import RunStatus
from lakehouse import reproductions
from lakehouse.branches import AREAS, areas
from lakehouse.lineage import Lineage
from lakehouse.reproductions import Outcome, RecordedStep, Verdict
from lakehouse.tables import Tables
from tests.api.admin.tenants import grant, made
from tests.api.ai_catalog.provenance_tables import DELAYS, make_provenance, released, sees_only, step
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import FakeOrchestrator

PATH = "ai-catalog/reproductions"


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


async def reproduce(caller: Caller, asset: str = DELAYS, **body: Any) -> dict[str, Any]:
    """The operation of a new reproduction."""
    answer = await caller.post(f"ai-catalog/assets/{asset}:reproduce", body)
    assert answer.status == 202, answer.response.text
    return dict(answer.json)


async def failed(api: Api, orchestrator: FakeOrchestrator, operation: str, error: str) -> None:
    """Ends the run of an operation, and waits until the operation shows it."""
    (run,) = (await made(api.editor.get(f"operations/{operation}")))["runs"]
    orchestrator.end(run, RunStatus.FAILED, error=error)
    while (await made(api.editor.get(f"operations/{operation}")))["state"] != "FAILED":
        await asyncio.sleep(0.05)


async def listed(caller: Caller, filter: str = "") -> list[dict[str, Any]]:
    return list((await made(caller.get(f"{PATH}?filter={filter}" if filter else PATH)))["items"])


@pytest.mark.effect("ai_catalog_get_asset_reproduce_plan")
class TestPlan:
    async def plan(self, caller: Caller, asset: str, version: str = "") -> dict[str, Any]:
        path = f"ai-catalog/assets/{asset}/reproduce-plan"
        return await made(caller.get(f"{path}?version={version}" if version else path))

    async def test_names_the_step_and_the_exact_inputs(self, api: Api, tables: Tables) -> None:
        plan = await self.plan(api.viewer, DELAYS)
        assert (plan["possible"], plan["problems"], plan["run"], plan["base"]) == (True, [], "run-f", None)
        assert plan["inputs"] == {SILVER: tables.snapshot(SILVER).data_version}

    async def test_of_a_compacted_version_names_the_step_that_computed_its_rows(self, api: Api, tables: Tables) -> None:
        """As the hourly maintenance compacts: with a step in the lineage that no run can repeat."""
        lineage = Lineage(api.database)
        added = step(tables, lineage, DELAYS, "run-h")
        added.read(SILVER)
        computed = added.append(pa.table({"route": [3], "kind": ["c"]})).data_version
        compaction = step(tables, lineage, DELAYS, "run-m", code="").record_commit
        compaction(tables.optimize(DELAYS), continues=True)
        assert tables.snapshot(DELAYS).data_version != computed
        plan = await self.plan(api.viewer, DELAYS)
        assert (plan["possible"], plan["run"], plan["version"]) == (True, "run-h", computed)
        assert plan["inputs"] == {SILVER: tables.snapshot(SILVER).data_version}

    async def test_says_that_the_code_changed(self, api: Api, tables: Tables) -> None:
        plan = await self.plan(api.viewer, SILVER)
        assert not plan["possible"]
        assert "its version was 2, and is 1 now" in plan["problems"][0]
        assert {"name": "code_version", "recorded": "2", "current": "1"} in plan["differences"]

    async def test_says_that_the_files_of_an_input_are_gone(self, api: Api, tables: Tables) -> None:
        snapshot = tables.snapshot(SILVER)
        (Path(snapshot.uri.removeprefix("file://")) / snapshot.paths[0]).unlink()
        plan = await self.plan(api.viewer, DELAYS)
        assert not plan["possible"]
        assert f"data files of version {snapshot.data_version} of {SILVER}" in plan["problems"][0]

    async def test_of_a_version_that_does_not_exist_is_not_found(self, api: Api, tables: Tables) -> None:
        for version in ("99", "abc@0", "x"):
            answer = await api.viewer.get(f"ai-catalog/assets/{DELAYS}/reproduce-plan?version={version}")
            assert answer.status in (400, 404), answer.response.text

    async def test_is_refused_to_those_who_cannot_read_an_input(self, api: Api, tables: Tables) -> None:
        dora = await sees_only(api, "dora", DELAYS)
        for answer in (
            await dora.get(f"ai-catalog/assets/{DELAYS}/reproduce-plan"),
            await dora.post(f"ai-catalog/assets/{DELAYS}:reproduce", {}),
        ):
            assert answer.status == 403
            assert SILVER not in answer.response.text


@pytest.mark.effect("ai_catalog_reproduce_asset")
class TestReproduce:
    async def test_launches_the_job_with_the_stored_step(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        operation = await reproduce(api.editor)
        (found,) = await listed(api.viewer)
        assert (found["operation_id"], found["asset"], found["verdict"]) == (operation["id"], DELAYS, None)
        assert found["version"] == tables.snapshot(DELAYS).data_version
        launch = orchestrator.launches[-1]
        assert (launch.job, launch.assets) == ("reproduce", (DELAYS,))
        assert launch.config == {"reproduce_version": {"reproduction": found["id"]}}
        row = reproductions.find(api.database, found["id"])
        assert row is not None
        assert RecordedStep(**row.recorded).pins == {SILVER: tables.snapshot(SILVER).data_version}

    @on_both
    async def test_a_verdict_is_shown_and_found_by_filter(self, api: Api, tables: Tables) -> None:
        await reproduce(api.editor)
        (found,) = await listed(api.viewer)
        reproductions.finish(api.database, found["id"], Outcome(Verdict.DIFFERENT, "They differ in kind."))
        reproductions.finish(api.database, found["id"], Outcome(Verdict.EQUAL, "A second verdict changes nothing."))
        (found,) = await listed(api.viewer, "verdict == 'DIFFERENT'")
        assert (found["state"], found["reason"]) == ("SUCCEEDED", "They differ in kind.")
        assert await listed(api.viewer, "verdict == 'EQUAL'") == []

    async def test_a_retry_with_the_same_key_makes_one(self, api: Api, tables: Tables) -> None:
        for _ in range(2):
            path, headers = f"ai-catalog/assets/{DELAYS}:reproduce", {"idempotency-key": "once"}
            assert (await api.editor.post(path, {}, headers=headers)).status == 202
        assert len(await listed(api.viewer)) == 1

    async def test_its_state_is_that_of_its_run(self, api: Api, tables: Tables, orchestrator: FakeOrchestrator) -> None:
        operation = await reproduce(api.editor)
        await failed(api, orchestrator, operation["id"], "the worker was killed")
        (found,) = await listed(api.viewer)
        assert (found["state"], found["verdict"], found["reason"]) == ("FAILED", None, "the worker was killed")

    @on_both
    async def test_without_its_operation_it_has_failed(self, api: Api, tables: Tables) -> None:
        await reproduce(api.editor)
        with api.database.write() as connection:
            connection.execute(OPERATION.delete())
        assert [one["state"] for one in await listed(api.viewer)] == ["FAILED"]

    async def test_needs_the_right_to_materialize(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        assert (await api.viewer.post(f"ai-catalog/assets/{DELAYS}:reproduce", {})).status == 403
        assert orchestrator.launches == []

    @on_both
    async def test_only_readers_of_all_inputs_see_it(self, api: Api, tables: Tables) -> None:
        await reproduce(api.editor)
        (found,) = await listed(api.viewer)
        dora = await sees_only(api, "dora", DELAYS)
        with api.database.read() as connection:
            user = connection.execute(sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.name == "dora")).scalar_one()
        await grant(api, user, "ai_catalog.reproduction.*", "org_default")
        assert await listed(dora) == []
        assert (await dora.get(f"{PATH}/{found['id']}")).status == 404
        assert (await dora("DELETE", f"{PATH}/{found['id']}")).status == 404
        await grant(api, user, "ai_catalog.asset.*", SILVER, securable_kind="ai_catalog.asset")
        assert await listed(dora) == [], "silver and delays were copied from bronze"
        await released(api, BRONZE, SILVER)
        assert [one["id"] for one in await listed(dora)] == [found["id"]]


class TestDelete:
    @on_both
    async def test_removes_what_a_killed_run_left(
        self, api: Api, tables: Tables, orchestrator: FakeOrchestrator
    ) -> None:
        operation = await reproduce(api.editor)
        (found,) = await listed(api.viewer)
        step = RecordedStep(**reproductions.find(api.database, found["id"]).recorded)  # type: ignore[union-attr]
        reproductions.hold(tables, found["id"], step)
        folder = tables.storage.folder
        assert folder is not None
        (folder / AREAS / found["id"] / "flights").mkdir(parents=True)
        assert (await api.editor("DELETE", f"{PATH}/{found['id']}")).status == 409
        assert areas(tables.storage) == [found["id"]]
        await failed(api, orchestrator, operation["id"], "the worker was killed")
        assert (await api.editor("DELETE", f"{PATH}/{found['id']}")).status == 204
        assert (areas(tables.storage), await listed(api.viewer), tables.pins.pins()) == ([], [], [])
