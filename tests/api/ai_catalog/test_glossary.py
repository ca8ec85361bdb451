"""The glossary: terms have no circles and don't change once approved, and a synonym finds what a term describes."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, tenant
from tests.api.ai_catalog.provenance_tables import sees_only
from tests.api.ai_catalog.tagging import BRONZE, SILVER, Chain, new_tag, tagged, target
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

PATH = "ai-catalog/glossary-terms"


@pytest.fixture
async def chain(api: Api) -> Chain:
    chain = Chain(api)
    await chain.begin()
    return chain


async def term(by: Caller, name: str, **spec: Any) -> str:
    return str((await made(by.post(PATH, {"name": name, "spec": {"title": name.title(), **spec}})))["id"])


async def found(by: Caller, **params: str) -> set[str]:
    reply = await by.get("ai-catalog/search", params={"kind": "ai_catalog.asset", **params})
    assert reply.status == 200, reply.response.text
    return {one["id"] for one in reply.json["items"]}


@on_both
@pytest.mark.effect("ai_catalog_link_glossary_term", "ai_catalog_unlink_glossary_term")
async def test_a_synonym_finds_what_a_term_describes(api: Api, chain: Chain) -> None:
    mail = await term(api.editor, "address", synonyms=["epistolary"])
    body = {"targets": [target(BRONZE, "mail"), target(SILVER)]}
    report = await made(api.editor.post(f"{PATH}/{mail}:link", body))
    assert len(report["changed"]) == 2
    assert (await made(api.editor.post(f"{PATH}/{mail}:link", body)))["unchanged"] == 2
    assert await found(api.viewer, q="epistolary") == {BRONZE, SILVER}
    assert {
        one["id"] for one in (await api.viewer.get("ai-catalog/search", params={"q": "epistolary"})).json["items"]
    } == {
        BRONZE,
        SILVER,
        mail,
    }
    (found_term,) = (await api.viewer.get(f"ai-catalog/assets/{BRONZE}/terms")).json["items"]
    assert (found_term["title"], found_term["column"], found_term["state"]) == ("Address", "mail", "DRAFT")
    await made(api.editor.post(f"{PATH}/{mail}:unlink", {"targets": [target(SILVER)]}))
    assert await found(api.viewer, q="epistolary") == {BRONZE}
    assert [one["id"] for one in (await api.viewer.get(f"{PATH}/{mail}/links")).json["items"]] == [BRONZE]
    assert (await api.editor("DELETE", f"{PATH}/{mail}")).status == 204
    assert await found(api.viewer, q="epistolary") == set()


@on_both
async def test_search_finds_license_sensitivity_and_tags(api: Api, chain: Chain) -> None:
    dataset = {"asset": BRONZE, "title": "Departures", "license": "MIT", "sensitivity": "CONFIDENTIAL"}
    id = (await made(api.editor.post("ai-catalog/datasets", dataset)))["id"]
    await tagged(api.editor, await new_tag(api.admin), "assign", target(SILVER, "domain"), value="email")
    assert await found(api.viewer, label="license=MIT") == {BRONZE}
    assert await found(api.viewer, label="sensitivity=CONFIDENTIAL") == {BRONZE}
    assert await found(api.viewer, label="tag=pii:email") == {SILVER}
    assert await found(api.viewer, q="departures") == {BRONZE}
    await made(api.editor("PATCH", f"ai-catalog/datasets/{id}", json={"title": "Arrivals"}))
    assert (await found(api.viewer, q="departures"), await found(api.viewer, q="arrivals")) == (set(), {BRONZE})


@pytest.mark.effect(
    "ai_catalog_approve_glossary_term", "ai_catalog_deprecate_glossary_term", "ai_catalog_reopen_glossary_term"
)
async def test_an_approved_term_does_not_change_until_it_is_reopened(api: Api) -> None:
    id, other = await term(api.editor, "guest"), await term(api.editor, "passenger", definition="Who flies.")
    path = f"{PATH}/{id}"
    assert (await api.admin.post(f"{path}:approve", {})).status == 409, "it has no definition"
    await made(api.editor("PATCH", path, json={"spec": {"definition": "Who flies."}}))
    assert (await api.editor.post(f"{path}:approve", {})).status == 403
    await made(api.admin.post(f"{path}:approve", {}))
    for change in ({"definition": "Who eats."}, {"title": "Eater"}, {"synonyms": ["Eater"]}, {"parent_id": other}):
        assert (await api.admin("PATCH", path, json={"spec": change})).status == 409
    await made(api.editor("PATCH", path, json={"spec": {"successor_id": "passenger"}}))
    await made(api.admin.post(f"{path}:deprecate", {}))
    assert (await api.viewer.get(path)).json["status"]["state"] == "DEPRECATED"
    assert (await api.admin("DELETE", f"{PATH}/{other}")).status == 409, "it is a successor"
    await made(api.admin.post(f"{path}:reopen", {}))
    await made(api.editor("PATCH", path, json={"spec": {"definition": "Who eats.", "successor_id": None}}))


async def test_terms_are_not_above_themselves(api: Api) -> None:
    first = await term(api.editor, "first")
    second = await term(api.editor, "second", parent_id=first)
    third = await term(api.editor, "third", parent_id=second)
    for id, field, value in ((first, "parent_id", third), (first, "parent_id", first)):
        reply = await api.editor("PATCH", f"{PATH}/{id}", json={"spec": {field: value}})
        assert (reply.status, "its own parent" in reply.json["detail"]) == (409, True)
    await made(api.editor("PATCH", f"{PATH}/{second}", json={"spec": {"successor_id": first}}))
    circle = {"method": "UPDATE", "id": first, "body": {"spec": {"successor_id": second}}}
    assert (await api.editor.post(f"{PATH}:batch", {"items": [circle]})).status == 409


@on_both
async def test_a_glossary_is_imported_as_a_whole_and_exported_without_formulas(api: Api) -> None:
    def item(name: str, **spec: Any) -> dict[str, Any]:
        return {"method": "CREATE", "body": {"name": name, "spec": {"title": name, **spec}}}

    bad = [item("a", definition="=HYPERLINK(1)"), item("b", parent_id="nothing")]
    assert (await api.editor.post(f"{PATH}:batch", {"items": bad})).status == 422
    assert (await api.viewer.get(PATH)).json["items"] == []
    good = [item("a", title="=1+1", definition="=HYPERLINK(1)"), item("b", parent_id="a")]
    await made(api.editor.post(f"{PATH}:batch", {"items": good}))
    reply = await api.viewer.get(f"{PATH}:export", params={"format": "csv"})
    rows = list(csv.reader(io.StringIO(reply.response.text)))
    assert len(rows) == 3
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]


async def test_hidden_items_and_other_tenants(api: Api, chain: Chain) -> None:
    mail = await term(api.editor, "mail")
    await made(api.editor.post(f"{PATH}/{mail}:link", {"targets": [target(BRONZE), target(SILVER)]}))
    ada = await sees_only(api, "ada", SILVER)
    assert (await ada.get(f"ai-catalog/assets/{SILVER}/terms")).json["items"] == [], "they can't see the term"
    ada_id = (await api.admin.get("admin/users/ada")).json["id"]
    await grant(api, ada_id, "ai_catalog.glossary_term.*", mail, securable_kind="ai_catalog.glossary_term")
    assert [one["id"] for one in (await ada.get(f"{PATH}/{mail}/links")).json["items"]] == [SILVER]
    for id, status in ((SILVER, 403), (BRONZE, 422), ("flights.bronze.nothing", 422)):
        assert (await ada.post(f"{PATH}/{mail}:unlink", {"targets": [target(id)]})).status == status
    other = await tenant(api, "other")
    assert (await other.admin.get(f"{PATH}/{mail}/links")).status == 404
    theirs = await term(other.admin, "mail")
    for caller in (other.admin, api.admin):
        assert (await caller.post(f"{PATH}/{theirs}:link", {"targets": [target(BRONZE)]})).status == 422
