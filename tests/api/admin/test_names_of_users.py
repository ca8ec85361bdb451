"""Users of several organizations may have one name, and none of them gets in the way of another.

The kind: a name is unique in an organization, and something looks people up by name alone: it then finds another
organization's user, or one who took the name later.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api

OTHER = "another long password"


async def login(api: Api, name: str, password: str = PASSWORD) -> str | None:
    """Returns the id of the user whom these let in, or None."""
    reply = await api.anonymous.post("admin/sessions:login", {"name": name, "password": password})
    if reply.status != 200:
        assert reply.status == 401
        return None
    return str(api.events("admin.session.logged_in")[-1]["principal_id"])


async def two(api: Api) -> tuple[Tenant, Tenant, str, str]:
    """Two organizations with an `ana` each, the first one's first; they have different passwords."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    first = await user(api, "ana", one.organization, password=True)
    second = await user(api, "ana", other.organization)
    await made(other.admin.post(f"admin/users/{second}:set-password", {"password": OTHER}))
    return one, other, first, second


async def test_each_logs_in_with_organization_and_name(api: Api) -> None:
    one, _, first, second = await two(api)
    assert await login(api, "one/ana") == first
    assert await login(api, f"{one.organization}/ana") == first
    assert await login(api, "other/ana", OTHER) == second
    for wrong in ("one/ana", "nowhere/ana", "/ana", "ana/", "one//ana", "one/other/ana", "platform/ana"):
        assert await login(api, wrong, OTHER) is None, wrong


async def test_a_name_alone_means_who_had_it_first_whatever_others_do(api: Api) -> None:
    """Also an older account that takes the name later, or gets it back, does not take the login away."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    older = await user(api, "bea", other.organization, password=True)
    back = await user(api, "ana", other.organization, password=True)
    assert (await api.admin("DELETE", f"/api/v1/admin/users/{back}")).status == 204
    first = await user(api, "ana", one.organization, password=True)
    assert await login(api, "ana") == first
    await made(other.admin("PATCH", f"admin/users/{older}", json={"name": "ana"}))
    assert await login(api, "ana") == first
    await made(other.admin("PATCH", f"admin/users/{older}", json={"name": "bea"}))
    await made(api.admin.post(f"admin/users/{back}:restore"))
    assert await login(api, "ana") == first
    assert await login(api, "other/ana") == back
    await made(one.admin.post(f"admin/users/{first}:suspend"))
    assert await login(api, "ana") is None, "it is still theirs"


@on_both
async def test_failures_of_one_slow_down_nobody_else(api: Api) -> None:
    _, _, first, second = await two(api)
    for _ in range(5):
        reply = await api.anonymous.post("admin/sessions:login", {"name": "other/ana", "password": "wrong"})
    assert reply.status == 401
    assert (await api.anonymous.post("admin/sessions:login", {"name": "other/ana", "password": OTHER})).status == 429
    assert await login(api, "one/ana") == first
    denied = [event["subject"] for event in api.events("admin.session.login_denied")]
    assert denied == [second] * 5, "the audit log names the right one"


async def test_a_name_in_a_path_is_that_of_the_callers_organization(api: Api) -> None:
    one, other, first, second = await two(api)
    for caller, id in ((one.admin, first), (other.admin, second)):
        assert (await made(caller.get("admin/users/ana")))["id"] == id
        assert (await made(caller.get("admin/users/ana/revisions")))["items"]
        key = await made(caller.post("admin/api-keys", {"label": "one", "principal_id": "ana"}))
        assert key["principal_id"] == id
    ambiguous = await api.admin.get("admin/users/ana")
    assert (ambiguous.reason, sorted(ambiguous.json["metadata"]["candidates"])) == (
        "AMBIGUOUS_NAME",
        sorted([first, second]),
    )
    subject: dict[str, Any] = {"type": "user", "id": "ana"}
    await grant(api, second, "rol_viewer", other.project)
    asked = {
        "subject": subject,
        "action": {"name": "get"},
        "resource": {"type": "admin.project", "id": other.project},
    }
    answer = await other.admin.http.post("/access/v1/evaluation", json=asked)
    assert answer.json()["decision"] is True
    answer = await one.admin.http.post("/access/v1/evaluation", json=asked)
    assert answer.json()["decision"] is False


async def test_the_name_to_log_in_with_is_told(api: Api) -> None:
    one, other, first, second = await two(api)
    assert (await made(other.admin.get(f"admin/users/{second}/account")))["login_name"] == "other/ana"
    assert (await made(one.admin.get(f"admin/users/{first}/account")))["login_name"] == "one/ana"
    token = (await made(other.admin.post("admin/invitations", {"email": "ben@example.org"})))["token"]
    body = {"token": token, "name": "ben", "password": PASSWORD}
    accepted = await made(api.anonymous.post("admin/invitations:accept", body))
    assert accepted["login_name"] == "other/ben"
    assert await login(api, accepted["login_name"]) == accepted["user_id"]


@pytest.mark.parametrize("name", ["other", "fresh"])
async def test_only_who_may_create_organizations_names_them(api: Api, name: str) -> None:
    """The kind: a rename asks for less than a creation, and tells which names are taken."""
    one, _, first, _ = await two(api)
    path = f"admin/organizations/{one.organization}"
    refused = await one.admin("PATCH", path, json={"name": name})
    assert (refused.status, refused.reason) == (403, "PERMISSION_DENIED")
    await made(one.admin("PATCH", path, json={"spec": {"title": "One"}}))
    await made(api.admin("PATCH", path, json={"name": "first"}))
    assert await login(api, "first/ana") == first
    assert await login(api, "one/ana") is None
