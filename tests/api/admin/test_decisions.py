"""Decisions: an answer says what happens, with its reasons, and discloses nothing that the caller may not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.kernel.credentials import accounts
from api.kernel.decisions.decider import Decider
from api.kernel.decisions.rights import Rights
from api.kernel.permissions import grants
from api.kernel.permissions.principal import Principal
from api.kernel.roles import Role
from api.kernel.securable import ROOT
from api.kernel.tables import GRANT
from core import clock
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller

GET = "admin.project.get"


async def project(api: Api, name: str, **body: object) -> str:
    return str((await made(api.admin.post("admin/projects", {"name": name, "spec": {"title": name}, **body})))["id"])


async def check(caller: Caller, principal: str | None, permission: str, on: str) -> dict[str, Any]:
    body = {"permission": permission, "securable_id": on} | ({"principal_id": principal} if principal else {})
    return await made(caller.post("admin/decisions:check", body))


async def group(api: Api, name: str, *members: str) -> str:
    id = str((await made(api.admin.post("admin/groups", {"name": name, "spec": {"title": name}})))["id"])
    await made(api.admin.post(f"admin/groups/{id}:add-members", {"members": list(members)}))
    return id


@pytest.mark.effect("admin_check_access")
async def test_the_answer_is_what_then_happens(api: Api) -> None:
    ada, sales = await user(api, "ada"), await project(api, "sales")
    caller = api.caller("ada")

    async def reads() -> bool:
        return (await caller.get(f"admin/projects/{sales}")).status == 200

    assert (await check(api.admin, ada, GET, sales))["reason"] == "NO_GRANT"
    assert not await reads()
    given = await grant(api, ada, "rol_viewer", "org_default")
    answer = await check(api.admin, ada, GET, sales)
    assert (answer["allowed"], answer["grant_id"], answer["role"]) == (True, given, "viewer")
    assert await reads()
    denial = await grant(api, ada, "admin.project.*", sales, effect="DENY")
    answer = await check(api.admin, ada, GET, sales)
    assert (answer["allowed"], answer["reason"], answer["grant_id"]) == (False, "DENIED", denial)
    assert not await reads()
    await made(api.admin.post(f"admin/users/{ada}:suspend", {}))
    assert (await check(api.admin, ada, GET, "org_default"))["reason"] == "INACTIVE_PRINCIPAL"


async def test_asking_about_oneself_needs_no_right_and_shows_nothing_new(api: Api) -> None:
    ada, sales = await user(api, "ada"), await project(api, "sales")
    caller = api.caller("ada")
    hidden, missing = await check(caller, None, GET, sales), await check(caller, None, GET, "prj_nothing")
    assert hidden == missing
    assert hidden["reason"] == "UNKNOWN"
    assert (await caller.post("admin/decisions:explain", {"permission": GET, "securable_id": sales})).status == 404
    await grant(api, ada, "rol_viewer", sales)
    assert (await check(caller, None, GET, sales))["allowed"] is True
    assert (await check(caller, None, "admin.project.delete", sales))["reason"] == "NO_GRANT"
    admin = api.events("admin.user.created")[-1]["subject"]
    about = {"principal_id": admin, "permission": GET, "securable_id": sales}
    for verb in ("check", "explain", "list-objects"):
        body = (
            {**about} if verb != "list-objects" else {"principal_id": admin, "permission": GET, "kind": "admin.project"}
        )
        assert (await caller.post(f"admin/decisions:{verb}", body | {"principal_id": "usr_other"})).status == 403
    assert (
        await caller.post("admin/decisions:list-subjects", {"permission": GET, "securable_id": sales})
    ).status == 403
    assert (await caller.post("admin/decisions:simulate", {})).status == 403
    assert (await caller.post("admin/decisions:check", {"permission": "admin.project.gte"})).status == 422


@pytest.mark.effect("admin_check_access_batch")
async def test_many_questions_are_answered_in_order(api: Api) -> None:
    ada, sales, other = await user(api, "ada"), await project(api, "sales"), await project(api, "other")
    await grant(api, ada, "rol_viewer", sales)
    items = [{"principal_id": ada, "permission": GET, "securable_id": id} for id in (other, sales, "nothing")]
    answers = await made(api.admin.post("admin/decisions:check-batch", {"items": items}))
    assert [one["reason"] for one in answers["items"]] == ["NO_GRANT", "GRANTED", "UNKNOWN"]
    many = {"items": items[:1] * 1000}
    assert len((await made(api.admin.post("admin/decisions:check-batch", many)))["items"]) == 1000
    assert (await api.admin.post("admin/decisions:check-batch", {"items": items[:1] * 1001})).status == 422


@pytest.mark.effect("admin_explain_access")
async def test_an_explanation_shows_the_whole_way(api: Api) -> None:
    ada, sales = await user(api, "ada"), await project(api, "sales", labels={"stage": "test"})
    inner = await group(api, "inner", ada)
    outer = await group(api, "outer", inner)
    spec = {"title": "Reader", "permissions": ["admin.project.*"]}
    role = (await made(api.admin.post("admin/roles", {"name": "reader", "spec": spec})))["id"]
    by_group = await grant(api, outer, role, "org_default", condition='labels.stage == "test"')
    unmet = await grant(api, ada, "rol_viewer", sales, condition='labels.stage == "live"')
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    ended = await grant(api, ada, "rol_editor", sales, expires_at=soon)
    with api.database.write() as connection:
        past = clock.now() - timedelta(seconds=1)
        connection.execute(GRANT.update().where(GRANT.c.id == ended).values(expires_at=past))
    question = {"principal_id": ada, "permission": GET, "securable_id": sales}
    found = await made(api.admin.post("admin/decisions:explain", question))
    assert [place["kind"] for place in found["chain"]] == ["admin.project", "admin.organization", "platform"]
    grants = {one["grant_id"]: one for one in found["grants"]}
    assert set(grants) == {by_group, unmet, ended}
    deciding = grants[by_group]
    assert deciding["path"] == [ada, inner, outer]
    assert (deciding["role"], deciding["pattern"], deciding["condition_met"]) == ("reader", "admin.project.*", True)
    assert [id for id, one in grants.items() if one["decides"]] == [by_group]
    assert (grants[unmet]["condition_met"], grants[unmet]["holds"]) == (False, False)
    assert (grants[ended]["expired"], grants[ended]["holds"]) == (True, False)
    assert found["decision"]["grant_id"] == by_group
    assert by_group in found["detail"]
    assert found["names"] | {ada: "ada", inner: "inner", outer: "outer", sales: "sales"} == found["names"]
    outsider = await user(api, "absent")
    found = await made(api.admin.post("admin/decisions:explain", question | {"principal_id": outsider}))
    assert "no grant contains it" in found["detail"]
    assert found["grants"] == []


@on_both
@pytest.mark.effect("admin_list_objects_decisions")
async def test_objects_are_listed_completely_page_by_page(api: Api) -> None:
    ada = await user(api, "ada")
    ids = [await project(api, f"p{n}") for n in range(7)]
    for id in ids[:5]:
        await grant(api, ada, "rol_viewer", id)
    await grant(api, ada, GET, ids[0], effect="DENY")

    async def listed(caller: Caller, **body: Any) -> list[str]:
        found: list[str] = []
        query = {"permission": GET, "kind": "admin.project", "page_size": 3, **body}
        while True:
            page = await made(caller.post("admin/decisions:list-objects", query))
            found += [item["id"] for item in page["items"]]
            if page["next_page_token"] is None:
                return found
            query["page_token"] = page["next_page_token"]

    owned = await listed(api.caller("ada"))
    assert owned == sorted(ids[1:5]) == await listed(api.admin, principal_id=ada)
    seen = (await api.caller("ada").get("admin/projects", params={"page_size": 100})).json["items"]
    assert sorted(item["id"] for item in seen) == owned
    assets = sorted(item["id"] for item in (await api.admin.get("ai-catalog/assets")).json["items"])
    await grant(api, ada, "ai_catalog.asset.*", assets[0], securable_kind="ai_catalog.asset")
    body = {"permission": "ai_catalog.asset.get", "kind": "ai_catalog.asset"}
    assert await listed(api.caller("ada"), **body) == assets[:1]
    assert (await api.admin.post("admin/decisions:list-objects", {"permission": GET, "kind": "no.kind"})).status == 422


@on_both
@pytest.mark.effect("admin_list_subjects_decisions")
async def test_subjects_are_those_whom_a_check_allows(api: Api) -> None:
    people = {name: await user(api, name) for name in ("ada", "ben", "cyd", "dan", "eve")}
    sales = await project(api, "sales")
    team = await group(api, "team", people["ada"], people["ben"], people["dan"])
    await grant(api, await group(api, "all", team), "rol_viewer", "org_default")
    await grant(api, people["cyd"], "rol_viewer", sales)
    await grant(api, people["ben"], GET, sales, effect="DENY")
    await made(api.admin.post(f"admin/users/{people['dan']}:suspend", {}))
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"permission": GET, "securable_id": sales, "page_size": 2}
    while True:
        page = await made(api.admin.post("admin/decisions:list-subjects", query))
        found += page["items"]
        if page["next_page_token"] is None:
            break
        query["page_token"] = page["next_page_token"]
    names = {one["name"] for one in found}
    assert names == {"ada", "cyd", "admin", "editor", "viewer"}
    for name, id in people.items():
        assert (await check(api.admin, id, GET, sales))["allowed"] is (name in names)
    everybody = {"permission": "admin.role.get", "securable_id": "rol_viewer", "page_size": 100}
    page = await made(api.admin.post("admin/decisions:list-subjects", everybody))
    assert "eve" in {one["name"] for one in page["items"]}


@pytest.mark.parametrize("revoke", [True, False])
@pytest.mark.effect("admin_simulate_access")
async def test_a_simulation_tells_what_then_happens_and_changes_nothing(api: Api, revoke: bool) -> None:
    ada, ben = await user(api, "ada"), await user(api, "ben")
    sales, other = await project(api, "sales"), await project(api, "other")
    team = await group(api, "team", ada, ben)
    old = await grant(api, team, "rol_viewer", "org_default")
    asked = [
        (one, description, on)
        for one in (ada, ben)
        for description in (GET, "admin.project.delete")
        for on in (sales, other)
    ]
    new = {"principal_id": ben, "permission": "admin.project.*", "securable_id": sales}
    changes: dict[str, Any] = {"grant": [new], "revoke": [old] if revoke else []}
    questions = [{"principal_id": a, "permission": b, "securable_id": c} for a, b, c in asked]
    before = [(await check(api.admin, *one))["allowed"] for one in asked]
    events = len(api.events())
    body = {**changes, "questions": questions, "securables": [{"securable_id": sales}]}
    tried = await made(api.admin.post("admin/decisions:simulate", body))
    assert len(api.events()) == events
    assert [(await check(api.admin, *one))["allowed"] for one in asked] == before
    await made(api.admin.post("admin/grants:apply", changes))
    after = [(await check(api.admin, *one))["allowed"] for one in asked]
    expected = [(n, a, b) for n, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    found = [(one["question"], one["before"]["allowed"], one["after"]["allowed"]) for one in tried["changed"]]
    assert found == expected
    assert expected
    gained = {(one["principal_id"], one["permission"]) for one in tried["gained"]}
    lost = {(one["principal_id"], one["permission"]) for one in tried["lost"]}
    assert (ben, "admin.project.delete") in gained
    assert ((ada, GET) in lost) is revoke
    assert (ben, GET) not in gained | lost
    worse = {"grant": [{"principal_id": ben, "role_id": "rol_admin", "securable_id": "nothing"}]}
    assert (await api.admin.post("admin/decisions:simulate", worse)).status == 404


@on_both
@pytest.mark.effect("admin_effective_grants", "admin_get_user_effective_access")
async def test_effective_access_says_where_it_comes_from(api: Api) -> None:
    ada, sales = await user(api, "ada"), await project(api, "sales")
    team = await group(api, "team", ada)
    by_team, direct = await grant(api, team, "rol_viewer", "org_default"), await grant(api, ada, GET, sales)
    held = await made(api.admin.get(f"admin/users/{ada}/effective-access"))
    assert {one["grant"]["id"]: one["path"] for one in held["items"]} == {by_team: [ada, team], direct: [ada]}
    found = await made(api.admin.post("admin/grants:effective", {"securable_id": sales}))
    reaching = {one["grant"]["id"]: (one["principal_name"], one["inherited"]) for one in found["items"]}
    assert reaching[direct] == ("ada", False)
    assert reaching[by_team] == ("team", True)
    assert found["hidden"] is False
    assert (await api.viewer.post("admin/grants:effective", {"securable_id": sales})).status == 403


@pytest.mark.effect("admin_get_user_effective_access")
async def test_what_a_user_holds_is_shown_where_the_caller_may_see_grants(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    bob = await user(api, "bob", one.organization)
    inside = await grant(api, bob, "rol_viewer", one.organization)
    outside = await grant(api, bob, GET, other.project)
    for caller, seen in ((one.admin, {inside}), (api.admin, {inside, outside})):
        held = await made(caller.get(f"admin/users/{bob}/effective-access"))
        assert {item["grant"]["id"] for item in held["items"]} == seen
        assert (other.project in held["names"]) is (outside in seen), "no name of a place that is hidden"
    for unknown in (other.admin_id, "usr_nobody"):
        assert (await one.admin.get(f"admin/users/{unknown}/effective-access")).status == 404


@on_both
async def test_a_tenant_admin_learns_nothing_of_another_tenant(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    assert (await check(one.admin, other.admin_id, GET, other.project))["reason"] == "UNKNOWN"
    assert (await check(one.admin, other.admin_id, GET, one.project))["reason"] == "UNKNOWN"
    question = {"principal_id": other.admin_id, "permission": GET, "securable_id": one.project}
    assert (await one.admin.post("admin/decisions:explain", question)).status == 404
    objects = {"permission": GET, "kind": "admin.project", "principal_id": one.admin_id}
    found = await made(one.admin.post("admin/decisions:list-objects", objects))
    assert [item["id"] for item in found["items"]] == [one.project]
    foreign = objects | {"principal_id": other.admin_id}
    assert (await one.admin.post("admin/decisions:list-objects", foreign)).status == 404
    who = {"permission": GET, "securable_id": other.project}
    assert (await one.admin.post("admin/decisions:list-subjects", who)).status == 404
    found = await made(one.admin.post("admin/decisions:list-subjects", {**who, "securable_id": one.project}))
    # Who has rights by the platform, but is of another organization, is not told at all.
    assert [item["name"] for item in found["items"]] == ["one-admin"]
    assert (await one.admin.post("admin/grants:effective", {"securable_id": other.project})).status == 404
    assert (await made(one.admin.post("admin/grants:effective", {"securable_id": one.project})))["hidden"] is True


@pytest.mark.effect("admin_permissions_decisions")
async def test_the_catalogue_of_permissions(api: Api) -> None:
    await user(api, "ada")
    items = (await made(api.caller("ada").get("admin/decisions:permissions")))["items"]
    known = {item["name"]: item for item in items}
    assert set(known) == set(api.app.platform.permissions)
    entry = known["admin.grant.create"]
    assert (entry["role"], entry["kind"], entry["service"]) == ("ADMIN", "admin.grant", "admin")
    assert entry["summary"]


@on_both
async def test_what_others_may_do_is_listed_where_the_asker_may_ask_and_see(api: Api) -> None:
    """The principal's own right, the asker's sight of the thing, and the asker's right to ask there are all needed."""
    ada, asker = await user(api, "ada"), await user(api, "asker")
    places = {name: await project(api, name) for name in ("both", "unseen", "unasked", "unheld", "hidden")}
    for name, id in places.items():
        if name != "unheld":
            await grant(api, ada, "admin.project.update", id)
        if name != "hidden":
            await grant(api, ada, GET, id)
        if name != "unseen":
            await grant(api, asker, GET, id)
        if name != "unasked":
            await grant(api, asker, "admin.decision.list_objects", id)
    await grant(api, asker, "admin.user.get", "org_default")
    body = {"principal_id": ada, "permission": "admin.project.update", "kind": "admin.project"}
    found = await made(api.caller("asker").post("admin/decisions:list-objects", body))
    assert [item["id"] for item in found["items"]] == [places["both"]]
    own = await made(api.caller("ada").post("admin/decisions:list-objects", {**body, "principal_id": None}))
    assert {item["id"] for item in own["items"]} == {places[name] for name in ("both", "unseen", "unasked")}


