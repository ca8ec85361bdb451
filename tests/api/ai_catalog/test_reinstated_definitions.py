"""Retired definitions that are reinstated or deleted."""

from __future__ import annotations

import asyncio

import pyarrow as pa
import pytest
import sqlalchemy as sa

from api.kernel.platform import open_lineage, open_tables
from core import state_versions
from core.definitions import ASSET_CLAIM, DEFINITION
from core.ports import AssetState, Materialization, Staleness
from lakehouse.ledger import Ledger
from lakehouse.lineage import Edge
from lakehouse.pins import Pins
from tests.api.admin.tenants import grant, made, user
from tests.api.ai_catalog.retirement import ID, OTHER, PATH, listed, live, retire
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE
from tests.orchestration import AT, FakeOrchestrator


class TestReinstate:
    @pytest.mark.effect("ai_catalog_reinstate_definition")
    async def test_brings_back_what_was_live_and_keeps_what_was_edited(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        await live(api.editor, orchestrator)
        await retire(api.editor)
        edited = {"asset": ID, "sql": "SELECT 2"}
        assert (await made(api.editor("PATCH", f"/api/v1/{PATH}", json={"attributes": edited})))["state"] == "RETIRED"
        back = await made(api.admin.post(f"{PATH}:reinstate"))
        assert (back["state"], back["attributes"], back["published_by"]) == ("MODIFIED", edited, "admin")
        assert (back["retired_at"], back["retired_by"], back["blocked"]) == (None, None, None)
        with api.database.read() as connection:
            row = connection.execute(sa.select(DEFINITION).where(DEFINITION.c.asset_id == ID)).one()
        assert row.published_attributes == {"asset": ID, "sql": "SELECT 1"}
        assert ID in await listed(api.viewer, "ai-catalog/assets")
        assert (await api.editor.post(f"ai-catalog/assets/{ID}:materialize")).status == 202
        assert api.events("ai_catalog.definition.reinstated")[0]["subject"] == ID

    async def test_or_what_was_edited_if_the_former_can_live_no_more(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        await live(api.editor, orchestrator)
        await retire(api.editor)
        await made(api.editor("PATCH", f"/api/v1/{PATH}", json={"attributes": {"asset": ID, "sql": "SELECT 2"}}))
        assert (await made(api.editor.post(f"{PATH}:reinstate", {"edited": True})))["state"] == "PUBLISHED"

    async def test_not_what_is_not_retired(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        assert (await api.editor.post(f"{PATH}:reinstate")).status == 409

    async def test_nobody_reinstates_what_reads_what_they_may_not(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        await live(api.admin, orchestrator, reads=[BRONZE])
        await retire(api.admin)
        ben = await user(api, "ben")
        await grant(api, ben, "rol_editor", "org_default")
        denied = await grant(api, ben, "ai_catalog.asset.preview", BRONZE, effect="DENY")
        refused = await api.caller("ben").post(f"{PATH}:reinstate")
        assert (refused.status, refused.json["errors"][0]["detail"]) == (422, f"reads {BRONZE}")
        assert (await made(api.viewer.get(PATH)))["state"] == "RETIRED"
        assert (await api.admin("DELETE", f"admin/grants/{denied}")).status == 204
        assert (await made(api.caller("ben").post(f"{PATH}:reinstate")))["published_by"] == "ben"

    async def test_no_rights_are_watched_while_it_is_retired(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        """Its publisher may leave meanwhile: it does not run, and comes back under the rights of another user."""
        ben = await user(api, "ben")
        await grant(api, ben, "rol_editor", "org_default")
        await live(api.caller("ben"), orchestrator, reads=[BRONZE])
        await live(api.caller("ben"), orchestrator, OTHER, reads=[BRONZE])
        await retire(api.editor)
        await made(api.admin.post("admin/users/ben:suspend"))
        async with asyncio.timeout(60):
            while (await made(api.viewer.get(f"ai-catalog/definitions/{OTHER}")))["blocked"] is None:
                await asyncio.sleep(0.05)
        assert (await made(api.viewer.get(PATH)))["blocked"] is None
        assert [event["subject"] for event in api.events("ai_catalog.definition.blocked")] == [OTHER]
        assert (await made(api.editor.post(f"{PATH}:reinstate")))["blocked"] is None


class TestDelete:
    async def test_a_live_one_is_retired_first(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        reply = await api.editor("DELETE", f"/api/v1/{PATH}")
        assert (reply.status, "Retire it" in reply.json["detail"]) == (409, True)

    @on_both
    @pytest.mark.effect("ai_catalog_delete_definition")
    async def test_what_never_made_anything_goes_for_good_and_its_id_is_free(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        await live(api.editor, orchestrator, makes=[f"{ID}_quarantine"])
        await retire(api.editor)
        assert (await api.viewer("DELETE", f"/api/v1/{PATH}")).status == 403
        assert (await api.editor("DELETE", f"/api/v1/{PATH}")).status == 204
        assert (await api.editor.get(PATH)).status == 404
        with api.database.read() as connection:
            assert connection.execute(sa.select(ASSET_CLAIM).where(ASSET_CLAIM.c.definition == ID)).all() == []
            assert "flights" not in state_versions.projects(connection)
        orchestrator.nodes.pop(ID)
        await live(api.editor, orchestrator)

    @pytest.mark.parametrize("trace", ["materialization", "run", "table", "erased table", "read", "pin", "other asset"])
    async def test_what_made_something_stays_retired(
        self, api: Api, orchestrator: FakeOrchestrator, trace: str
    ) -> None:
        """Each trace by itself, as if the others had been lost."""
        await live(api.editor, orchestrator, makes=[f"{ID}_rest"])
        await retire(api.editor)
        platform = api.app.platform
        tables, lineage = platform.part(open_tables), platform.part(open_lineage)
        orchestrator.states[ID] = AssetState(Staleness.MISSING)
        match trace:
            case "materialization":
                materialization = Materialization("a@1", AT, "r", None, {})
                orchestrator.states[ID] = AssetState(Staleness.FRESH, materialization=materialization)
            case "run":
                orchestrator.states[ID] = AssetState(Staleness.MISSING, runs_in_progress=("run-1",))
            case "table" | "other asset":
                name = ID if trace == "table" else f"{ID}_rest"
                tables.create_with(name, pa.table({"value": [1]}))
                Ledger(platform.database).forget(name)
            case "erased table":
                Ledger(platform.database).record(ID, "former-table", {0: "0" * 64})
            case "read":
                facts = {"git_sha": "", "env_digest": "", "params_digest": "", "code_version": "1", "engine": "test"}
                ends = {"out_asset": OTHER, "out_version": "o@0", "in_asset": ID, "in_version": "i@0"}
                lineage.record([Edge("run", "step", **ends, in_columns=(), **facts, principal="ann", at=AT)])
            case "pin":
                Pins(platform.database).pin("another", ID, 0)
        reply = await api.editor("DELETE", f"/api/v1/{PATH}")
        assert (reply.status, "stays retired" in reply.json["detail"]) == (409, True)
        assert (await made(api.viewer.get(PATH)))["state"] == "RETIRED"
