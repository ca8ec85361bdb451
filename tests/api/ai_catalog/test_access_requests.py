"""A user asks the owner of an asset for the right to read it, and gets exactly that, once, until it ends."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.tables import GRANT
from core import clock
from lakehouse.tables import Tables
from tests.api.admin.mailing import until
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.admin.test_projects import move
from tests.api.ai_catalog.copied_tables import OTHER, PEOPLE, REPORT, STAFF, id_of, make_copies, owner, reads
from tests.api.ai_catalog.provenance_tables import sees_only
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, Reply
from tests.orchestration import FakeOrchestrator, node

PATH = "ai-catalog/access-requests"


@pytest.fixture
async def tables(api: Api, orchestrator: FakeOrchestrator) -> Tables:
    return await make_copies(api, orchestrator)


async def sees(api: Api, name: str, *assets: str) -> Caller:
    """A user who sees assets and not their rows."""
    id = await user(api, name)
    for asset in assets:
        await grant(api, id, "ai_catalog.asset.get", asset, securable_kind="ai_catalog.asset")
    return api.caller(name)


async def ask(caller: Caller, asset: str = OTHER, **fields: Any) -> dict[str, Any]:
    return await made(caller.post(PATH, {"asset": asset, "purpose": "The yearly report.", **fields}))


async def act(caller: Caller, id: str, verb: str, **body: Any) -> Reply:
    return await caller.post(f"{PATH}/{id}:{verb}", body)


def grants_of(api: Api, principal_id: str) -> list[Any]:
    with api.database.read() as connection:
        select = sa.select(GRANT).where(
            GRANT.c.principal_id == principal_id, GRANT.c.permission != "ai_catalog.asset.get"
        )
        return list(connection.execute(select))


@on_both
@pytest.mark.effect("ai_catalog_create_access_request", "ai_catalog_approve_access_request")
async def test_the_owner_approves_and_the_rows_open(api: Api, tables: Tables) -> None:
    ada, carl = await sees(api, "ada", OTHER), await owner(api, "carl", OTHER)
    assert not await reads(ada, OTHER)
    (need,) = (await made(ada.get(f"ai-catalog/assets/{OTHER}/access")))["needs"]
    asked = await ask(ada, **need)
    assert (asked["state"], asked["requested_by"]) == ("OPEN", "ada")
    assert [one["id"] for one in (await made(carl.get(PATH)))["items"]] == [asked["id"]]
    approved = await made(act(carl, asked["id"], "approve", comment="Fine."))
    assert (approved["state"], approved["ended_by"], approved["comment"]) == ("APPROVED", "carl", "Fine.")
    assert await reads(ada, OTHER)
    (given,) = grants_of(api, await id_of(api, "ada"))
    assert (given.id, given.permission) == (approved["grant_id"], "ai_catalog.asset.preview")
    (event,) = api.events("admin.grant.given", subject=given.id)
    assert event["data"]["principal_id"] == given.principal_id, "past decisions are derived from it"
    assert (await act(carl, asked["id"], "approve")).status == 409
    assert (await ada.post(PATH, {"asset": OTHER, "purpose": "Again."})).status == 409, "ada has the right"


@on_both
async def test_a_release_that_was_asked_for_opens_the_copy(api: Api, tables: Tables) -> None:
    ada = await sees_only(api, "ada", STAFF)
    await grant(api, await id_of(api, "ada"), "ai_catalog.asset.get", PEOPLE, securable_kind="ai_catalog.asset")
    (need,) = (await made(ada.get(f"ai-catalog/assets/{STAFF}/access")))["needs"]
    assert need == {"asset": PEOPLE, "copies": STAFF}
    asked = await ask(ada, **need)
    approved = await made(act(api.admin, asked["id"], "approve"))
    assert await reads(ada, STAFF)
    assert not await reads(ada, PEOPLE)
    (released,) = (await made(api.admin.get("ai-catalog/releases")))["items"]
    assert (released["id"], asked["id"] in released["reason"]) == (approved["release_id"], True)
    assert len(api.events("ai_catalog.release.created", subject=released["id"])) == 1
    assert len(api.events("ai_catalog.access_request.approved", subject=asked["id"])) == 1


async def test_access_ends_when_it_was_asked_to_or_earlier(
    api: Api, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, now = await sees(api, "ada", OTHER), clock.now()
    asked = await ask(ada, until=(now + timedelta(minutes=9)).isoformat())
    await made(act(api.admin, asked["id"], "approve", until=(now + timedelta(minutes=5)).isoformat()))
    assert await reads(ada, OTHER)
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=6))
    assert not await reads(ada, OTHER)


async def test_an_expired_request_is_not_approved_and_makes_way(
    api: Api, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, now = await sees(api, "ada", OTHER), clock.now()
    asked = await ask(ada, until=(now + timedelta(minutes=5)).isoformat())
    assert (await ada.post(PATH, {"asset": OTHER, "purpose": "x"})).status == 409, "one at a time"
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(minutes=6))
    assert (await made(ada.get(f"{PATH}/{asked['id']}")))["state"] == "EXPIRED"
    assert (await act(api.admin, asked["id"], "approve")).status == 409
    await ask(ada)


@on_both
@pytest.mark.effect("ai_catalog_reject_access_request", "ai_catalog_cancel_access_request")
async def test_a_request_is_rejected_with_a_reason_or_canceled(api: Api, tables: Tables) -> None:
    ada = await sees(api, "ada", OTHER)
    first = await ask(ada)
    assert (await act(api.admin, first["id"], "cancel")).status == 403, "only ada"
    assert (await act(api.admin, first["id"], "reject")).status == 422, "without a reason"
    await made(act(api.admin, first["id"], "reject", comment="Ask for the totals."))
    assert (await made(ada.get(f"{PATH}/{first['id']}")))["comment"] == "Ask for the totals."
    second = await ask(ada)
    await made(act(ada, second["id"], "cancel"))
    assert (await act(api.admin, second["id"], "approve")).status == 409
    assert not await reads(ada, OTHER)


@on_both
async def test_two_approvals_at_once_give_one_grant(api: Api, tables: Tables) -> None:
    ada, carl = await sees(api, "ada", OTHER), await owner(api, "carl", OTHER)
    asked = await ask(ada)
    replies = await asyncio.gather(*(act(caller, asked["id"], "approve") for caller in (carl, api.admin)))
    assert sorted(reply.status for reply in replies) == [200, 409]
    assert len(grants_of(api, await id_of(api, "ada"))) == 1


async def test_a_grant_that_exists_is_not_given_again(api: Api, tables: Tables) -> None:
    ada = await sees(api, "ada", OTHER)
    asked = await ask(ada)
    ada_id = await id_of(api, "ada")
    known = await grant(api, ada_id, "ai_catalog.asset.preview", OTHER, securable_kind="ai_catalog.asset")
    approved = await made(act(api.admin, asked["id"], "approve"))
    assert (approved["grant_id"], len(grants_of(api, ada_id))) == (known, 1)


class TestWhoDecides:
    @on_both
    async def test_not_the_user_who_asked_nor_a_program(self, api: Api, tables: Tables) -> None:
        eve = await sees(api, "eve", OTHER)
        asked = await ask(eve)
        eve_id = await id_of(api, "eve")
        await grant(api, eve_id, "ai_catalog.access_request.*", OTHER, securable_kind="ai_catalog.asset")
        assert (await act(eve, asked["id"], "approve")).status == 403
        assert (await act(eve, asked["id"], "reject", comment="x")).status == 403
        body = {"name": "robot", "project_id": "flights", "spec": {}}
        robot = (await made(api.admin.post("admin/service-accounts", body)))["id"]
        await grant(api, robot, "rol_admin", "flights", securable_kind="admin.project")
        key = await made(api.admin.post("admin/api-keys", {"label": "k", "principal_id": robot}))
        assert (await act(Caller(api.app, key["secret"]), asked["id"], "approve")).status == 403

    async def test_only_who_holds_what_they_give_for_as_long(self, api: Api, tables: Tables) -> None:
        ada, asked_until = await sees(api, "ada", OTHER), clock.now() + timedelta(days=1)
        asked = await ask(ada)
        fred = await user(api, "fred")
        for right in ("ai_catalog.access_request.*", "ai_catalog.asset.get"):
            await grant(api, fred, right, OTHER, securable_kind="ai_catalog.asset")
        refused = await act(api.caller("fred"), asked["id"], "approve")
        assert (refused.status, refused.json["reason"]) == (403, "EXCEEDS_RIGHTS")
        ends = {"securable_kind": "ai_catalog.asset", "expires_at": asked_until.isoformat()}
        await grant(api, fred, "ai_catalog.asset.preview", OTHER, **ends)
        assert (await act(api.caller("fred"), asked["id"], "approve")).status == 403, "for a day only"
        await made(act(api.caller("fred"), asked["id"], "approve", until=asked_until.isoformat()))
        assert await reads(ada, OTHER)

    @on_both
    async def test_who_may_not_sees_no_request_of_others(self, api: Api, tables: Tables) -> None:
        asked = await ask(await sees(api, "ada", OTHER))
        south = await tenant(api, "south")
        for caller in (await sees(api, "bob", OTHER), api.viewer, api.editor, south.admin):
            assert (await caller.get(f"{PATH}/{asked['id']}")).status == 404
            assert (await made(caller.get(PATH)))["items"] == []
            assert (await act(caller, asked["id"], "approve")).status in (403, 404)

    async def test_nobody_asks_for_what_they_can_not_see(self, api: Api, tables: Tables) -> None:
        ada = await sees(api, "ada", OTHER)
        for body in ({"asset": PEOPLE}, {"asset": "no.such.asset"}, {"asset": OTHER, "copies": PEOPLE}):
            assert (await ada.post(PATH, body | {"purpose": "x"})).status == 404

    async def test_a_trial_gives_nothing(self, api: Api, tables: Tables) -> None:
        ada = await sees(api, "ada", OTHER)
        asked = await ask(ada)
        await made(api.admin.post(f"{PATH}/{asked['id']}:approve", {}, params={"validate_only": "true"}))
        assert not await reads(ada, OTHER)
        assert (await made(ada.get(f"{PATH}/{asked['id']}")))["state"] == "OPEN"


class TestMeanwhile:
    async def test_the_asset_was_removed(self, api: Api, tables: Tables, orchestrator: FakeOrchestrator) -> None:
        asked = await ask(await sees(api, "ada", OTHER))
        del orchestrator.nodes[OTHER]
        assert (await act(api.admin, asked["id"], "approve")).status == 409

    async def test_the_user_was_deactivated(self, api: Api, tables: Tables) -> None:
        asked = await ask(await sees(api, "ada", OTHER))
        ada = await id_of(api, "ada")
        await made(api.admin.post(f"admin/users/{ada}:suspend", {}))
        assert (await act(api.admin, asked["id"], "approve")).status == 409
        assert grants_of(api, ada) == []

    async def test_the_user_lost_sight_of_it(self, api: Api, tables: Tables) -> None:
        ada = await user(api, "ada")
        seen = await grant(api, ada, "ai_catalog.asset.get", REPORT, securable_kind="ai_catalog.asset")
        asked = await ask(api.caller("ada"), REPORT)
        assert (await api.admin("DELETE", f"admin/grants/{seen}")).status == 204
        assert (await act(api.admin, asked["id"], "approve")).status == 409

    async def test_the_project_moved(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        north, south = await tenant(api, "north"), await tenant(api, "south")
        asset = "north_data.gold.sales"
        orchestrator.nodes[asset] = node(asset)
        ada = await user(api, "ada", north.organization)
        await grant(api, ada, "ai_catalog.asset.get", asset, securable_kind="ai_catalog.asset")
        asked = await ask(api.caller("ada"), asset)
        assert (await move(api, north.project, south.organization))["state"] == "SUCCEEDED"

        async def arrived() -> bool:
            return (await south.admin.get(f"ai-catalog/assets/{asset}")).status == 200

        await until(arrived, "the rights of the new organization")
        assert (await made(south.admin.get(PATH)))["items"] == []
        assert (await act(south.admin, asked["id"], "approve")).status == 404
        assert (await act(north.admin, asked["id"], "approve")).status in (403, 404)
        assert (await act(api.admin, asked["id"], "approve")).status == 404
        assert grants_of(api, ada) == []
