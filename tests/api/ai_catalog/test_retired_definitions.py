"""Retiring definitions: what it changes, what prevents it, and who may do it. Real processes have separate tests.

The kind: something that can be made and never unmade, or whose end only some of what knows of it gets to see.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

import pytest

from api.kernel.platform import open_tables
from core.ports import AssetState, Automation, Materialization, Staleness
from lakehouse.pins import Pins
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.retirement import ID, OTHER, PATH, SWITCHES, create, listed, live, retire
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.conformance.operations import ENDPOINTS
from tests.lakehouse_tables import BRONZE, SILVER, make_tables
from tests.orchestration import AT, FakeOrchestrator, node


class TestRetire:
    @pytest.mark.effect("ai_catalog_retire_definition")
    async def test_it_tells_when_and_by_whom_and_the_trail_knows(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        await live(api.editor, orchestrator)
        reported = await retire(api.admin)
        assert (reported["state"], reported["retired_by"], reported["published_by"]) == ("RETIRED", "admin", "editor")
        assert reported["retired_at"] is not None
        assert (await made(api.viewer.get(PATH))) == reported
        event = api.events("ai_catalog.definition")[-1]
        assert (event["type"], event["subject"]) == ("ai_catalog.definition.retired", ID)

    @on_both
    @pytest.mark.parametrize(
        ("path", "kinds"),
        [
            ("ai-catalog/assets", ["delta"]),
            ("ai-catalog/definitions", ["delta"]),
            ("ai-system/models", ["onnx"]),
            ("rag/indexes", ["lancedb"]),
        ],
    )
    async def test_every_list_leaves_it_out_and_shows_it_when_asked(
        self, api: Api, orchestrator: FakeOrchestrator, path: str, kinds: list[str]
    ) -> None:
        await live(api.editor, orchestrator, kinds=kinds)
        assert ID in await listed(api.viewer, path)
        await retire(api.editor)
        assert ID not in await listed(api.viewer, path)
        assert ID in await listed(api.viewer, path, show_retired="true")
        assert (await api.viewer.get(f"{path}/{ID}")).status == 200

    async def test_its_row_says_so_and_nothing_vouches_for_it(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        orchestrator.states[ID] = AssetState(Staleness.FRESH, materialization=Materialization("a@1", AT, "r", None, {}))
        before = (await api.viewer.get(f"ai-catalog/assets/{ID}")).json
        await retire(api.editor)
        after = (await api.viewer.get(f"ai-catalog/assets/{ID}")).json
        seen = ("retired", "executable", "health", "data_version")
        assert [before[name] for name in seen] == [False, True, "HEALTHY", "a@1"]
        assert [after[name] for name in seen] == [True, False, "UNKNOWN", "a@1"]
        only = {"show_retired": "true", "filter": "retired"}
        assert await listed(api.viewer, "ai-catalog/assets", **only) == [ID]

    async def test_nothing_launches_it(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        await retire(api.editor)
        one = await api.editor.post(f"ai-catalog/assets/{ID}:materialize")
        among = await api.editor.post("ai-catalog/assets:materialize", {"assets": [BRONZE, ID]})
        for reply in (one, among):
            assert (reply.status, "is retired" in reply.json["detail"]) == (422, True)
        assert orchestrator.launches == []

    async def test_what_it_made_stays_readable_under_the_same_rights(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        platform = api.app.platform
        make_tables(platform.settings, platform.database)
        theirs = await tenant(api, "acme")
        await made(api.editor.post("ai-catalog/definitions", _definition_of(SILVER, orchestrator)))
        await made(api.editor.post(f"ai-catalog/definitions/{SILVER}:publish"))
        orchestrator.nodes[SILVER] = node(SILVER, location="published")
        Pins(platform.database).pin("another", SILVER, 1)
        parts = ("preview?version=1", "history", "schema?version=0", "lineage", "lineage?version=0", "provenance")
        before = {part: await _part(api.viewer, part) for part in parts}
        orchestrator.nodes.pop("flights.gold.route_delays")
        orchestrator.nodes.pop("flights.gold.daily")
        await retire(api.editor, SILVER)
        assert {part: await _part(api.viewer, part) for part in parts} == before
        for part in parts:
            assert (await theirs.admin.get(f"ai-catalog/assets/{SILVER}/{part}")).status == 404
        sql = {"sql": f"SELECT count(*) AS n FROM {SILVER}"}
        assert (await api.viewer.post("ai-catalog/queries:run", sql)).json["rows"] == [[3]]
        assert platform.part(open_tables).pins.versions(SILVER) == [1]
        deleted = await api.editor("DELETE", f"ai-catalog/definitions/{SILVER}")
        assert deleted.status == 409

    async def test_neither_a_draft_nor_twice(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await made(create(api.editor))
        assert (await api.editor.post(f"{PATH}:retire")).status == 409
        await made(api.editor.post(f"{PATH}:publish"))
        first = await retire(api.editor)
        again = await api.admin.post(f"{PATH}:retire")
        assert (again.status, again.json["metadata"]) == (409, {"state": "RETIRED"})
        assert (await made(api.viewer.get(PATH))) == first

    async def test_each_operation_needs_its_own_right(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        theirs = await tenant(api, "acme")
        ben = await user(api, "ben")
        for right in ("get", "publish", "update", "delete"):
            await grant(api, ben, f"ai_catalog.definition.{right}", "org_default")
        for verb, state in (("retire", "PUBLISHED"), ("reinstate", "RETIRED")):
            assert (await api.viewer.post(f"{PATH}:{verb}")).status == 403
            assert (await api.caller("ben").post(f"{PATH}:{verb}")).status == 403
            assert (await theirs.admin.post(f"{PATH}:{verb}")).status == 404
            assert (await made(api.viewer.get(PATH)))["state"] == state
            await made(api.editor.post(f"{PATH}:{verb}"))


def _definition_of(asset: str, orchestrator: FakeOrchestrator) -> dict[str, Any]:
    orchestrator.nodes.pop(asset)
    return {"component": "SqlTransformComponent", "attributes": {"asset": asset, "sql": "SELECT 1"}}


async def _part(caller: Caller, part: str) -> Any:
    reply = await caller.get(f"ai-catalog/assets/{SILVER}/{part}")
    assert reply.status == 200, reply.response.text
    return reply.json


class TestWhatStillNeedsIt:
    """A definition is not retired under what is live, and the refusal discloses nothing that the caller may not see."""

    async def refused(self, caller: Caller, used_by: list[str], hidden: int = 0) -> str:
        reply = await caller.post(f"{PATH}:retire")
        assert (reply.status, reply.reason) == (409, "STILL_IN_USE"), reply.response.text
        assert reply.json["metadata"] == {"used_by": used_by, "hidden": hidden}
        assert (await made(caller.get(PATH)))["state"] == "PUBLISHED"
        return str(reply.json["detail"])

    async def test_a_live_definition_also_while_it_is_blocked_or_edited(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        await live(api.editor, orchestrator)
        await live(api.editor, orchestrator, OTHER, reads=[ID])
        orchestrator.nodes[OTHER] = node(OTHER)  # as Dagster shows one that is blocked or broken: without inputs
        assert OTHER in await self.refused(api.editor, [OTHER])
        attributes = {"asset": OTHER, "sql": "SELECT 1"}
        await made(api.editor("PATCH", f"/api/v1/ai-catalog/definitions/{OTHER}", json={"attributes": attributes}))
        await self.refused(api.editor, [OTHER])
        await made(api.editor.post(f"ai-catalog/definitions/{OTHER}:publish"))
        await retire(api.editor)

    async def test_neither_a_draft_nor_a_retired_one(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        await made(create(api.editor, "flights.gold.draft", reads=[ID]))
        await live(api.editor, orchestrator, OTHER, reads=[ID])
        await retire(api.editor, OTHER)
        await retire(api.editor)
        refused = await api.editor.post(f"ai-catalog/definitions/{OTHER}:reinstate")
        assert (refused.status, ID in refused.json["detail"]) == (409, True)
        assert (await made(api.viewer.get(f"ai-catalog/definitions/{OTHER}")))["state"] == "RETIRED"

    async def test_an_asset_a_check_or_a_schedule_of_the_code(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        orchestrator.nodes["flights.gold.made"] = node("flights.gold.made", [ID])
        orchestrator.nodes["flights.gold.judged"] = node("flights.gold.judged", compared_with=(ID,))
        daily = dataclasses.replace(orchestrator.schedules["daily"], assets=(ID,))
        orchestrator.schedules["daily"] = daily
        await self.refused(api.editor, ["daily", "flights.gold.judged", "flights.gold.made"])

    async def test_not_what_is_its_own(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        rest = f"{ID}_quarantine"
        await live(api.editor, orchestrator, makes=[rest])
        orchestrator.nodes[rest] = node(rest, [ID], location="published")
        own: Automation = dataclasses.replace(
            orchestrator.sensors["landing"], id="landing__busiest", assets=(ID, rest), location="published"
        )
        orchestrator.sensors[own.id] = own
        await retire(api.editor)
        assert (await api.viewer.get(f"ai-catalog/assets/{rest}")).json["retired"] is True

    async def test_any_asset_of_the_definition_counts(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        rest = f"{ID}_quarantine"
        await live(api.editor, orchestrator, makes=[rest])
        orchestrator.nodes[rest] = node(rest, location="published")
        await live(api.editor, orchestrator, OTHER, reads=[rest])
        await self.refused(api.editor, [OTHER])

    async def test_another_tenants_definition_is_counted_and_never_named(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        theirs = await tenant(api, "acme")
        await live(api.editor, orchestrator)
        for right in ("ai_catalog.asset.get", "ai_catalog.asset.preview"):
            await grant(api, theirs.admin_id, right, ID)
        await live(theirs.admin, orchestrator, "acme_data.gold.copy", reads=[ID])
        await live(api.editor, orchestrator, OTHER, reads=[ID])
        await grant(api, await user(api, "ben"), "rol_editor", "org_default")
        detail = await self.refused(api.caller("ben"), [OTHER], hidden=1)
        assert "acme" not in detail
        assert "1 that you may not see" in detail
        assert "acme_data.gold.copy" in await self.refused(api.admin, ["acme_data.gold.copy", OTHER])


class TestTrying:
    """The kind: a change that the transaction of the request does not hold is made although it was only to be tried."""

    async def test_what_cannot_be_undone_cannot_be_tried(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        calls = [f"{PATH}:publish", f"{PATH}:retire", f"{PATH}:reinstate"]
        calls += [f"ai-catalog/{kind}:{verb}" for kind in ("schedules/daily", "sensors/landing") for verb in SWITCHES]
        before, last = (await made(api.viewer.get(PATH))), api.last_sequence()
        switched = orchestrator.schedules["daily"].running, orchestrator.sensors["landing"].running
        for path in calls:
            reply = await api.editor.post(f"{path}?validate_only=true")
            assert (reply.status, "cannot be validated only" in reply.json["detail"]) == (400, True), path
        assert (await made(api.viewer.get(PATH))) == before
        assert (orchestrator.schedules["daily"].running, orchestrator.sensors["landing"].running) == switched
        assert api.last_sequence() == last
        await retire(api.editor)
        assert (await api.editor("DELETE", f"/api/v1/{PATH}?validate_only=true")).status == 204
        assert (await made(api.viewer.get(PATH)))["state"] == "RETIRED"

    def test_every_operation_that_reaches_beyond_the_database_says_so(self) -> None:
        beyond = re.compile(
            r"orchestrator\.(start|stop)_|publisher_of\(ctx\)\.(publish|retire|reinstate)\("
            r"|blobs\.join|store_part\(|compute\((push|_store),|orchestrator\.terminate\(|await _show\(ctx\)"
            r"|asking\.(test|rotate)\((found\.|S3_)|await _vend(ed)?\(|await check\(ctx\."
        )
        found = {one for one in ENDPOINTS if beyond.search(inspect.getsource(one.declared or one.function))}
        assert {one for one in ENDPOINTS if one.outside} == found
        assert len(found) == 23


class TestItsIdStaysTaken:
    async def test_by_a_definition_of_the_same_asset(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        await retire(api.editor)
        again = await create(api.editor)
        assert again.status == 409
        orchestrator.nodes.pop(ID)
        again = await create(api.editor)
        assert (again.status, "retired" in again.json["detail"]) == (409, True)
        published = await api.editor.post(f"{PATH}:publish")
        assert (published.status, "Reinstate it" in published.json["detail"]) == (409, True)

    @on_both
    async def test_by_another_definition_that_would_make_it(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        await retire(api.editor)
        await made(create(api.editor, OTHER, makes=[ID]))
        reply = await api.editor.post(f"ai-catalog/definitions/{OTHER}:publish")
        assert (reply.status, "retired definition" in reply.json["detail"]) == (409, True)
        assert (await made(api.viewer.get(f"ai-catalog/definitions/{OTHER}")))["state"] == "DRAFT"

    async def test_nothing_new_reads_it(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        await live(api.editor, orchestrator)
        await retire(api.editor)
        await made(create(api.editor, OTHER, reads=[ID]))
        reply = await api.editor.post(f"ai-catalog/definitions/{OTHER}:publish")
        assert (reply.status, "retired" in reply.json["detail"]) == (409, True)
