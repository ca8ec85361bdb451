"""What must hold for every operation of every service, from the registry."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.kernel.kinds.endpoint import Answer, Endpoint
from api.kernel.roles import Role
from tests.api_process import Api, Caller
from tests.conformance.one_pass import in_one_pass
from tests.conformance.operations import ENDPOINTS, GUARDED, minimal, url

pytestmark = pytest.mark.asyncio(loop_scope="module")

WELL_KNOWN = ("authzen-configuration", "oauth-authorization-server", "openid-configuration")
every_endpoint = in_one_pass("endpoint", ENDPOINTS)


def located(endpoint: Endpoint) -> bool:
    """Whether nothing is said of its input before its item was found: these are tested on real items, by the fuzzer."""
    return endpoint.kind.locate is not None and endpoint.shape.on_item


async def call(caller: Caller, endpoint: Endpoint, **options: Any) -> Any:
    if endpoint.request is not None:
        options.setdefault("json", {})
    return await caller(endpoint.method, url(endpoint), **options)


async def test_strangers_are_turned_away(api: Api) -> None:
    """In one pass over all operations: the guard decides, so a case for each would prove no more."""
    open_to_strangers = {}
    for endpoint in GUARDED:
        reply = await call(api.anonymous, endpoint)
        if (reply.status, reply.reason) != (401, "UNAUTHENTICATED"):
            open_to_strangers[str(endpoint)] = reply.status
    assert open_to_strangers == {}


@pytest.mark.parametrize("token", ["x", "hw_" + "A" * 43, "eyJhbGciOiJub25lIn0.e30."])
async def test_tokens_that_do_not_hold_are_turned_away(api: Api, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    replies = {str(endpoint): await call(api.anonymous, endpoint, headers=headers) for endpoint in GUARDED}
    assert {name: reply.status for name, reply in replies.items() if reply.status != 401} == {}


@in_one_pass("endpoint", [one for one in GUARDED if one.role is not Role.VIEWER and not one.own])
async def test_a_lower_role_is_refused_and_the_attempt_recorded(api: Api, endpoint: Endpoint) -> None:
    before = api.last_sequence()
    caller = api.viewer if endpoint.role is Role.EDITOR else api.editor
    reply = await call(caller, endpoint)
    assert (reply.status, reply.reason) == (403, "PERMISSION_DENIED")
    assert endpoint.permission in reply.json["detail"]
    denials = [event for event in api.events(after=before) if event["data"].get("outcome") == "denied"]
    assert [event["data"]["action"] for event in denials] == ([endpoint.permission] if endpoint.changes else [])


@in_one_pass("endpoint", [one for one in GUARDED if one.shape.on_item])
async def test_an_id_that_nothing_has_is_a_404_that_names_it(api: Api, endpoint: Endpoint) -> None:
    options = {"json": minimal(endpoint)} if endpoint.request is not None else {}
    reply = await api.admin(endpoint.method, url(endpoint, "no.such.thing"), **options)
    assert reply.status == 404, reply.json
    assert "no.such.thing" in reply.json["detail"]


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\x0c", "application/json", 400),
        (b"\x0b{}\x0c", "application/json", 400),
        (b"\xff\xfe{}", "application/json", 400),
        (b'{"a": "\\ud800"}', "application/json", (400, 422)),
        (b'{"a":' * 5_000, "application/json", 400),
        (b"[" * 5_000 + b"]" * 5_000, "application/json", (400, 422)),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"no_such_field": 1}', "application/json", 422),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
    ],
)
async def test_malformed_bodies_are_refused(
    api: Api, content: bytes, media_type: str, status: int | tuple[int, ...]
) -> None:
    """In one pass over all operations with a body: one function reads all of them."""
    expected = status if isinstance(status, tuple) else (status,)
    accepted = {}
    for endpoint in ENDPOINTS:
        if endpoint.request is None or located(endpoint):
            continue
        headers = {"content-type": media_type}
        reply = await api.admin(endpoint.method, url(endpoint), content=content, headers=headers)
        if reply.status not in expected:
            accepted[str(endpoint)] = reply.status
    assert accepted == {}


@pytest.mark.parametrize("content", [b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000], ids=["object", "array"])
async def test_a_body_deeper_than_any_stack_is_refused(api: Api, content: bytes) -> None:
    """Of one operation of each service: half a megabyte for each operation would be most of this file's work."""
    for service in {endpoint.service for endpoint in ENDPOINTS}:
        bodies = [one for one in ENDPOINTS if one.service == service and one.request is not None and not located(one)]
        for endpoint in bodies[:1]:
            headers = {"content-type": "application/json"}
            reply = await api.admin(endpoint.method, url(endpoint), content=content, headers=headers)
            assert reply.status in (400, 422), endpoint


