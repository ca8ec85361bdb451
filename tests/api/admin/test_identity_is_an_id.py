"""Identity is an id, never a name.

The kind: something is kept, found or decided by a name, which may be another user's tomorrow: answers to repeated
requests, accounts, rights, and what is called after a project. Each test passes a name on.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from api.kernel.permissions.conditions import FIELDS, condition, stored_condition
from api.kernel.permissions.graph import asset_securable
from api.kernel.tables import GRANT
from core.errors import InvalidArgument
from core.ids import new_id
from tests.api.admin.repeated_requests import REPLAYED, REQUESTS, SECRET, group, member
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api
from tests.conformance.examples import DRAFTS
from tests.conformance.operations import STORED, collection
from tests.orchestration import FakeOrchestrator

NUMBERS = itertools.count()


async def renamed(api: Api, id: str) -> None:
    await made(api.admin("PATCH", f"admin/users/{id}", json={"name": f"former{next(NUMBERS)}"}))


async def deleted(api: Api, id: str) -> None:
    assert (await api.admin("DELETE", f"admin/users/{id}")).status == 204


async def renamed_after_deletion(api: Api, id: str) -> None:
    await deleted(api, id)
    await made(api.admin.post(f"admin/users/{id}:restore"))
    await renamed(api, id)


WAYS = [renamed, deleted, renamed_after_deletion]


@pytest.mark.parametrize("pass_on", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
async def test_a_name_passed_on_takes_no_kept_answer_along(
    api: Api,
    request_of: Callable[[str], tuple[str, str, dict[str, Any] | None]],
    pass_on: Callable[[Api, str], Awaitable[None]],
) -> None:
    """The kind: what a principal left under a key is found by the name. Every sort of request, every way of a name."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    id, first = await member(api, "ana", one)
    await grant(api, id, "ai_catalog.asset.*", "platform")
    method, path, body = request_of(await group(first, one.organization, "there"))
    once: dict[str, Any] = {"headers": {"idempotency-key": "shared"}} | ({} if body is None else {"json": body})
    answered = await first(method, path, **once)
    assert answered.status < 300, answered.response.text
    assert REPLAYED in (await first(method, path, **once)).headers, "the same person has it again"

    await pass_on(api, id)
    heir_id, heir = await member(api, "ana", other)
    await grant(api, heir_id, "ai_catalog.asset.*", "platform")
    reply = await heir(method, path, **once)
    assert REPLAYED not in reply.headers
    if method == "POST" and path == "admin/groups":
        assert (reply.status, reply.json["organization_id"]) == (201, other.organization)
    elif "assets" in path:
        assert (reply.status, reply.json["id"] == answered.json["id"]) == (202, False)
    else:
        assert SECRET not in reply.response.text


@pytest.mark.parametrize("kind", STORED, ids=lambda kind: kind.full_name)
async def test_no_name_has_the_form_of_an_id(api: Api, kind: Any) -> None:
    """The kind: a name equal to a user's id is taken for that user, wherever an id or a name is possible."""
    spec, _ = DRAFTS[kind.full_name]
    one = await tenant(api, "one")
    place = {"project_id": one.project} if kind.level.value == "PROJECT" else {}
    path = collection(kind)
    present = (await made(api.admin.post(path, {"name": "plain", "spec": spec, **place})))["id"]
    for name in (one.admin_id, present, new_id("usr")):
        draft = {"name": name, "spec": spec, **place}
        replies = [
            await api.admin.post(path, draft),
            await api.admin("PATCH", f"{path}/{present}", json={"name": name}),
            await api.admin.post(f"{path}:batch", {"items": [{"method": "CREATE", "body": draft}]}),
        ]
        # Names of projects never change, and most kinds allow no underscore.
        assert {reply.status for reply in replies} <= {422, 409}, [reply.response.text for reply in replies]


@on_both
async def test_an_account_is_found_by_its_id_alone(api: Api) -> None:
    """An account that bears the id of another one as its name, as an earlier release allowed, is not taken for it."""
    from api.kernel.credentials import accounts

    one = await tenant(api, "one")
    victim, thief = await user(api, "victim"), await user(api, "thief", one.organization)
    with api.database.write() as connection:
        accounts.change(connection, thief, name=victim)
    key = await made(api.admin.post("admin/api-keys", {"label": "of the victim", "principal_id": victim}))
    assert key["principal_id"] == victim
    assert (await one.admin.get(f"admin/api-keys/{key['id']}")).status == 404
    assert (await one.admin.post(f"admin/api-keys/{key['id']}:rotate", {})).status == 404


