"""The platform always has a user who can administer it, whatever changes in whatever way.

The kind: the check stood in some operations that end a right, so each other way to lose it went unseen, and a stand-in
counted who can never act. It is made once, when a transaction that changed rights is about to end, and for each part of
a separate request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.credentials.lockout import has_admin
from api.kernel.permissions.access import Access
from api.kernel.tables import GRANT, PRINCIPAL, RESOURCE
from core import clock
from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api_process import Api

Prepare = Callable[[Api], Awaitable[Any]]
TRIED = {"validate_only": "true"}


async def own_grant(api: Api) -> str:
    (own,) = (await api.admin.get("admin/grants", params={"filter": 'role_id == "rol_admin"'})).json["items"]
    return f"admin/grants/{own['id']}"


async def group(api: Api, *members: str, **spec: Any) -> str:
    number = len((await api.admin.get("admin/groups")).json["items"])
    body = {"name": f"g{number}", "spec": {"title": "A group"} | spec}
    id = str((await made(api.admin.post("admin/groups", body)))["id"])
    if members:
        await made(api.admin.post(f"admin/groups/{id}:add-members", {"members": list(members)}))
    return id


async def admin_id(api: Api) -> str:
    return str((await made(api.admin.get("admin/users/admin")))["id"])


async def provider(api: Api) -> str:
    spec = {"title": "Login", "issuer": "https://login.example.org", "client_id": "headwater"}
    return str((await made(api.admin.post("admin/identity-providers", {"name": "login", "spec": spec})))["id"])


class TestStandIns:
    """A user who replaces the last admin must be able to log in, and hold everything, for some time."""

    async def ending(self, api: Api) -> None:
        soon = (clock.now() + timedelta(minutes=1)).isoformat()
        await grant(api, await user(api, "second", password=True), "rol_admin", "platform", expires_at=soon)

    async def conditional(self, api: Api) -> None:
        id = await user(api, "second", password=True)
        await grant(api, id, "rol_admin", "platform", condition='labels.stage == "test"')

    async def partial(self, api: Api) -> None:
        await grant(api, await user(api, "second", password=True), "admin.*", "platform")

    async def denied(self, api: Api) -> None:
        id = await user(api, "second", password=True)
        await grant(api, id, "rol_admin", "platform")
        await grant(api, id, "admin.grant.*", "platform", effect="DENY")

    async def suspended(self, api: Api) -> None:
        await grant(api, await user(api, "second", password=True), "rol_admin", "platform")
        await made(api.admin.post("admin/users/second:suspend", {}))

    async def without_a_way_in(self, api: Api) -> None:
        await grant(api, await user(api, "second"), "rol_admin", "platform")

    async def of_a_suspended_organization(self, api: Api) -> None:
        body = {"name": "other", "spec": {"title": "Other"}}
        other = (await made(api.admin.post("admin/organizations", body)))["id"]
        await grant(api, await user(api, "second", other, password=True), "rol_admin", "platform")
        await made(api.admin.post("admin/organizations/other:suspend", {}))

    async def a_program(self, api: Api) -> None:
        project = (await made(api.admin.post("admin/projects", {"name": "p", "spec": {"title": "P"}})))["id"]
        body = {"name": "bot", "project_id": project, "spec": {}}
        id = (await made(api.admin.post("admin/service-accounts", body)))["id"]
        await grant(api, id, "rol_admin", "platform")
        await made(api.admin.post("admin/api-keys", {"label": "nightly", "principal_id": id}))

    async def by_claims(self, api: Api) -> None:
        id = await user(api, "second", password=True)
        await grant(api, await group(api, id, source="CLAIM"), "rol_admin", "platform")

    async def of_a_provider_that_is_gone(self, api: Api) -> None:
        id = await user(api, "second")
        await grant(api, id, "rol_admin", "platform")
        issuer = await provider(api)
        spec = {"identity_provider_id": issuer, "external_id": "second"}
        await made(api.admin("PATCH", f"admin/users/{id}", json={"spec": spec}))
        assert (await api.admin("DELETE", f"admin/identity-providers/{issuer}")).status == 204

    @pytest.mark.parametrize(
        "name",
        [
            *("ending", "conditional", "partial", "denied", "suspended", "without_a_way_in"),
            *("of_a_suspended_organization", "a_program", "by_claims", "of_a_provider_that_is_gone"),
        ],
    )
    async def test_it_is_none(self, api: Api, name: str) -> None:
        await getattr(self, name)(api)
        own = await self._first(api)
        assert (await api.admin("DELETE", own)).status == 409
        assert (await api.admin.post("admin/users/admin:suspend", {})).status == 409
        assert (await api.admin.get("admin/users")).status == 200

    async def _first(self, api: Api) -> str:
        found = {"filter": f'principal_id == "{await admin_id(api)}"'}
        (own,) = (await api.admin.get("admin/grants", params=found)).json["items"]
        return f"admin/grants/{own['id']}"

    async def test_somebody_else_is_one(self, api: Api) -> None:
        """With a password, by a nested group, for a month, or by an identity provider."""
        own = await own_grant(api)
        inner = await group(api, await user(api, "nested", password=True))
        outer = await group(api, inner)
        month = (clock.now() + timedelta(days=30)).isoformat()
        external = await user(api, "external")
        spec = {"identity_provider_id": await provider(api), "external_id": "external"}
        await made(api.admin("PATCH", f"admin/users/{external}", json={"spec": spec}))
        for id, extra in (
            (outer, {}),
            (await user(api, "month", password=True), {"expires_at": month}),
            (external, {}),
        ):
            right = await grant(api, id, "rol_admin", "platform", **extra)
            assert (await api.admin("DELETE", own, params=TRIED)).status == 204, id
            assert (await api.admin("DELETE", f"admin/grants/{right}")).status == 204
            assert (await api.admin("DELETE", own, params=TRIED)).status == 409


class TestWays:
    """The last admin holds the right by a group. Each way to lose it is refused, and leaves everything as it was."""

    async def alone(self, api: Api) -> tuple[str, str, str]:
        """The admin, the group by which the admin holds everything, and its grant."""
        own, id = await own_grant(api), await admin_id(api)
        admins = await group(api, id)
        right = await grant(api, admins, "rol_admin", "platform")
        assert (await api.admin("DELETE", own)).status == 204
        return id, admins, right

    async def test_by_a_right_that_is_denied(self, api: Api) -> None:
        id, admins, _ = await self.alone(api)
        denied = await group(api)
        await grant(api, denied, "admin.*", "platform", effect="DENY")
        for holder in (id, admins):
            body = {"principal_id": holder, "permission": "*", "effect": "DENY", "securable_id": "platform"}
            soon = body | {"condition": 'name == "x"'}
            for tried in (body, soon, body | {"expires_at": (clock.now() + timedelta(days=1)).isoformat()}):
                assert (await api.admin.post("admin/grants", tried)).status == 409
                assert (await api.admin.post("admin/grants:apply", {"grant": [tried]})).status == 409
            assert (await api.admin.post(f"admin/groups/{denied}:add-members", {"members": [holder]})).status == 409
        assert (await api.admin.get("admin/users")).status == 200

    async def test_by_the_group(self, api: Api) -> None:
        id, admins, right = await self.alone(api)
        assert (await api.admin("DELETE", f"admin/grants/{right}")).status == 409
        assert (await api.admin.post("admin/grants:apply", {"revoke": [right]})).status == 409
        assert (await api.admin("DELETE", f"admin/groups/{admins}")).status == 409
        assert (await api.admin.post(f"admin/groups/{admins}:remove-members", {"members": [id]})).status == 409
        gone = {"items": [{"method": "DELETE", "id": admins}]}
        assert (await api.admin.post("admin/groups:batch", gone)).status == 409
        each = (await made(api.admin.post("admin/groups:batch", gone | {"atomic": False})))["items"]
        assert [one["status"] for one in each] == [409]
        assert (await api.admin.get("admin/users")).status == 200

    async def test_by_the_account(self, api: Api) -> None:
        id, _, _ = await self.alone(api)
        assert (await api.admin.post(f"admin/users/{id}:suspend", {})).status == 409
        assert (await api.admin("DELETE", f"admin/users/{id}")).status == 409
        assert (await api.admin.post("admin/users:batch", {"items": [{"method": "DELETE", "id": id}]})).status == 409
        assert (await api.admin.post("admin/organizations/default:suspend", {})).status == 409
        assert (await api.admin.get("admin/users")).status == 200

    @on_both
    async def test_by_a_directory(self, api: Api) -> None:
        id, admins, _ = await self.alone(api)
        patch = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}
        off = patch | {"Operations": [{"op": "replace", "path": "active", "value": False}]}
        out = patch | {"Operations": [{"op": "remove", "path": "members"}]}
        for method, path, body in (
            ("PATCH", f"Users/{id}", off),
            ("DELETE", f"Users/{id}", None),
            ("PATCH", f"Groups/{admins}", out),
            ("DELETE", f"Groups/{admins}", None),
        ):
            answer = await api.admin.http.request(method, f"/scim/v2/{path}", json=body)
            assert answer.status_code == 409, answer.text
        assert (await api.admin.get("admin/users")).status == 200

    @on_both
    async def test_by_the_identity_provider(self, api: Api) -> None:
        id, issuer = await admin_id(api), await provider(api)
        spec = {"identity_provider_id": issuer, "external_id": "admin"}
        await made(api.admin("PATCH", f"admin/users/{id}", json={"spec": spec}))
        with api.database.write() as connection:
            connection.execute(PRINCIPAL.update().where(PRINCIPAL.c.id == id).values(password_hash=None))
        assert (await api.admin("DELETE", f"admin/identity-providers/{issuer}")).status == 409
        gone = {"items": [{"method": "DELETE", "id": issuer}]}
        assert (await api.admin.post("admin/identity-providers:batch", gone)).status == 409
        for unlinked in ({"identity_provider_id": None}, {"external_id": None}):
            assert (await api.admin("PATCH", f"admin/users/{id}", json={"spec": unlinked})).status == 409
        await made(api.admin("PATCH", f"admin/users/{id}", json={"spec": {"emails": ["admin@acme.example"]}}))
        provider_path = f"admin/identity-providers/{issuer}"
        await made(api.admin("PATCH", provider_path, json={"spec": {"domains": ["ACME.example"]}}))
        closed = {"spec": {"domains": ["other.example"]}}
        assert (await api.admin("PATCH", provider_path, json=closed)).status == 409
        batch = {"items": [{"method": "UPDATE", "id": issuer, "body": closed}]}
        assert (await api.admin.post("admin/identity-providers:batch", batch)).status == 409
        assert (await api.admin("PATCH", f"admin/users/{id}", json={"spec": {"emails": []}})).status == 409


@on_both
async def test_a_platform_that_has_none_already_can_be_changed(api: Api) -> None:
    """One whose last admin was lost before is not closed permanently to those who hold a part of it."""
    clerk = await user(api, "clerk", password=True)
    await grant(api, clerk, "admin.*", "platform")
    caller = api.caller("clerk")
    with api.database.write() as connection:
        connection.execute(GRANT.delete().where(GRANT.c.role_id == "rol_admin"))
    body = {"principal_id": clerk, "permission": "admin.user.get", "securable_id": "org_default"}
    assert (await caller.post("admin/grants", body)).status == 201


@on_both
async def test_ten_thousand_grants_are_not_looked_at(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an admin of the usual sort, the check reads that one's rights and no others."""
    with api.database.write() as connection:
        row = dict(connection.execute(sa.select(GRANT).where(GRANT.c.role_id == "rol_admin")).first()._mapping)
        extra = {"role_id": "rol_viewer"}
        rows = [row | extra | {"id": f"gra_{n:026d}", "principal_id": f"usr_{n:026d}"} for n in range(10_000)]
        connection.execute(GRANT.insert(), rows)
    made_of: list[int] = []
    begin = Access.__init__

    def counted(self: Access, rules: Any, *extra: Any) -> None:
        made_of.append(len(rules))
        begin(self, rules, *extra)

    monkeypatch.setattr(Access, "__init__", counted)
    with api.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(RESOURCE)).scalar()
        assert has_admin(connection, api.app.platform.permissions)
    assert made_of == [1]


