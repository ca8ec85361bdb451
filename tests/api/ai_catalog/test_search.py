"""Search: it finds what callers can see by any of its texts, and tells nothing of the rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from api.kernel.platform import open_tables
from api.kernel.search.feed import open_index
from api.kernel.search.index import Position
from api.services.ai_catalog.logic.search_documents import open_feed
from core.events import EVENT
from tests.api.admin.tenants import grant, tenant, user
from tests.api.admin.test_projects import ended
from tests.api.ai_catalog.test_runs import experiment, run
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, made


async def search(caller: Caller, **query: Any) -> dict[str, Any]:
    reply = await caller.get("ai-catalog/search", params=query)
    assert reply.status == 200, reply.response.text
    return dict(reply.json)


async def found(caller: Caller, **query: Any) -> list[str]:
    return [item["name"] for item in (await search(caller, **query))["items"]]


def counted(page: dict[str, Any], facet: str) -> dict[str, int]:
    return {one["value"]: one["count"] for one in page["facets"][facet]}


async def model(api: Api, name: str, **spec: Any) -> dict[str, Any]:
    body = {"name": name, "project_id": "flights", "spec": {"title": name, **spec}}
    reply = await api.editor.post("ai-catalog/registered-models", body)
    assert reply.status == 201, reply.response.text
    return dict(reply.json)


class TestWords:
    @on_both
    async def test_an_item_is_found_by_each_of_its_texts(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        """Name, title, description, tag, group, kind of an asset, column of its table, name and tag of a run."""
        id = await experiment(api, "punctuality")
        await run(api, experiment_id=id, name="brave-otter", tags={"stage": "night"})
        await model(api, "arrival-delay", title="Delay of arrivals", description="Gradient-boosted trees.")
        prompt = {"name": "greeting", "project_id": "flights", "spec": {"title": "Welcome"}}
        prompt_id = (await api.editor.post("ai-catalog/prompts", prompt)).json["id"]
        version = {"prompt_id": prompt_id, "messages": [{"content": "Hello"}]}
        assert (await api.editor.post("ai-catalog/prompt-versions", version)).status == 201
        tables = api.app.platform.part(open_tables)
        tables.overwrite("flights.gold.daily", pa.table({"carrier_code": ["AA"]}))
        orchestrator.states["flights.gold.daily"] = replace(
            orchestrator.states["flights.gold.daily"], materialization=made("abc@0")
        )
        for words, expected in {
            "punctuality": "punctuality",
            "otter": "brave-otter",
            "night": "brave-otter",
            "arrivals": "arrival-delay",
            "boosted": "arrival-delay",
            "arrival trees": "arrival-delay",
            "route_delays": "flights.gold.route_delays",
            "duckdb": "flights.gold.route_delays",
            "carrier_code": "flights.gold.daily",
            "ARRIV": "arrival-delay",
            "welcome version": "Welcome version 1",
        }.items():
            assert expected in await found(api.viewer, q=words), words
        assert await found(api.viewer, q="arrival otter") == []

    async def test_typos_match_only_if_nothing_else_does(self, api: Api) -> None:
        await experiment(api, "punctuality")
        await experiment(api, "functuality")
        page = await search(api.viewer, q="punctuallity")
        assert page["items"][0]["name"] == "punctuality"
        assert page["typos"]
        exact = await search(api.viewer, q="punctuality")
        assert ([item["name"] for item in exact["items"]], exact["typos"]) == (["punctuality"], False)
        assert await found(api.viewer, q="xyz") == []

    async def test_a_match_in_the_name_comes_before_one_in_the_description(self, api: Api) -> None:
        await experiment(api, "weather")
        await model(api, "storms", description="Reads the weather " * 20)
        assert await found(api.viewer, q="weather") == ["weather", "storms"]

    async def test_the_excerpt_shows_what_matches_in_characters(self, api: Api) -> None:
        await experiment(api)
        await model(api, "zurich", description="Flüge über Zürich: das Wetter, die Verspätung und die Höhe.")
        (item,) = (await search(api.viewer, q="verspatung"))["items"]
        assert [item["excerpt"][one["start"] : one["end"]] for one in item["matches"]] == ["Verspätung"]

    @pytest.mark.parametrize("words", ["", "*", "name:x OR kind:y", 'a"b', "((", "ﬂights", "fl\u0000ights", "-flights"])
    async def test_words_are_never_a_query_language(self, api: Api, words: str) -> None:
        reply = await api.viewer.get("ai-catalog/search", params={"q": words})
        assert reply.status in (200, 400)
        if reply.status == 400:
            assert reply.json["detail"]

    async def test_a_search_has_few_words(self, api: Api) -> None:
        """The kind: the work of a search grows with its words, and each single letter begins thousands of terms."""
        assert await found(api.viewer, q=" ".join("a" * 16)) == []
        reply = await api.viewer.get("ai-catalog/search", params={"q": " ".join("a" * 17)})
        assert (reply.status, "at most 16" in reply.json["detail"]) == (400, True)


class TestVisibility:
    async def test_another_tenant_finds_and_counts_nothing(self, api: Api) -> None:
        await experiment(api, "secret")
        other = await tenant(api, "other")
        for query in ({}, {"q": "secret"}, {"q": "secert"}, {"project": "flights"}, {"kind": "ai_catalog.asset"}):
            page = await search(other.admin, **query)
            assert (page["items"], page["total"]) == ([], 0), query
            assert not any(page["facets"].values()), query
        assert (await search(api.viewer))["total"] > 5

    @on_both
    async def test_a_word_of_hidden_items_does_not_change_the_answer(self, api: Api) -> None:
        """The kind: statistics of the whole index decide whether typos are tried."""
        await experiment(api, "zeppelin")
        other = await tenant(api, "other")
        body = {"name": "zeppelim", "project_id": other.project, "spec": {"title": "zeppelim"}}
        assert (await other.admin.post("ai-catalog/experiments", body)).status == 201
        page = await search(other.admin, q="zeppelin")
        assert ([item["name"] for item in page["items"]], page["typos"]) == (["zeppelim"], True)

    @on_both
    async def test_grants_denials_and_conditions_count_as_in_lists(self, api: Api) -> None:
        await experiment(api, "one")
        two = (await model(api, "two"))["id"]
        three = await model(api, "three")
        ana = await user(api, "ana")
        caller = api.caller("ana")
        assert await found(caller) == []
        await grant(api, ana, "rol_viewer", two)
        assert await found(caller) == ["two"]
        await grant(api, ana, "rol_viewer", three["project_id"], condition='name == "three"')
        assert sorted(await found(caller)) == ["three", "two"]
        await grant(api, ana, "rol_viewer", three["project_id"])
        assert set(await found(caller, kind="ai_catalog.registered_model")) == {"two", "three"}
        await grant(api, ana, "ai_catalog.registered_model.get", two, effect="DENY")
        page = await search(caller, kind="ai_catalog.registered_model")
        assert ([item["name"] for item in page["items"]], page["total"]) == (["three"], 1)
        await grant(api, ana, "ai_catalog.asset.get", "flights.gold.daily", effect="DENY")
        assert "flights.gold.daily" not in await found(caller, kind="ai_catalog.asset")
        listed = {item["id"] for item in (await caller.get("ai-catalog/assets")).json["items"]}
        assert listed == set(await found(caller, kind="ai_catalog.asset"))

    async def test_a_key_finds_only_what_its_scopes_allow(self, api: Api) -> None:
        await experiment(api, "one")
        key = await api.viewer.post("admin/api-keys", {"label": "k", "scopes": ["ai_catalog.asset.*"]})
        caller = Caller(api.app, key.json["secret"])
        kinds = {item["kind"] for item in (await search(caller))["items"]}
        assert kinds == {"ai_catalog.asset"}

    async def test_tables_of_the_audit_log_need_the_right_to_read_it(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.nodes["platform.audit.events"] = replace(
            orchestrator.nodes["flights.gold.daily"], id="platform.audit.events"
        )
        assert "platform.audit.events" in await found(api.admin, q="audit")
        assert await found(api.viewer, q="audit") == []

    async def test_items_follow_their_project_to_another_organization(self, api: Api) -> None:
        await experiment(api, "moving")
        other = await tenant(api, "other")
        moved = await api.admin.post("admin/projects/flights:move", {"organization_id": other.organization})
        await ended(api, moved.json["id"])
        async with asyncio.timeout(60):  # a process reads what moved once a second
            while await found(other.admin, q="moving") != ["moving"]:
                await asyncio.sleep(0.1)
        assert (await search(api.caller("viewer"), project="flights"))["total"] > 0, "of the whole platform"


class TestFreshness:
    async def test_changes_are_found_at_once_and_deleted_items_never(self, api: Api) -> None:
        id = await experiment(api, "before")
        await run(api, experiment_id=id, name="child")
        assert await found(api.viewer, q="before") == ["before"]
        assert (
            await api.editor("PATCH", f"ai-catalog/experiments/{id}", json={"spec": {"title": "afterwards"}})
        ).status == 200
        assert await found(api.viewer, q="afterwards") == ["before"]
        assert (await api.editor("DELETE", f"ai-catalog/experiments/{id}")).status == 204
        assert await found(api.viewer, q="before") == []
        assert await found(api.viewer, q="child") == []
        assert (await api.editor.post(f"ai-catalog/experiments/{id}:restore", {})).status == 200
        assert await found(api.viewer, q="child") == ["child"]

    async def test_an_asset_that_is_gone_is_not_found(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        assert "flights.gold.daily" in await found(api.viewer, q="daily")
        del orchestrator.nodes["flights.gold.daily"]
        page = await search(api.viewer, q="daily")
        assert (page["items"], page["total"]) == ([], 0)

    async def test_a_process_that_does_not_write_the_index_says_how_far_it_is_behind(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        id = await experiment(api, "early")
        assert (await search(api.viewer))["events_behind"] == 0
        monkeypatch.setattr(api.app.platform.part(open_index), "begin", lambda: False)
        await experiment(api, "late")
        page = await search(api.viewer, q="late")
        assert (page["items"], page["events_behind"] > 0, page["seconds_behind"] > 0) == ([], True, True)
        assert (await api.editor("DELETE", f"ai-catalog/experiments/{id}")).status == 204
        assert await found(api.viewer, q="early") == [], "what was deleted since is not shown"

    async def test_an_index_of_another_database_is_built_again(self, api: Api) -> None:
        await experiment(api, "kept")
        platform = api.app.platform
        index, feed = platform.part(open_index), platform.part(open_feed)
        assert feed.catch_up()
        index.clear()
        index.commit(Position("another database", 10**6))
        feed._position = None
        assert await found(api.viewer, q="kept") == ["kept"]

    @on_both
    async def test_a_round_that_fails_leaves_the_last_commit(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        await experiment(api, "first")
        assert await found(api.viewer, q="first") == ["first"]
        feed = api.app.platform.part(open_feed)
        with monkeypatch.context() as patched:
            patched.setattr(feed, "_changed_assets", lambda index: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                feed.catch_up()
        await experiment(api, "second")
        assert await found(api.viewer, q="second") == ["second"]

    async def test_erased_projects_leave_the_index(self, api: Api) -> None:
        await experiment(api, "kept")
        index, feed = api.app.platform.part(open_index), api.app.platform.part(open_feed)
        feed.catch_up()
        from api.kernel.search.document import Document

        index.put([Document(kind="ai_catalog.experiment", id="exp_x", scope="prj_erased", name="ghost")])
        index.commit(index.position())
        assert "prj_erased" in index.scopes()
        await tenant(api, "other")
        feed.catch_up()
        assert "prj_erased" not in index.scopes()


class TestPagesAndFacets:
    @on_both
    async def test_pages_hold_everything_once_and_facets_count_it(self, api: Api) -> None:
        id = await experiment(api, "trees")
        for number in range(7):
            await run(api, experiment_id=id, name=f"fir-{number}", tags={"side": "left" if number % 2 else "right"})
        pages, token = [], ""
        while token is not None:
            page = await search(api.viewer, q="fir", page_size=3, page_token=token)
            pages.append([item["name"] for item in page["items"]])
            token = page["next_page_token"]
        assert [len(one) for one in pages] == [3, 3, 1]
        assert sorted(name for names in pages for name in names) == [f"fir-{number}" for number in range(7)]
        assert page["total"] == 7
        assert counted(page, "kind") == {"ai_catalog.run": 7}
        assert counted(page, "project") == {"flights": 7}
        assert counted(page, "label") == {"side=left": 3, "side=right": 4}
        narrowed = await search(api.viewer, q="fir", label="side=left", kind="ai_catalog.run", project="flights")
        assert narrowed["total"] == 3
        assert (await search(api.viewer, q="fir", project="nowhere"))["total"] == 0

    async def test_a_token_of_another_search_is_refused(self, api: Api) -> None:
        token = (await search(api.viewer, page_size=1))["next_page_token"]
        for query in ({"q": "flights", "page_token": token}, {"page_token": "x"}, {"page_token": token + "A"}):
            assert (await api.viewer.get("ai-catalog/search", params=query)).status == 400, query

    async def test_an_owner_is_a_facet(self, api: Api) -> None:
        await experiment(api, "mine")
        page = await search(api.viewer, kind="ai_catalog.experiment")
        (owner,) = counted(page, "owner")
        assert await found(api.viewer, owner=owner) == ["mine"]


@on_both
async def test_events_of_other_kinds_change_nothing(api: Api) -> None:
    """The kind: each change of anything makes a commit, which costs a write to the disk."""
    await experiment(api, "kept")
    feed, index = api.app.platform.part(open_feed), api.app.platform.part(open_index)
    feed.catch_up()
    before = index.position()
    await user(api, "ana")
    feed.catch_up()
    assert index.position() == before
    assert feed.lag().events == 0
    with api.database.read() as connection:
        assert connection.execute(sa.select(sa.func.max(EVENT.c.sequence))).scalar() > before.sequence
