"""Tags: a column has the tags of the columns that it is computed from, until an admin overrules that."""

from __future__ import annotations

import asyncio

import pytest

from api.services.ai_catalog.logic.column_tags import column_tags
from api.services.ai_catalog.tag_tables import TAG_ASSIGNMENT
from tests.api.admin.tenants import grant, made, tenant
from tests.api.ai_catalog.provenance_tables import sees_only
from tests.api.ai_catalog.tagging import BRONZE, DAILY, DELAYS, SILVER, Chain, new_tag, tagged, tags, target
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node


@pytest.fixture
async def chain(api: Api) -> Chain:
    chain = Chain(api)
    await chain.begin()
    return chain


def names(api: Api, asset: str, *columns: str) -> dict[str, frozenset[str]]:
    with api.database.read() as connection:
        return column_tags(connection, "org_default", asset, columns)


@on_both
@pytest.mark.effect("ai_catalog_assign_tag", "ai_catalog_unassign_tag")
async def test_a_derived_column_has_the_tag_of_its_source_until_it_ends(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    report = await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    assert (report["changed"], report["unchanged"]) == ([{"id": BRONZE, "column": "mail"}], 0)
    assert await tags(api.viewer, BRONZE) == {"mail pii:email STATED"}
    assert await tags(api.viewer, SILVER) == {"domain pii:email PROPAGATED"}
    assert await tags(api.viewer, DELAYS) == {"host pii:email PROPAGATED"}
    assert await tags(api.viewer, DAILY) == {"day pii:email PROPAGATED"}, "its columns are unknown"
    assert names(api, DELAYS, "route")["route"] == frozenset()
    assert names(api, DELAYS)["host"] == {"pii", "pii:email"}
    again = await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    assert (again["changed"], again["unchanged"]) == ([], 1)
    (one,) = (await api.viewer.get(f"ai-catalog/tags/{pii}/assignments")).json["items"]
    assert (one["id"], one["column"], one["assigned_by"]) == (BRONZE, "mail", "editor")
    ended = await tagged(api.admin, pii, "unassign", target(BRONZE, "mail"), value="email", reason="Test addresses")
    assert len(ended["changed"]) == 1
    assert await tags(api.viewer, DAILY) == set()
    (past,) = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/tag-history")).json["items"]
    assert (past["assigned_by"], past["ended_by"]) == ("editor", "admin")
    (event,) = api.events("ai_catalog.tag.unassigned")
    assert event["data"]["reason"] == "Test addresses"


async def test_a_new_column_has_the_tag_as_soon_as_its_run_is_recorded(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    chain.make_silver(local=[(BRONZE, "mail"), (BRONZE, "id")], constant=[])
    assert await tags(api.viewer, SILVER) == {"domain pii:email PROPAGATED", "local pii:email PROPAGATED"}
    chain.make(SILVER, {"id": [(BRONZE, "id")], "domain": [(BRONZE, "id")]}, BRONZE, id=[1], domain=[1])
    assert "domain pii:email PROPAGATED" in await tags(api.viewer, SILVER), "earlier versions can still be read"
    assert names(api, SILVER, "unheard_of")["unheard_of"] == {"pii", "pii:email"}


@pytest.mark.effect("ai_catalog_overrule_tag", "ai_catalog_reinstate_tag")
async def test_an_overruled_tag_does_not_come_back_with_a_run(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    body = {"targets": [target(SILVER)], "reason": "x"}
    assert (await api.editor.post(f"ai-catalog/tags/{pii}:overrule", body)).status == 403
    await tagged(api.admin, pii, "overrule", target(SILVER, "domain"), reason="A domain is no person")
    for _ in range(2):
        assert await tags(api.viewer, SILVER) == {"domain pii OVERRULED"}
        assert await tags(api.viewer, DELAYS) == set()
        chain.make_silver()
    (one,) = (await api.viewer.get(f"ai-catalog/assets/{SILVER}/tags")).json["items"]
    assert (one["reason"], one["assigned_by"]) == ("A domain is no person", "admin")
    await tagged(api.editor, pii, "assign", target(SILVER, "domain"), value="phone")
    assert await tags(api.viewer, DELAYS) == {"host pii:phone PROPAGATED"}, "what is stated here isn't inherited"
    await tagged(api.editor, pii, "reinstate", target(SILVER, "domain"))
    assert await tags(api.viewer, DELAYS) == {"host pii:phone PROPAGATED", "host pii:email PROPAGATED"}


@on_both
async def test_two_who_overrule_at_once_state_it_once(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    requests = [tagged(api.admin, pii, "overrule", target(SILVER, "id", "domain"), reason=str(n)) for n in range(4)]
    reports = await asyncio.gather(*requests)
    assert sorted(len(one["changed"]) for one in reports) == [0, 0, 0, 2]
    with api.database.read() as connection:
        assert len(connection.execute(TAG_ASSIGNMENT.select()).all()) == 2


async def test_a_tag_of_a_whole_asset_holds_for_each_column(api: Api, chain: Chain) -> None:
    secret = await new_tag(api.admin, "secret", values=[])
    local = await new_tag(api.admin, "checked", values=[], propagates=False)
    for tag in (secret, local):
        await tagged(api.editor, tag, "assign", target(SILVER))
    assert await tags(api.viewer, SILVER) == {"* secret STATED", "* checked STATED"}
    assert names(api, SILVER, "any")["any"] == {"secret", "checked"}
    assert await tags(api.viewer, DELAYS) == {"route secret PROPAGATED", "host secret PROPAGATED"}
    await tagged(api.admin, secret, "overrule", target(DELAYS), reason="Only totals")
    assert await tags(api.viewer, DELAYS) == {"* secret OVERRULED"}


async def test_tables_that_are_made_of_one_another_share_their_tags(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    chain.make(BRONZE, {"id": [(DELAYS, "host")], "mail": []}, DELAYS, id=[1], mail=["x"])
    await tagged(api.editor, pii, "assign", target(DELAYS, "host"), value="phone")
    assert await tags(api.viewer, SILVER) == {"id pii:phone PROPAGATED"}
    assert await tags(api.viewer, DELAYS) == {"host pii:phone STATED", "route pii:phone PROPAGATED"}


@on_both
async def test_models_and_feature_views_have_tags(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    project = (await api.admin.get("admin/projects", params={"filter": 'name == "flights"'})).json["items"][0]["id"]
    body = {"name": "price", "project_id": project, "spec": {"title": "Price"}}
    model = (await made(api.admin.post("ai-catalog/registered-models", body)))["id"]
    await tagged(api.editor, pii, "assign", target(model), value="email")
    (one,) = (await api.viewer.get(f"ai-catalog/tags/{pii}/assignments")).json["items"]
    assert (one["id"], one["column"]) == (model, None)
    for wrong in (target(model, "x"), target("rmd_06e1xq0000exampe0000000000"), target("usr_admin"), target("x")):
        body = {"targets": [wrong], "value": "email"}
        assert (await api.editor.post(f"ai-catalog/tags/{pii}:assign", body)).status == 422
    overruled = {"targets": [target(model)], "reason": "x"}
    assert (await api.admin.post(f"ai-catalog/tags/{pii}:overrule", overruled)).status == 422


async def test_keys_and_values_do_not_look_alike(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    for name in ("PII", "p\u0456\u0456", "pii ", "pii\u200b", "\uff50ii"):
        body = {"name": name, "spec": {"title": "Other"}}
        assert (await api.admin.post("ai-catalog/tags", body)).status == 422
    assert (await api.admin.post("ai-catalog/tags", {"name": "pii", "spec": {"title": "Other"}})).status == 409
    for value in ("Email", "em\u0430il", "fax", "", None):
        body = {"targets": [target(BRONZE, "mail")], "value": value}
        assert (await api.editor.post(f"ai-catalog/tags/{pii}:assign", body)).status == 422
    unknown = {"targets": [target(BRONZE, "Mail")], "value": "email"}
    reply = await api.editor.post(f"ai-catalog/tags/{pii}:assign", unknown)
    assert (reply.status, "mail" in reply.json["metadata"]["similar"]) == (400, True)


@on_both
async def test_a_key_never_changes_and_an_assigned_tag_stays(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    path = f"ai-catalog/tags/{pii}"
    await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    for change in ({"name": "other"}, {"spec": {"values": ["phone"]}}, {"spec": {"propagates": False}}):
        assert (await api.admin("PATCH", path, json=change)).status in (409, 422), change
    await made(api.admin("PATCH", path, json={"spec": {"values": ["email"]}}))
    assert (await api.admin("DELETE", path)).status == 409
    batch = {"items": [{"method": "DELETE", "id": pii}]}
    assert (await api.admin.post("ai-catalog/tags:batch", batch)).status >= 400
    assert await tags(api.viewer, SILVER) == {"domain pii:email PROPAGATED"}
    await tagged(api.admin, pii, "unassign", target(BRONZE, "mail"), value="email", reason="x")
    assert (await api.admin("DELETE", path)).status == 204


async def test_all_or_nothing_and_hidden_assets_are_not_there(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    ada = await sees_only(api, "ada", SILVER)
    ada_id = (await api.admin.get("admin/users/ada")).json["id"]
    await grant(api, ada_id, "ai_catalog.tag.*", SILVER, securable_kind="ai_catalog.asset")
    assert (await ada.post(f"ai-catalog/tags/{pii}:assign", {"targets": [target(SILVER)]})).status == 404
    await grant(api, ada_id, "ai_catalog.tag.*", pii, securable_kind="ai_catalog.tag")
    await tagged(ada, pii, "assign", target(SILVER), value="email")
    for other in (BRONZE, "flights.bronze.nothing"):
        body = {"targets": [target(SILVER, "id"), target(other)], "value": "email"}
        reply = await ada.post(f"ai-catalog/tags/{pii}:assign", body)
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/targets/1/id")
        texts = reply.json["detail"].replace(other, "?")
    assert texts == "There is no asset, registered model, or feature view '?'."
    assert await tags(ada, SILVER) == {"* pii:email STATED"}
    await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="phone")
    assert {one["id"] for one in (await ada.get(f"ai-catalog/tags/{pii}/assignments")).json["items"]} == {SILVER}
    inherited = [
        one
        for one in (await ada.get(f"ai-catalog/assets/{SILVER}/tags")).json["items"]
        if one["origin"] == "PROPAGATED"
    ]
    assert [(one["column"], one["source_asset"], one["source_column"]) for one in inherited] == [("domain", None, None)]
    assert (await ada.get(f"ai-catalog/assets/{BRONZE}/tags")).status == 404


async def test_who_can_not_read_rows_removes_no_tag(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    body = {"targets": [target(BRONZE, "mail")], "value": "email", "reason": "x"}
    assert (await api.editor.post(f"ai-catalog/tags/{pii}:unassign", body)).status == 403
    editor = (await api.admin.get("admin/users/editor")).json["id"]
    for verb in ("unassign", "overrule"):
        await grant(api, editor, f"ai_catalog.tag.{verb}", "org_default")
    await grant(api, editor, "ai_catalog.asset.preview", BRONZE, effect="DENY")
    for verb in ("unassign", "overrule"):
        one = body if verb == "unassign" else {"targets": body["targets"], "reason": "x"}
        assert (await api.editor.post(f"ai-catalog/tags/{pii}:{verb}", one)).status == 403
    assert await tags(api.viewer, BRONZE) == {"mail pii:email STATED"}


async def test_another_tenant_sees_and_changes_nothing(api: Api, chain: Chain, orchestrator: FakeOrchestrator) -> None:
    pii = await new_tag(api.admin)
    await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    other = await tenant(api, "other")
    orchestrator.nodes["other_data.gold.sums"] = node("other_data.gold.sums", [SILVER])
    chain.make("other_data.gold.sums", {"sum": [(BRONZE, "mail")]}, BRONZE, sum=[1])
    theirs = await new_tag(other.admin)
    assert await tags(other.admin, "other_data.gold.sums") == set()
    for path in (f"tags/{pii}", f"tags/{pii}/assignments", f"assets/{BRONZE}/tags", f"assets/{BRONZE}/tag-history"):
        assert (await other.admin.get(f"ai-catalog/{path}")).status == 404
    body = {"targets": [target(BRONZE, "mail")], "value": "email"}
    for id, status in ((pii, 404), (theirs, 422)):
        assert (await other.admin.post(f"ai-catalog/tags/{id}:assign", body)).status == status
    # Also not by who can see both: a tag is assigned only in its organization.
    assert (await api.admin.post(f"ai-catalog/tags/{theirs}:assign", body)).status == 422


async def test_ten_thousand_columns_in_one_request(api: Api, chain: Chain, orchestrator: FakeOrchestrator) -> None:
    pii = await new_tag(api.admin)
    assets = [f"flights.wide.t{n}" for n in range(10)]
    orchestrator.nodes |= {id: node(id) for id in assets}
    columns = [f"c{n}" for n in range(1000)]
    report = await tagged(api.editor, pii, "assign", *(target(id, *columns) for id in assets), value="email")
    assert (len(report["changed"]), report["unchanged"]) == (10_000, 0)
    assert names(api, assets[9])["c999"] == {"pii", "pii:email"}
    body = {"targets": [target(id, *columns) for id in [*assets, SILVER]], "value": "email"}
    assert (await api.editor.post(f"ai-catalog/tags/{pii}:assign", body)).status == 422
    seen, token = set(), ""
    while token is not None:
        params = {"page_size": 1000, "page_token": token}
        page = (await api.viewer.get(f"ai-catalog/tags/{pii}/assignments", params=params)).json
        seen |= {(one["id"], one["column"]) for one in page["items"]}
        token = page["next_page_token"]
    assert len(seen) == 10_000


async def test_trying_changes_nothing(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    path, body = f"ai-catalog/tags/{pii}:assign", {"targets": [target(BRONZE, "mail")], "value": "email"}
    tried = await api.editor.post(path, body, params={"validate_only": "true"})
    assert (tried.status, len(tried.json["changed"])) == (200, 1)
    assert await tags(api.viewer, BRONZE) == set()