def test_no_condition_names_people() -> None:
    """The kind: a right depends on a name. Every field that conditions know but that one is an id or a property."""
    with pytest.raises(InvalidArgument):
        condition('created_by == "ana"')
    assert {name for name in FIELDS if name.endswith("_by")} == {"created_by"}


@on_both
async def test_a_stored_condition_that_cannot_be_read_allows_nothing_and_denies_all(api: Api) -> None:
    text = 'created_by == "ana"'
    assert stored_condition(text) is None
    one = await tenant(api, "one")
    for effect, sees in (("ALLOW", False), ("DENY", False)):
        id = await user(api, f"by-{effect.lower()}", one.organization)
        if effect == "DENY":
            await grant(api, id, "rol_viewer", one.project)
        right = await grant(api, id, "admin.project.*", one.project, effect=effect, condition='name == "x"')
        with api.database.write() as connection:
            connection.execute(GRANT.update().where(GRANT.c.id == right).values(condition=text))
        caller = api.caller(f"by-{effect.lower()}")
        listed = await caller.get("admin/projects")
        assert listed.status == 403 or [item["id"] for item in listed.json["items"]] == ([one.project] if sees else [])
        assert (await caller.get(f"admin/projects/{one.project}")).status in (403, 404)


class TestProjects:
    """The kind: assets, tables and areas of a project go to the next project of its name."""

    def draft(self, name: str, home: Tenant) -> dict[str, Any]:
        return {"name": name, "organization_id": home.organization, "spec": {"title": "Mine"}}

    async def test_a_name_is_given_once(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        one, other = await tenant(api, "one"), await tenant(api, "other")
        live = (await made(one.admin.post("admin/projects", self.draft("alive", one))))["id"]
        gone = (await made(one.admin.post("admin/projects", self.draft("gone", one))))["id"]
        assert (await one.admin("DELETE", f"admin/projects/{gone}")).status == 204
        purged = await tenant(api, "purged")
        await made(purged.admin.post("admin/projects", self.draft("erased", purged)))
        with api.database.write() as connection:
            from api.services.admin.logic.erasing import erase_organization

            erase_organization(connection, purged.organization)
        # `flights` is code that no project was registered for: it is the default organization's.
        texts = set()
        for name in ("alive", "gone", "erased", "flights"):
            reply = await other.admin.post("admin/projects", self.draft(name, other))
            assert reply.status == 409, (name, reply.response.text)
            texts.add((reply.reason, reply.json["detail"].replace(name, "?"), str(reply.json["metadata"])))
        assert len(texts) == 1, "it does not tell which of these it is"
        assert (await other.admin.post("admin/projects", self.draft("free", other))).status == 201
        for name, id in (("alive", live), ("gone", gone)):
            own = await one.admin.post("admin/projects", self.draft(name, one))
            assert own.status == 409
            assert (name == "alive") is ("Another project has the name" in own.json["detail"])
            assert (id in own.json["detail"]) is (name == "gone")
        assert (await api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Ours"}})).status == 201

    async def test_what_is_left_of_a_deleted_one_becomes_nobody_elses(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        one = await tenant(api, "one")
        orchestrator.nodes = {
            id.replace("flights.", "one_data.", 1): replace(
                node, id=id.replace("flights.", "one_data.", 1), upstream=()
            )
            for id, node in orchestrator.nodes.items()
        }
        asset = "one_data.bronze.flights"
        reader = await user(api, "reader")
        await grant(api, reader, "rol_viewer", "org_default")
        assert (await one.admin.get(f"ai-catalog/assets/{asset}")).status == 200
        assert (await one.admin("DELETE", f"admin/projects/{one.project}")).status == 204
        assert (await api.caller("reader").get(f"ai-catalog/assets/{asset}")).status == 404
        assert (await one.admin.get(f"ai-catalog/assets/{asset}")).status == 200
        assert asset_securable(api.app.platform, asset).organization_id == one.organization


async def test_failed_logins_are_counted_by_account(api: Api) -> None:
    """The kind: who has a name next inherits the failures of who had it, and leaves their own behind."""
    one = await tenant(api, "one")
    first = await user(api, "ana", one.organization, password=True)
    wrong = {"name": "ana", "password": "wrong"}
    while (await api.anonymous.post("admin/sessions:login", wrong)).status != 429:
        pass
    await renamed(api, first)
    await user(api, "ana", password=True)
    assert (await api.anonymous.post("admin/sessions:login", {"name": "ana", "password": PASSWORD})).status == 200
    name = (await api.admin.get(f"admin/users/{first}")).json["name"]
    reply = await api.anonymous.post("admin/sessions:login", {"name": name, "password": PASSWORD})
    assert reply.status == 429, "a new name wins no further guesses"
