"""Kind of fault: an answer kept for a repeated request outlives the right to it, or answers another request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from core import clock
from tests.api.admin.repeated_requests import REPLAYED, REQUESTS, SECRET, group, member
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, Reply
from tests.sagas import later


async def keyed(caller: Caller, method: str, path: str, **options: Any) -> Reply:
    headers = {"idempotency-key": "k", **options.pop("headers", {})}
    return await caller(method, path, headers=headers, **options)


@on_both
@pytest.mark.parametrize("stored", ["create", "update", "command", "batch"])
async def test_an_answer_is_not_shown_again_to_who_has_lost_the_right(api: Api, stored: str) -> None:
    """The kind: a kept answer outlives the right to it, here by a grant revoked, elsewhere by the limits of a key."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    id = await user(api, "ana", one.organization)
    right = await grant(api, id, "rol_admin", one.organization)
    await grant(api, id, "rol_admin", other.organization)  # so that the path alone refuses nothing
    ana = api.caller("ana")
    method, path, body = REQUESTS[stored](await group(ana, one.organization, "there"))
    assert (await keyed(ana, method, path, json=body)).status < 300
    assert REPLAYED in (await keyed(ana, method, path, json=body)).headers

    assert (await api.admin("DELETE", f"admin/grants/{right}")).status == 204
    refused = await keyed(ana, method, path, json=body)
    assert (refused.status, refused.reason) == (403, "PERMISSION_DENIED")
    assert SECRET not in refused.response.text


@on_both
async def test_a_narrower_key_does_not_get_the_answer_of_a_wider_one(api: Api) -> None:
    one = await tenant(api, "one")
    id, ana = await member(api, "ana", one)
    body = {"name": "made", "spec": {"title": SECRET}}
    assert (await keyed(ana, "POST", "admin/groups", json=body)).status == 201
    for scopes, status in ((["admin.group.create"], 201), (["admin.group.get"], 403)):
        issued = await made(ana.post("admin/api-keys", {"label": "narrow", "scopes": scopes}))
        reply = await keyed(Caller(api.app, issued["secret"]), "POST", "admin/groups", json=body)
        assert (reply.status, REPLAYED in reply.headers) == (status, status == 201)
    batch = {"items": [{"method": "CREATE", "body": body | {"name": "other"}}]}
    assert (await keyed(ana, "POST", "admin/groups:batch", json=batch, headers={"idempotency-key": "b"})).status == 200
    issued = await made(ana.post("admin/api-keys", {"label": "narrow", "scopes": ["admin.group.batch"]}))
    narrow = Caller(api.app, issued["secret"])
    reply = await keyed(narrow, "POST", "admin/groups:batch", json=batch, headers={"idempotency-key": "b"})
    assert reply.status == 403, "whether it suffices is not known"
    assert (await api.admin.get(f"admin/users/{id}")).status == 200


async def test_a_condition_that_is_met_no_more_withholds_the_answer(api: Api) -> None:
    one = await tenant(api, "one")
    id = await user(api, "ana", one.organization)
    rights = {"condition": 'labels.stage == "test"'}
    await grant(api, id, "admin.group.*", one.organization, **rights)
    present = await group(api.admin, one.organization, "there")
    await made(api.admin("PATCH", f"admin/groups/{present}", json={"labels": {"stage": "test"}}))
    ana, change = api.caller("ana"), {"spec": {"description": SECRET}}
    assert (await keyed(ana, "PATCH", f"admin/groups/{present}", json=change)).status == 200
    assert REPLAYED in (await keyed(ana, "PATCH", f"admin/groups/{present}", json=change)).headers
    await made(api.admin("PATCH", f"admin/groups/{present}", json={"labels": {"stage": "live"}}))
    assert (await keyed(ana, "PATCH", f"admin/groups/{present}", json=change)).status == 403


async def test_a_right_that_expired_since_withholds_the_answer(api: Api) -> None:
    """The kind: grants that are the same as before count as the same rights, although one of them has expired."""
    one, other = await tenant(api, "one"), await tenant(api, "other")
    id = await user(api, "ana", one.organization)
    soon = (clock.now() + timedelta(minutes=10)).isoformat()
    await grant(api, id, "rol_admin", one.organization, expires_at=soon)
    await grant(api, id, "rol_admin", other.organization)  # so that the path alone refuses nothing
    ana, body = api.caller("ana"), {"name": "made", "spec": {"title": SECRET}}
    assert (await keyed(ana, "POST", "admin/groups", json=body)).status == 201
    assert REPLAYED in (await keyed(ana, "POST", "admin/groups", json=body)).headers
    with later(minutes=20):
        refused = await keyed(ana, "POST", "admin/groups", json=body)
    assert (refused.status, refused.reason) == (403, "PERMISSION_DENIED")
    assert SECRET not in refused.response.text


async def test_other_rights_that_suffice_get_the_answer_until_the_resource_is_deleted(api: Api) -> None:
    one, other = await tenant(api, "one"), await tenant(api, "other")
    id, ana = await member(api, "ana", one)
    body = {"name": "made", "spec": {"title": SECRET}}
    made_group = await keyed(ana, "POST", "admin/groups", json=body)
    await grant(api, id, "admin.group.get", other.organization)
    assert REPLAYED in (await keyed(ana, "POST", "admin/groups", json=body)).headers
    assert (await api.admin("DELETE", f"admin/groups/{made_group.json['id']}")).status == 204
    refused = await keyed(ana, "POST", "admin/groups", json=body)
    assert (refused.status, refused.reason) == (403, "PERMISSION_DENIED")
    assert SECRET not in refused.response.text


async def test_a_key_stands_for_one_request_in_every_part(api: Api) -> None:
    """The kind: two requests that differ are taken for one. Every part that makes a request another one."""
    one = await tenant(api, "one")
    _, ana = await member(api, "ana", one)
    local, present = [await group(ana, one.organization, name) for name in ("here", "there")]
    etag = (await ana.get(f"admin/groups/{local}")).json["etag"]
    change = {"spec": {"description": "x"}}
    path = f"admin/groups/{local}"
    assert (await keyed(ana, "PATCH", path, json=change)).status == 200
    for method, url, options in (
        ("PATCH", f"admin/groups/{present}", {"json": change}),
        ("PATCH", path, {"json": {"spec": {"description": "y"}}}),
        ("PATCH", path, {"json": change, "params": {"validate_only": "true"}}),
        ("PATCH", path, {"json": change, "headers": {"if-match": etag}}),
        ("POST", f"{path}:remove-members", {"json": {"members": ["usr_06e1xq0000exampe0000000000"]}}),
        ("DELETE", path, {}),
    ):
        reply = await keyed(ana, method, url, **options)
        assert (reply.status, reply.reason) == (422, "IDEMPOTENCY_KEY_REUSED"), (method, url, options)
