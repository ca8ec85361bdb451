"""Definitions: written as drafts, published, refused with reasons. The real publisher has separate tests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, Reply
from tests.orchestration import FakeOrchestrator, FakePublisher, node

ID = "flights.gold.busiest"
PATH = f"/api/v1/ai-catalog/definitions/{ID}"


async def create(caller: Caller, **attributes: Any) -> Reply:
    body = {"component": "SqlTransformComponent", "attributes": {"asset": ID, "sql": "SELECT 1", **attributes}}
    return await caller.post("ai-catalog/definitions", body)


class TestCreateDefinition:
    async def test_stores_a_draft_that_is_not_live(self, api: Api) -> None:
        made = await create(api.editor)
        assert (made.status, made.json["id"], made.json["state"], made.json["revision"]) == (201, ID, "DRAFT", 1)
        assert (made.json["created_by"], made.json["published_at"]) == ("editor", None)
        (event,) = api.events("ai_catalog.definition")
        assert (event["type"], event["subject"]) == ("ai_catalog.definition.created", ID)

    @on_both
    async def test_an_id_is_taken_by_a_definition_or_by_an_asset(self, api: Api) -> None:
        await create(api.editor)
        assert (await create(api.editor)).status == 409
        assert (await create(api.editor, asset="flights.silver.flights")).status == 409

    @pytest.mark.parametrize("asset", [None, 5, "two.parts", "Upper.case.id", "../../etc/passwd", "a.b.c.d", "a..c"])
    async def test_the_id_must_be_an_asset_id(self, api: Api, asset: Any) -> None:
        reply = await create(api.editor, asset=asset)
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/attributes/asset")

    async def test_text_that_no_database_keeps_is_refused(self, api: Api) -> None:
        assert (await create(api.editor, sql="SELECT '\x00'")).status == 422


class TestComponents:
    @pytest.mark.effect("ai_catalog_components_definitions")
    async def test_each_has_the_schema_of_its_attributes(self, api: Api) -> None:
        (component,) = (await api.viewer.get("ai-catalog/definitions:components")).json["items"]
        assert (component["name"], component["description"]) == ("SqlTransformComponent", "A table from SQL.")
        assert component["attributes"]["required"] == ["asset", "sql"]
        assert (await api.anonymous.get("ai-catalog/definitions:components")).status == 401


class TestUpdateDefinition:
    async def test_a_live_one_becomes_modified_and_stays_live_as_it_was(self, api: Api) -> None:
        await create(api.editor)
        assert (await api.editor.post(f"ai-catalog/definitions/{ID}:publish")).json["state"] == "PUBLISHED"
        attributes = {"asset": ID, "sql": "SELECT 2"}
        changed = await api.editor("PATCH", PATH, json={"attributes": attributes})
        assert (changed.json["state"], changed.json["revision"]) == ("MODIFIED", 2)
        again = await api.editor("PATCH", PATH, json={"attributes": {"asset": ID, "sql": "SELECT 1"}})
        assert again.json["state"] == "PUBLISHED", "as it was published"

    @on_both
    async def test_merge_patch_is_accepted_by_its_own_type(self, api: Api) -> None:
        await create(api.editor)
        headers = {"content-type": "application/merge-patch+json"}
        reply = await api.editor("PATCH", PATH, content=b'{"component": "SparkTransformComponent"}', headers=headers)
        assert reply.json["component"] == "SparkTransformComponent"

    async def test_a_change_of_a_version_that_the_caller_did_not_see_is_refused(self, api: Api) -> None:
        """Also by `:publish`, which would make attributes live that the caller never read."""
        id = (await create(api.editor)).json["id"]
        path = f"ai-catalog/definitions/{id}"
        seen = (await api.editor.get(path)).headers["etag"]
        change = {"attributes": {"asset": id, "sql": "SELECT 2"}}
        assert (await api.editor("PATCH", path, json=change, headers={"if-match": seen})).status == 200
        for method, address, body in (
            ("PATCH", path, change),
            ("POST", f"{path}:publish", {}),
            ("DELETE", path, None),
        ):
            options = {} if body is None else {"json": body}
            late = await api.editor(method, address, headers={"if-match": seen}, **options)
            assert (late.status, late.reason) == (412, "PRECONDITION_FAILED"), address
        current = (await api.editor.get(path)).headers["etag"]
        assert (await api.editor.post(f"{path}:publish", {}, headers={"if-match": current})).status == 200

    async def test_it_keeps_its_asset(self, api: Api) -> None:
        await create(api.editor)
        reply = await api.editor("PATCH", PATH, json={"attributes": {"asset": "flights.gold.other"}})
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/attributes/asset")


class TestPublishDefinition:
    @pytest.mark.effect("ai_catalog_validate_definition")
    async def test_what_cannot_be_built_is_refused_with_its_place_and_stays_a_draft(self, api: Api) -> None:
        body = {"component": "SqlTransformComponent", "attributes": {"asset": ID}}
        await api.editor.post("ai-catalog/definitions", body)
        validation = await api.viewer.post(f"ai-catalog/definitions/{ID}:validate")
        assert validation.json == {
            "publishable": False,
            "errors": [{"pointer": "/attributes/sql", "detail": "is required"}],
            "assets": [],
            "reads": [],
            "changes": [],
            "not_checked": [],
        }
        reply = await api.editor.post(f"ai-catalog/definitions/{ID}:publish")
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/attributes/sql")
        assert (await api.viewer.get(f"ai-catalog/definitions/{ID}")).json["state"] == "DRAFT"

    async def test_what_it_makes_and_reads_is_told_before(self, api: Api) -> None:
        await create(api.editor, reads=["flights.silver.flights"], makes=["flights.gold.other"])
        found = (await api.editor.post(f"ai-catalog/definitions/{ID}:validate")).json
        assert (found["assets"], found["reads"]) == ([ID, "flights.gold.other"], ["flights.silver.flights"])

    async def test_what_it_means_for_the_table_that_is_there_is_told(self, api: Api) -> None:
        change = {
            "table": ID,
            "column": "amount",
            "effect": "WIDENED",
            "detail": "amount is widened from int32 to int64; all rows are rewritten once.",
            "pointer": "/attributes/columns/amount/type",
        }
        unknown = {"pointer": "/attributes/source", "reason": "Files are read by a run."}
        attributes = {"asset": ID, "sql": "SELECT 1", "changes": [change], "not_checked": [unknown]}
        await api.editor.post("ai-catalog/definitions", {"component": "DatasetComponent", "attributes": attributes})
        validation = await api.viewer.post(f"ai-catalog/definitions/{ID}:validate")
        assert validation.json == {
            "publishable": True,
            "errors": [],
            "assets": [ID],
            "reads": [],
            "changes": [change],
            "not_checked": [unknown],
        }

    async def test_reads_nothing_that_its_publisher_may_not_read(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        theirs = await tenant(api, "acme")
        orchestrator.nodes["acme_data.gold.salaries"] = node("acme_data.gold.salaries")
        await grant(api, await user(api, "ben"), "rol_editor", "org_default")
        readable = next(iter(orchestrator.nodes))
        for who, reads, status in (
            (api.caller("ben"), "acme_data.gold.salaries", 422),
            (api.caller("ben"), "flights.gold.of_nobody", 422),
            (api.caller("ben"), readable, 200),
        ):
            await create(who, reads=[reads])
            checked = (await who.post(f"ai-catalog/definitions/{ID}:validate")).json
            reply = await who.post(f"ai-catalog/definitions/{ID}:publish")
            assert (reply.status, checked["publishable"]) == (status, status == 200), reply.response.text
            if status == 422:
                assert reply.json["errors"] == [{"pointer": "/attributes", "detail": f"reads {reads}"}]
                assert (await who("DELETE", PATH)).status == 204
        own = "acme_data.gold.sums"
        await create(theirs.admin, asset=own, reads=["acme_data.gold.salaries"])
        assert (await theirs.admin.post(f"ai-catalog/definitions/{own}:publish")).status == 200

    async def test_tells_who_published_it(self, api: Api) -> None:
        await create(api.editor)
        live = (await api.admin.post(f"ai-catalog/definitions/{ID}:publish")).json
        assert (live["state"], live["published_by"]) == ("PUBLISHED", "admin")
        assert api.events("ai_catalog.definition")[-1]["type"] == "ai_catalog.definition.published"


class TestRightsOfThePublisher:
    """A definition shows what it reads: only for as long as its publisher may read that."""

    async def blocked(self, api: Api, wanted: bool) -> str | None:
        async with asyncio.timeout(60):
            while bool(why := (await api.admin.get(PATH)).json["blocked"]) is not wanted:
                await asyncio.sleep(0.05)
            publisher = api.app.platform.publisher
            assert isinstance(publisher, FakePublisher)
            while not publisher.reconciled or publisher.reconciled[-1] != ({ID: why} if wanted else {}):
                await asyncio.sleep(0.05)
        return why  # type: ignore[no-any-return]

    def event_types(self, api: Api) -> list[str]:
        return [event["type"].rpartition(".")[2] for event in api.events("ai_catalog.definition")]

    @on_both
    async def test_its_asset_stops_when_they_end_and_goes_on_when_they_are_back(self, api: Api) -> None:
        ben = await user(api, "ben")
        given = await grant(api, ben, "rol_editor", "org_default")
        await create(api.caller("ben"), reads=["flights.silver.flights"])
        assert (await api.caller("ben").post(f"ai-catalog/definitions/{ID}:publish")).json["blocked"] is None
        assert (await api.admin("DELETE", f"admin/grants/{given}")).status == 204
        why = await self.blocked(api, True)
        assert str(why).startswith("Its publisher ben can no longer read its inputs.")
        assert self.event_types(api) == ["created", "published", "blocked"]
        await grant(api, ben, "rol_editor", "org_default")
        await self.blocked(api, False)
        assert self.event_types(api) == ["created", "published", "blocked", "unblocked"]

    async def test_a_single_input_is_enough_and_others_stay(self, api: Api) -> None:
        ben = await user(api, "ben")
        await grant(api, ben, "rol_editor", "org_default")
        other = "flights.gold.other"
        await create(api.caller("ben"), reads=["flights.silver.flights", "flights.bronze.flights"])
        await create(api.caller("ben"), asset=other, reads=["flights.bronze.flights"])
        for id in (ID, other):
            assert (await api.caller("ben").post(f"ai-catalog/definitions/{id}:publish")).status == 200
        deny = {"effect": "DENY", "securable_kind": "ai_catalog.asset"}
        await grant(api, ben, "ai_catalog.asset.preview", "flights.silver.flights", **deny)
        await self.blocked(api, True)
        assert (await api.admin.get(f"ai-catalog/definitions/{other}")).json["blocked"] is None

    async def test_who_may_read_it_takes_over_what_somebody_left(self, api: Api) -> None:
        await grant(api, await user(api, "ben"), "rol_editor", "org_default")
        await create(api.caller("ben"), reads=["flights.silver.flights"])
        await api.caller("ben").post(f"ai-catalog/definitions/{ID}:publish")
        await made(api.admin.post("admin/users/ben:suspend"))
        await self.blocked(api, True)
        live = (await api.editor.post(f"ai-catalog/definitions/{ID}:publish")).json
        assert (live["published_by"], live["blocked"]) == ("editor", None)
        await grant(api, await user(api, "eve"), "rol_viewer", "org_default")  # another look at all rights
        await asyncio.sleep(2.5)
        assert (await api.admin.get(PATH)).json["blocked"] is None


class TestDeleteDefinition:
    async def test_removes_a_draft_and_keeps_what_is_live(self, api: Api) -> None:
        await create(api.editor)
        assert (await api.editor("DELETE", PATH)).status == 204
        assert (await api.editor.get(f"ai-catalog/definitions/{ID}")).status == 404
        await create(api.editor)
        await api.editor.post(f"ai-catalog/definitions/{ID}:publish")
        assert (await api.editor("DELETE", PATH)).status == 409


class TestListDefinitions:
    @on_both
    async def test_pages_and_filters(self, api: Api) -> None:
        for name in ("a", "b", "c"):
            await create(api.editor, asset=f"flights.gold.{name}")
        page = (await api.viewer.get("ai-catalog/definitions", params={"page_size": 2})).json
        assert [item["id"] for item in page["items"]] == ["flights.gold.a", "flights.gold.b"]
        params = {"page_token": page["next_page_token"], "filter": 'project == "flights"'}
        rest = (await api.viewer.get("ai-catalog/definitions", params=params)).json
        assert [item["id"] for item in rest["items"]] == ["flights.gold.c"]


class TestAutomation:
    @pytest.mark.parametrize("kind", ["schedules/daily", "sensors/landing"])
    @pytest.mark.effect(
        "ai_catalog_start_schedule", "ai_catalog_start_sensor", "ai_catalog_stop_schedule", "ai_catalog_stop_sensor"
    )
    async def test_is_stopped_and_started(self, api: Api, orchestrator: FakeOrchestrator, kind: str) -> None:
        for verb, state in (("start", "RUNNING"), ("stop", "STOPPED"), ("stop", "STOPPED"), ("start", "RUNNING")):
            reply = await api.editor.post(f"ai-catalog/{kind}:{verb}")
            assert (reply.status, reply.json["state"]) == (200, state)
            assert (await api.viewer.get(f"ai-catalog/{kind}")).json["state"] == state
        events = [event["type"].rpartition(".")[2] for event in api.events("ai_catalog.")]
        assert events == ["started", "stopped", "stopped", "started"]

    async def test_tells_when_it_fires_and_why_it_did_not(self, api: Api) -> None:
        assert (await api.viewer.get("ai-catalog/schedules/daily")).json["cron"] == "0 2 * * *"
        tick = (await api.viewer.get("ai-catalog/sensors/landing")).json["last_tick"]
        assert (tick["status"], tick["message"]) == ("SKIPPED", "nothing new")

    async def test_a_failed_change_leaves_a_row_that_says_so(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        orchestrator.away = True
        assert (await api.editor.post("ai-catalog/schedules/daily:stop")).status == 503
        (event,) = api.events("ai_catalog.schedule")
        assert event["type"] == "ai_catalog.schedule.stop_failed"
        assert (event["data"]["outcome"], event["data"]["reason"]) == ("failed", "UNAVAILABLE")

    async def test_an_unknown_one_is_named_with_what_exists(self, api: Api) -> None:
        reply = await api.viewer.get("ai-catalog/schedules/dayly")
        assert (reply.status, reply.json["metadata"]["similar"]) == (404, ["daily"])