async def test_a_right_reaches_through_any_number_of_groups(api: Api) -> None:
    """Who administers by a group in a group in a group counts, and losing any link of the chain would lock out."""
    me = await admin_id(api)
    chain = [await group(api, me)]
    for _ in range(3):
        chain.append(await group(api, chain[-1]))
    own = await own_grant(api)
    await grant(api, chain[-1], "rol_admin", "platform")
    assert (await api.admin("DELETE", own)).status == 204
    for inner, outer in pairwise([me, *chain]):
        reply = await api.admin.post(f"admin/groups/{outer}:remove-members", {"members": [inner]})
        assert reply.status == 409, reply.response.text
    assert (await api.admin.get("admin/users")).status == 200


async def test_rights_end_at_once_with_membership_in_the_same_process(api: Api) -> None:
    ada = await user(api, "ada")
    readers = await group(api, ada)
    await grant(api, readers, "rol_viewer", "platform")
    caller = api.caller("ada")
    assert (await caller.get("admin/projects")).status == 200
    await made(api.admin.post(f"admin/groups/{readers}:remove-members", {"members": [ada]}))
    assert (await caller.get("admin/projects")).status == 403
    await made(api.admin.post(f"admin/groups/{readers}:add-members", {"members": [ada]}))
    assert (await caller.get("admin/projects")).status == 200