async def test_what_a_key_would_do_after_a_change_stays_within_its_scopes(api: Api) -> None:
    """A simulation judges the asker by the credential that asks, also with other grants than there are."""
    scopes = ["admin.decision.*", "admin.user.get", "admin.grant.*", GET]
    key = await made(api.admin.post("admin/api-keys", {"label": "narrow", "scopes": scopes}))
    asker, ada = Caller(api.app, key["secret"]), await user(api, "ada")
    me = (await api.admin.get("admin/users/admin")).json["id"]
    given = await grant(api, ada, "rol_viewer", "org_default")
    with api.database.read() as connection:
        account = accounts.get(connection, me)
        access = grants.access_of(connection, me, api.app.platform.permissions, tuple(scopes))
        principal = Principal(me, account.name, account.kind, account.organization_id, "tok", access)
        changed = Decider(api.app.platform, connection, principal, Rights(connection, without=[given]))
        assert changed.access(me).allows(GET, ROOT)
        assert not changed.access(me).allows("admin.user.delete", ROOT)
        assert changed.access(me).limits == access.limits
        assert changed.access(ada).limits == ()
        owned = next(rule.grant_id for rule in access.rules if rule.built_in is Role.ADMIN)
        without = Decider(api.app.platform, connection, principal, Rights(connection, without=[owned]))
        assert not without.access(me).allows(GET, ROOT), "also the asker's own rights are those of the change"
    assert (await asker.get("admin/users")).status == 403