@in_one_pass("endpoint", [one for one in ENDPOINTS if not located(one)])
async def test_malformed_queries_are_refused_by_name(api: Api, endpoint: Endpoint) -> None:
    reply = await api.admin(endpoint.method, url(endpoint), params={"no_such_parameter": "1"})
    assert (reply.status, reply.json["errors"][0]["parameter"]) == (400, "no_such_parameter")


@in_one_pass(
    "endpoint",
    [one for one in ENDPOINTS if one.answer is Answer.FILE and one.query and "filter" in one.query.model_fields],
)
async def test_an_export_that_cannot_begin_is_no_broken_file(api: Api, endpoint: Endpoint) -> None:
    reply = await api.admin.get(url(endpoint), params={"filter": "no_such_field == 1"})
    assert (reply.status, reply.reason) == (400, "INVALID_ARGUMENT"), reply.response.text
    assert "no_such_field" in reply.json["detail"]


@every_endpoint
async def test_another_method_is_refused_with_those_that_are_not(api: Api, endpoint: Endpoint) -> None:
    reply = await api.admin("PUT", url(endpoint))
    assert reply.status == 405
    assert endpoint.method in reply.headers["allow"].split(", ")


@every_endpoint
async def test_every_answer_is_named_and_closed_to_other_pages(api: Api, endpoint: Endpoint) -> None:
    # A stream that began would not end, and what one does to one's own login is done to a separate login.
    own = Api(api.app) if endpoint.own and endpoint.changes else api
    caller = api.anonymous if endpoint.answer is Answer.STREAM else own.viewer
    reply = await call(caller, endpoint)
    assert endpoint.public or (reply.status == 401) == (caller is api.anonymous), "the login of the pass still holds"
    assert reply.headers["x-operation"] == endpoint.operation_id
    assert re.fullmatch(r"req_[0-9a-z]{26}", reply.headers["x-request-id"])
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] in ("no-store", "private, no-cache")


@pytest.mark.parametrize(
    "path",
    [
        *("/api/v1", "/api/v1/", "/api", "/nothing", "/api/v1/ai-catalog", "/api/v1/ai-catalog/assets/"),
        *(
            "/api/v1/ai-catalog/assets/a/b/c",
            "/api/v1/ai-catalog/assets/a:b:c",
            "/api/v1/ai-catalog/assets/:materialize",
        ),
        *("/api/v1/ai_catalog/assets", "/api/v1/AI-CATALOG/assets", "/api/v1//ai-catalog/assets", "/api/v2/operations"),
        *("/api/v1/ai-catalog/assets:nothing", "/api/v1/operations/x/nothing", "/docs", "/openapi.json", "/metric"),
        *("/health/live/", "/health"),
        *("/api/v1/ai-catalog/assets/a%2Fb", "/api/v1/ai-catalog/assets/%00", "/api/v1/ai-catalog/assets/a%0Ab"),
    ],
)
async def test_a_path_without_a_policy_is_refused(api: Api, path: str) -> None:
    assert (await api.anonymous.get(path)).status == 401
    assert (await api.admin.get(path)).status == 404


async def test_only_these_are_public(api: Api) -> None:
    public = {endpoint.operation_id for endpoint in ENDPOINTS if endpoint.public}
    assert public == {
        *("admin_login", "admin_refresh_session", "admin_change_password"),
        *("admin_revoke_token", "admin_accept_invitation", "admin_request_password_reset", "admin_reset_password"),
        *("ai_catalog_keys_attestations", "ai_catalog_activate_recipient"),
    }
    open_mounts = {mount.path for mount in api.app.registry.mounts if mount.role is None}
    assert open_mounts == {
        *("/health/live", "/health/ready", "/login", "/login/oidc", "/invitation", "/static"),
        *("/forgot-password", "/reset-password", "/share-activation"),
        *(f"/.well-known/{name}" for name in WELL_KNOWN),
        *("/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/userinfo", "/oauth/jwks"),
        "/scim/v2/ServiceProviderConfig",
        "/artifact-links",  # each link names the token that signed it
    }
