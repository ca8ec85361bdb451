"""What must hold for every operation of every service, from the registry."""

from __future__ import annotations

import re
from typing import Any

import pytest

from api.kernel.kinds.endpoint import Answer, Endpoint
from api.kernel.roles import Role
from tests.api_process import Api, Caller
from tests.conformance.operations import ENDPOINTS, GUARDED, minimal, url

pytestmark = pytest.mark.asyncio(loop_scope="module")

WELL_KNOWN = ("authzen-configuration", "oauth-authorization-server", "openid-configuration")
every_endpoint = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
every_guarded = pytest.mark.parametrize("endpoint", GUARDED, ids=str)


def located(endpoint: Endpoint) -> bool:
    """Whether nothing is said of its input before its item was found: these are tested on real items, by the fuzzer."""
    return endpoint.kind.locate is not None and endpoint.shape.on_item


async def call(caller: Caller, endpoint: Endpoint, **options: Any) -> Any:
    if endpoint.request is not None:
        options.setdefault("json", {})
    return await caller(endpoint.method, url(endpoint), **options)


@every_guarded
async def test_strangers_are_turned_away(api: Api, endpoint: Endpoint) -> None:
    reply = await call(api.anonymous, endpoint)
    assert (reply.status, reply.reason) == (401, "UNAUTHENTICATED")


@every_guarded
@pytest.mark.parametrize("token", ["x", "hw_" + "A" * 43, "eyJhbGciOiJub25lIn0.e30."])
async def test_tokens_that_do_not_hold_are_turned_away(api: Api, endpoint: Endpoint, token: str) -> None:
    reply = await call(api.anonymous, endpoint, headers={"authorization": f"Bearer {token}"})
    assert reply.status == 401


@pytest.mark.parametrize("endpoint", [one for one in GUARDED if one.role is not Role.VIEWER and not one.own], ids=str)
async def test_a_lower_role_is_refused_and_the_attempt_recorded(api: Api, endpoint: Endpoint) -> None:
    before = len(api.events())
    caller = api.viewer if endpoint.role is Role.EDITOR else api.editor
    reply = await call(caller, endpoint)
    assert (reply.status, reply.reason) == (403, "PERMISSION_DENIED")
    assert endpoint.permission in reply.json["detail"]
    denials = [event for event in api.events()[before:] if event["data"].get("outcome") == "denied"]
    assert [event["data"]["action"] for event in denials] == ([endpoint.permission] if endpoint.changes else [])


@pytest.mark.parametrize("endpoint", [one for one in GUARDED if one.shape.on_item], ids=str)
async def test_an_id_that_nothing_has_is_a_404_that_names_it(api: Api, endpoint: Endpoint) -> None:
    options = {"json": minimal(endpoint)} if endpoint.request is not None else {}
    reply = await api.admin(endpoint.method, url(endpoint, "no.such.thing"), **options)
    assert reply.status == 404, reply.json
    assert "no.such.thing" in reply.json["detail"]


@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one.request is not None and not located(one)], ids=str
)
@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff\xfe{}", "application/json", 400),
        (b'{"a": "\\ud800"}', "application/json", (400, 422)),
        (b'{"a":' * 100_000, "application/json", 400),
        (b"[" * 100_000 + b"]" * 100_000, "application/json", (400, 422)),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"no_such_field": 1}', "application/json", 422),
        (b"a=b", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
    ],
)
async def test_malformed_bodies_are_refused(
    api: Api, endpoint: Endpoint, content: bytes, media_type: str, status: int | tuple[int, ...]
) -> None:
    reply = await api.admin(endpoint.method, url(endpoint), content=content, headers={"content-type": media_type})
    assert reply.status in (status if isinstance(status, tuple) else (status,)), reply.json


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if not located(one)], ids=str)
async def test_malformed_queries_are_refused_by_name(api: Api, endpoint: Endpoint) -> None:
    reply = await api.admin(endpoint.method, url(endpoint), params={"no_such_parameter": "1"})
    assert (reply.status, reply.json["errors"][0]["parameter"]) == (400, "no_such_parameter")


@pytest.mark.parametrize(
    "endpoint",
    [one for one in ENDPOINTS if one.answer is Answer.FILE and one.query and "filter" in one.query.model_fields],
    ids=str,
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
    # A stream that began would not end.
    caller = api.anonymous if endpoint.answer is Answer.STREAM else api.viewer
    reply = await call(caller, endpoint)
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
    }
    open_mounts = {mount.path for mount in api.app.registry.mounts if mount.role is None}
    assert open_mounts == {
        *("/health/live", "/health/ready", "/login", "/login/oidc", "/invitation", "/static"),
        *("/forgot-password", "/reset-password"),
        *(f"/.well-known/{name}" for name in WELL_KNOWN),
        *("/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/userinfo", "/oauth/jwks"),
        "/scim/v2/ServiceProviderConfig",
    }
