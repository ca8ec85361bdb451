"""Data sets: what is stated of an asset, the sensitivity that it inherits, and its Croissant document with its rows."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from tests.api.admin.tenants import grant, made, tenant
from tests.api.ai_catalog.provenance_tables import sees_only
from tests.api.ai_catalog.tagging import BRONZE, DAILY, DELAYS, SILVER, Chain, new_tag, tagged, target
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.orchestration import FakeOrchestrator, node

PATH = "ai-catalog/datasets"


@pytest.fixture
async def chain(api: Api) -> Chain:
    chain = Chain(api)
    await chain.begin()
    return chain


async def described(by: Caller, asset: str, **body: Any) -> dict[str, Any]:
    return await made(by.post(PATH, {"asset": asset, "title": "Flights", **body}))


async def sensitivity(by: Caller, asset: str) -> str | None:
    found: str | None = (await by.get(f"ai-catalog/assets/{asset}/dataset")).json["effective_sensitivity"]
    return found


@on_both
@pytest.mark.effect("ai_catalog_declassify_dataset")
async def test_the_highest_sensitivity_is_inherited_until_it_is_declassified(api: Api, chain: Chain) -> None:
    assert await sensitivity(api.viewer, DAILY) is None
    await described(api.editor, BRONZE, sensitivity="RESTRICTED", license="cc-by-4.0")
    silver = await described(api.editor, SILVER, sensitivity="PUBLIC")
    assert (silver["sensitivity"], silver["effective_sensitivity"]) == ("PUBLIC", "RESTRICTED")
    assert await sensitivity(api.viewer, DAILY) == "RESTRICTED"
    path = f"{PATH}/{silver['id']}"
    body = {"sensitivity": "INTERNAL", "reason": "Only totals"}
    assert (await api.editor.post(f"{path}:declassify", body)).status == 403
    await made(api.admin.post(f"{path}:declassify", body))
    assert [await sensitivity(api.viewer, asset) for asset in (BRONZE, SILVER, DAILY)] == [
        "RESTRICTED",
        "INTERNAL",
        "INTERNAL",
    ]
    (found,) = (await api.viewer.get(PATH, params={"filter": 'license == "CC-BY-4.0"'})).json["items"]
    assert found["asset"] == BRONZE
    (event,) = api.events("ai_catalog.dataset.declassified")
    assert event["data"]["reason"] == "Only totals"


@on_both
async def test_a_change_does_not_lower_the_sensitivity(api: Api, chain: Chain) -> None:
    one = await described(api.editor, BRONZE, sensitivity="CONFIDENTIAL")
    path = f"{PATH}/{one['id']}"
    for change in ({"sensitivity": "INTERNAL"}, {"sensitivity": None}, {"title": None}, {}, {"license": "MIT OR"}):
        assert (await api.editor("PATCH", path, json=change)).status == 422, change
    changed = await made(api.editor("PATCH", path, json={"sensitivity": "RESTRICTED", "license": "MIT or Apache-2.0"}))
    assert (changed["license"], changed["updated_by"]) == ("MIT OR Apache-2.0", "editor")
    assert (await api.editor("DELETE", path)).status == 403
    assert await sensitivity(api.viewer, DELAYS) == "RESTRICTED"
    assert (await api.admin("DELETE", path)).status == 204
    assert await sensitivity(api.viewer, DELAYS) is None


@on_both
async def test_an_asset_is_described_once(api: Api, chain: Chain) -> None:
    replies = await asyncio.gather(*(api.editor.post(PATH, {"asset": BRONZE, "title": "x"}) for _ in range(3)))
    assert sorted(reply.status for reply in replies) == [201, 409, 409]
    for body in ({"license": "My own"}, {"license": ""}, {"links": [{"title": "x", "url": "nowhere"}]}):
        assert (await api.editor.post(PATH, {"asset": SILVER, "title": "x", **body})).status == 422
    await described(api.editor, SILVER, license="LicenseRef-Acme")


@on_both
async def test_who_can_not_see_the_asset_sees_no_description(
    api: Api, chain: Chain, orchestrator: FakeOrchestrator
) -> None:
    one = await described(api.editor, BRONZE, sensitivity="RESTRICTED")
    ada = await sees_only(api, "ada", SILVER)
    other = await tenant(api, "other")
    for caller in (ada, other.admin):
        assert (await caller.get(f"{PATH}/{one['id']}")).status in (403, 404)
        assert (await caller.get(f"ai-catalog/assets/{BRONZE}/dataset")).status == 404
        assert (await caller.post(PATH, {"asset": BRONZE, "title": "x"})).status in (403, 404)
    viewer = (await api.admin.get("admin/users/viewer")).json["id"]
    await grant(api, viewer, "ai_catalog.asset.get", BRONZE, effect="DENY")
    assert (await api.viewer.get(PATH)).json["items"] == []
    for part in ("", "/croissant", "/data"):
        assert (await api.viewer.get(f"{PATH}/{one['id']}{part}")).status == 404
    assert await sensitivity(ada, SILVER) == "RESTRICTED"
    orchestrator.nodes["other_data.gold.sums"] = node("other_data.gold.sums", [BRONZE])
    chain.make("other_data.gold.sums", None, BRONZE, sum=[1])
    assert await sensitivity(other.admin, "other_data.gold.sums") is None


async def test_croissant_names_the_file_and_its_digest(api: Api, chain: Chain) -> None:
    pii = await new_tag(api.admin)
    await tagged(api.editor, pii, "assign", target(BRONZE, "mail"), value="email")
    silver = await described(api.editor, SILVER, license="CC-BY-4.0", citation="Ada", contact="team:data")
    first = chain.tables.snapshot(SILVER).data_version
    chain.make_silver(**{"a b": [(BRONZE, "id")]})
    document = await croissant(api.viewer, silver["id"])
    (file,) = document["distribution"]
    data = await api.viewer.http.get(file["contentUrl"].partition(":8400")[2])
    assert hashlib.sha256(data.content).hexdigest() == file["sha256"]
    assert [json.loads(line) for line in data.text.splitlines()] == [{"id": 1, "domain": 1, "a b": 1}]
    assert [one["name"] for one in document["recordSet"][0]["field"]] == ["id", "domain", "a b"]
    assert document["rai:personalSensitiveInformation"] == ["domain: pii, pii:email"]
    assert document["license"] == "https://spdx.org/licenses/CC-BY-4.0"
    assert document["prov:wasDerivedFrom"][0]["@id"].startswith(f"urn:headwater:{BRONZE}@")
    earlier = await croissant(api.viewer, silver["id"], version=first)
    assert (earlier["identifier"], len(earlier["recordSet"][0]["field"])) == (first, 2)
    assert (await api.viewer.get(f"{PATH}/{silver['id']}/croissant", params={"version": "99"})).status == 404


async def test_who_can_not_read_rows_gets_neither_fields_nor_rows(api: Api, chain: Chain) -> None:
    silver = await described(api.editor, SILVER)
    viewer = (await api.admin.get("admin/users/viewer")).json["id"]
    await grant(api, viewer, "ai_catalog.asset.preview", SILVER, effect="DENY")
    await grant(api, viewer, "ai_catalog.asset.get", BRONZE, effect="DENY")
    document = await croissant(api.viewer, silver["id"])
    assert not {"distribution", "recordSet", "prov:wasDerivedFrom"} & document.keys()
    assert (await api.viewer.get(f"{PATH}/{silver['id']}/data")).status == 403


async def croissant(by: Caller, id: str, **params: str) -> dict[str, Any]:
    reply = await by.get(f"{PATH}/{id}/croissant", params=params)
    assert reply.status == 200, reply.response.text
    (line,) = reply.response.text.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found
