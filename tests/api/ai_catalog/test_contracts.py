"""Contracts: a weaker promise needs the consent of consumers, and an active one is met by the newest version."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from api.kernel.platform import open_tables
from core.contracts import ActiveContract, record_violation
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

SILVER, GOLD = "flights.silver.flights", "flights.gold.route_delays"
DAILY = "flights.gold.daily"
"""Silver, and the two assets downstream of it."""

TERMS: dict[str, Any] = {
    "columns": [{"name": "id", "type": "int64", "nullable": False}, {"name": "carrier", "type": "string"}],
    "min_rows": 2,
    "rules": [{"name": "ids differ", "unique": ["id"]}],
}
PATH = "ai-catalog/contracts"


async def prepared(api: Api) -> None:
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    tables = api.app.platform.part(open_tables)
    tables.append(SILVER, pa.table({"id": [1, 2], "carrier": ["AA", None]}))


async def proposed(api: Api, terms: dict[str, Any] = TERMS, by: Caller | None = None, **body: Any) -> dict[str, Any]:
    body = {"asset": SILVER, "contact": "team:data", "terms": terms, **body}
    return await made((by or api.editor).post(PATH, body))


async def activated(api: Api, terms: dict[str, Any] = TERMS) -> dict[str, Any]:
    return await made(api.editor.post(f"{PATH}/{(await proposed(api, terms))['id']}:activate", {}))


@on_both
@pytest.mark.effect("ai_catalog_activate_contract", "ai_catalog_consent_contract")
async def test_a_weaker_promise_needs_the_consent_of_all_consumers(api: Api) -> None:
    await prepared(api)
    first = await activated(api)
    assert (first["version"], first["state"]) == (1, "ACTIVE")
    weaker = await proposed(api, {"columns": TERMS["columns"][:1], "min_rows": 1}, consumers=["flights.source.prices"])
    path = f"{PATH}/{weaker['id']}"
    diff = (await api.viewer.get(f"{path}/diff")).json
    assert diff["breaking"] == [
        "The column carrier is no longer promised.",
        "Weaker limit: at least 2 rows become at least 1 rows.",
        "The rule 'ids differ' ends.",
    ]
    assert diff["awaited"] == [DAILY, GOLD, "flights.source.prices"]
    refused = await api.editor.post(f"{path}:activate", {})
    assert (refused.status, refused.json["metadata"]["awaited"]) == (409, diff["awaited"])
    assert (await api.viewer.post(f"{path}:consent", {"asset": GOLD})).status == 403
    assert (await api.editor.post(f"{path}:consent", {"asset": SILVER})).status == 404
    for consumer in diff["awaited"]:
        await made(api.editor.post(f"{path}:consent", {"asset": consumer}))
    await made(api.editor.post(f"{path}:activate", {}))
    states = {one["version"]: one["state"] for one in (await api.viewer.get(PATH)).json["items"]}
    assert states == {1: "SUPERSEDED", 2: "ACTIVE"}
    assert (await api.editor.post(f"{path}:activate", {})).status == 409
    assert (await api.editor("DELETE", path)).status == 409


@on_both
async def test_a_team_consents_by_its_members_only(api: Api) -> None:
    await prepared(api)
    team = (await made(api.admin.post("admin/groups", {"name": "analysts", "spec": {"title": "Analysts"}})))["id"]
    mia, zoe = await user(api, "mia"), await user(api, "zoe")
    for one in (mia, zoe):
        await grant(api, one, "rol_editor", "default")
    await made(api.admin.post(f"admin/groups/{team}:add-members", {"members": [mia]}))
    other = await tenant(api, "other")
    body = {"name": "theirs", "organization_id": other.organization, "spec": {"title": "Theirs"}}
    theirs = (await made(api.admin.post("admin/groups", body)))["id"]
    unknown = {"asset": SILVER, "contact": "team:data", "terms": TERMS, "teams": [theirs]}
    assert (await api.admin.post(PATH, unknown)).status == 422
    assert (await api.caller("zoe").post(PATH, {**unknown, "teams": [team]})).status == 422, "zoe can't see the group"
    first = await proposed(api, teams=[team], by=api.caller("mia"))
    await made(api.caller("mia").post(f"{PATH}/{first['id']}:activate", {}))
    weaker = await proposed(api, {**TERMS, "min_rows": 1})
    path = f"{PATH}/{weaker['id']}"
    for consumer in (DAILY, GOLD):
        await made(api.admin.post(f"{path}:consent", {"asset": consumer}))
    diff = (await api.caller("mia").get(f"{path}/diff")).json
    assert (diff["awaited"], diff["awaited_teams"], diff["hidden"]) == ([], [team], 0)
    hidden = (await api.caller("zoe").get(f"{path}/diff")).json
    assert (hidden["awaited_teams"], hidden["hidden"]) == ([], 1)
    assert (await api.caller("zoe").get(f"{PATH}/{first['id']}")).json["teams"] == []
    assert (await api.editor.post(f"{path}:activate", {})).status == 409
    assert (await api.caller("zoe").post(f"{path}:consent", {"team": team})).status == 404
    assert (await api.admin.post(f"{path}:consent", {"team": team})).status == 403
    assert (await api.admin.post(f"{path}:consent", {"team": team, "asset": GOLD})).status == 422
    agreed = await made(api.caller("mia").post(f"{path}:consent", {"team": team}))
    assert set(agreed["consents"]) == {DAILY, GOLD, team}
    await made(api.editor.post(f"{path}:activate", {}))


async def test_a_team_that_was_deleted_is_not_awaited(api: Api) -> None:
    await prepared(api)
    team = (await made(api.admin.post("admin/groups", {"name": "analysts", "spec": {"title": "Analysts"}})))["id"]
    first = await proposed(api, teams=[team], by=api.admin)
    await made(api.admin.post(f"{PATH}/{first['id']}:activate", {}))
    weaker = await proposed(api, {**TERMS, "min_rows": 1})
    assert team in (await api.admin.get(f"{PATH}/{weaker['id']}/diff")).json["awaited_teams"]
    assert (await api.admin("DELETE", f"admin/groups/{team}")).status == 204
    assert (await api.admin.get(f"{PATH}/{weaker['id']}/diff")).json["awaited_teams"] == []


async def test_a_stronger_promise_needs_no_consent(api: Api) -> None:
    await prepared(api)
    await activated(api)
    rules = [*TERMS["rules"], {"name": "positive", "holds": "id > 0"}]
    stronger = {**TERMS, "max_rows": 10, "max_age_hours": 1, "rules": rules}
    draft = await proposed(api, stronger)
    diff = (await api.viewer.get(f"{PATH}/{draft['id']}/diff")).json
    assert (diff["breaking"], len(diff["compatible"]), diff["awaited"]) == ([], 3, [])
    await made(api.editor.post(f"{PATH}/{draft['id']}:activate", {}))


@on_both
async def test_what_the_newest_version_breaks_is_not_activated(api: Api) -> None:
    await prepared(api)
    broken = {
        "columns": [{"name": "carrier", "type": "int64", "nullable": False}, {"name": "gone", "type": "string"}],
        "min_rows": 3,
        "max_rows": 1,
        "rules": [
            {"name": "carriers", "not_null": ["carrier"]},
            {"name": "large", "range": {"column": "id", "min": 2}},
            {"name": "half", "range": {"column": "id", "min": 2}, "tolerance": 0.5},
            {"name": "absent", "not_null": ["nothing"]},
        ],
    }
    draft = await proposed(api, broken)
    status = (await api.editor.get(f"{PATH}/{draft['id']}/status")).json
    assert status["verdict"] == "BROKEN"
    assert len(status["faults"]) == 8
    assert not any("half" in fault for fault in status["faults"])
    refused = await api.editor.post(f"{PATH}/{draft['id']}:activate", {})
    assert (refused.status, "carrier has the type string" in refused.json["detail"]) == (409, True)
    assert (await api.editor("DELETE", f"{PATH}/{draft['id']}")).status == 204
    nothing_yet = await proposed(api, asset=GOLD)
    assert (await api.editor.get(f"{PATH}/{nothing_yet['id']}/status")).json["verdict"] == "NOT_EVALUATED"


@on_both
async def test_status_and_violations(api: Api) -> None:
    await prepared(api)
    active = await activated(api, {**TERMS, "max_age_hours": 1})
    path = f"{PATH}/{active['id']}"
    status = (await api.viewer.get(f"{path}/status")).json
    assert (status["verdict"], status["faults"]) == ("MET", [])
    tables = api.app.platform.part(open_tables)
    tables.append(SILVER, pa.table({"id": [1], "carrier": ["AA"]}))
    status = (await api.viewer.get(f"{path}/status")).json
    assert (status["verdict"], status["faults"]) == ("BROKEN", ["2 of 3 rows break the rule 'ids differ'."])
    contract = ActiveContract(active["id"], 1, {}, active["organization_id"], active["project_id"])
    with api.database.write() as connection:
        for _ in range(2):
            record_violation(connection, contract, "t@1", ["It broke."], "run-1")
    (violation,) = (await api.viewer.get(f"{path}/violations")).json["items"]
    assert (violation["data_version"], violation["faults"]) == ("t@1", ["It broke."])


@on_both
async def test_who_can_not_see_the_asset_sees_no_contract(api: Api) -> None:
    await prepared(api)
    draft = await proposed(api, consumers=[GOLD])
    path = f"{PATH}/{draft['id']}"
    other = await tenant(api, "other")
    assert (await other.admin.get(path)).status == 404
    assert (await other.admin.post(PATH, {"asset": SILVER, "contact": "x", "terms": TERMS})).status == 404
    viewer = (await api.admin.get("admin/users/viewer")).json["id"]
    await grant(api, viewer, "ai_catalog.asset.get", GOLD, effect="DENY")
    assert (await api.viewer.get(path)).json["consumers"] == []
    await grant(api, viewer, "ai_catalog.asset.preview", SILVER, effect="DENY")
    assert (await api.viewer.get(f"{path}/status")).status == 403
    assert (await api.viewer.get(f"{path}/violations")).status == 403
    await grant(api, viewer, "ai_catalog.asset.get", SILVER, effect="DENY")
    assert (await api.viewer.get(path)).status == 404
    assert (await api.viewer.get(PATH)).json["items"] == []
    editor = (await api.admin.get("admin/users/editor")).json["id"]
    await grant(api, editor, "ai_catalog.asset.preview", SILVER, effect="DENY")
    assert (await api.editor.post(PATH, {"asset": SILVER, "contact": "x", "terms": TERMS})).status == 403
    assert (await api.editor.post(f"{path}:activate", {})).status == 403


async def test_bad_terms_are_refused(api: Api) -> None:
    await prepared(api)
    rule = {"name": "r", "holds": "id > 0"}
    wrong: list[dict[str, Any]] = [
        {"rules": [{"name": "r"}]},
        {"rules": [{**rule, "unique": ["id"]}]},
        {"rules": [rule, rule]},
        {"rules": [{**rule, "tolerance": 1}]},
        {"min_rows": -1},
        {"min_rows": 2**63},
        {"max_age_hours": 0},
        {"columns": [{"name": "id", "type": ""}]},
        {"columns": [{"name": "id", "type": "a"}, {"name": "id", "type": "b"}]},
        {"nothing": 1},
    ]
    for terms in wrong:
        body = {"asset": SILVER, "contact": "team:data", "terms": terms}
        assert (await api.editor.post(PATH, body)).status == 422, terms
    subquery = await proposed(api, {"rules": [{"name": "r", "holds": "id IN (SELECT id FROM x)"}]})
    faults = (await api.editor.get(f"{PATH}/{subquery['id']}/status")).json["faults"]
    assert "can't be evaluated" in faults[0]
    unknown = {"asset": SILVER, "contact": "x", "terms": {}, "consumers": ["flights.gold.missing"]}
    assert (await api.editor.post(PATH, unknown)).status == 404
