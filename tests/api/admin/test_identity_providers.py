"""Login by a real OpenID Connect provider: who gets in, as whom, with what; and who does not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import clock
from tests.api.admin.identity_provider import (
    ADA,
    Provider,
    callback_of,
    registered,
    running_provider,
    sign_in,
)
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, running
from tests.orchestration import FakeOrchestrator

PROVIDERS = "admin/identity-providers"
# The provider's own use of a library, which is not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config")


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        yield started


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    """Loopback is private, so this platform allows private addresses."""
    async with running(
        tmp_path, FakeOrchestrator(), database_url=database_url, HEADWATER_PRIVATE_SOURCES="true"
    ) as started:
        yield started


@pytest.fixture
async def browser(api: Api) -> AsyncIterator[Caller]:
    caller = Caller(api.app, None)
    yield caller
    await caller.http.aclose()


class TestLogin:
    async def test_makes_a_user_at_the_first_login_and_finds_him_at_the_next(
        self, api: Api, browser: Caller, provider: Provider
    ) -> None:
        await registered(api, provider, just_in_time=True)
        done = await sign_in(browser, provider, next="/api/openapi")
        assert (done.status, done.headers["location"]) == (303, "/api/openapi")
        me = await made(browser.get("admin/sessions/current"))
        assert me["user"] == "ada"
        ada = await made(api.admin.get("admin/users/ada"))
        assert ada["spec"]["title"] == "Ada Lovelace"
        assert (ada["spec"]["emails"], ada["spec"]["external_id"]) == (["ada@example.org"], "s-ada")
        second = Caller(api.app, None)
        assert (await sign_in(second, provider)).status == 303
        assert (await made(second.get("admin/sessions/current")))["user"] == "ada"
        assert len((await made(api.admin.get('admin/users?filter=name.startsWith("ada")')))["items"]) == 1
        types = [event["type"] for event in api.events("admin.")]
        assert types.count("admin.user.created") == 1 + 3, "the fixture's three and Ada"
        assert types.count("admin.session.logged_in") == 2

    async def test_without_just_in_time_only_known_people_get_in(
        self, api: Api, browser: Caller, provider: Provider
    ) -> None:
        idp = await registered(api, provider)
        assert (await sign_in(browser, provider)).status == 401
        body = {"name": "countess", "spec": {"external_id": "s-ada", "identity_provider_id": idp["id"]}}
        await made(api.admin.post("admin/users", body))
        assert (await sign_in(browser, provider)).status == 303
        assert (await made(browser.get("admin/sessions/current")))["user"] == "countess"

    async def test_a_namesake_is_somebody_else(self, api: Api, browser: Caller, provider: Provider) -> None:
        await registered(api, provider, just_in_time=True)
        provider.claim("s-evil", email="x@example.org", preferred_username="admin")
        assert (await sign_in(browser, provider, "s-evil")).status == 303
        me = await made(browser.get("admin/sessions/current"))
        assert me["user"].startswith("admin-")
        assert me["role"] is None
        assert (await browser.get("admin/users")).status == 403

    @on_both
    async def test_of_two_first_logins_at_once_both_are_the_same_user(self, api: Api, provider: Provider) -> None:
        await registered(api, provider, just_in_time=True)
        browsers = [Caller(api.app, None) for _ in range(3)]
        answers = await asyncio.gather(*(sign_in(one, provider) for one in browsers))
        for one, answer in zip(browsers, answers, strict=True):
            # A loser of the race is told to try again, and then gets in.
            assert answer.status == 303 or (await sign_in(one, provider)).status == 303
        names = {(await made(one.get("admin/sessions/current")))["user"] for one in browsers}
        assert names == {"ada"}

    async def test_who_was_suspended_or_deleted_here_does_not_come_back_by_it(
        self, api: Api, browser: Caller, provider: Provider
    ) -> None:
        await registered(api, provider, just_in_time=True)
        await sign_in(browser, provider)
        await made(api.admin.post("admin/users/ada:suspend"))
        assert (await sign_in(browser, provider)).status == 401
        await made(api.admin.post("admin/users/ada:activate"))
        assert (await sign_in(browser, provider)).status == 303
        assert (await api.admin("DELETE", "/api/v1/admin/users/ada")).status == 204
        assert (await sign_in(browser, provider)).status == 401

    async def test_only_addresses_of_its_domains_are_let_in(
        self, api: Api, browser: Caller, provider: Provider
    ) -> None:
        await registered(api, provider, just_in_time=True, domains=["example.org"])
        provider.claim("s-out", email="eve@example.org.evil.test", preferred_username="eve")
        provider.claim("s-unverified", email="eve@example.org", email_verified=False)
        for subject in ("s-out", "s-unverified"):
            assert (await sign_in(browser, provider, subject)).status == 401
        assert (await sign_in(browser, provider)).status == 303


class TestClaims:
    @on_both
    async def test_groups_and_roles_follow_the_claims_at_every_login(
        self, api: Api, browser: Caller, provider: Provider
    ) -> None:
        spec = {"title": "Engineers", "source": "CLAIM"}
        mapped = (await made(api.admin.post("admin/groups", {"name": "engineers", "spec": spec})))["id"]
        local = (await made(api.admin.post("admin/groups", {"name": "locals", "spec": {"title": "Locals"}})))["id"]
        await grant(api, mapped, "rol_viewer", "platform")
        await registered(api, provider, just_in_time=True, groups={"engineers": mapped}, roles={"chief": "rol_editor"})
        provider.claim("s-ada", **ADA, roles=["chief", "unknown"])
        assert (await sign_in(browser, provider)).status == 303
        assert (await browser.get("ai-catalog/assets")).status == 200
        ada = (await made(api.admin.get("admin/users/ada")))["id"]
        await made(api.admin.post(f"admin/groups/{local}:add-members", {"members": [ada]}))
        given = (await made(api.admin.get(f'admin/grants?filter=principal_id == "{ada}"')))["items"]
        assert [(one["role_id"], one["securable_id"]) for one in given] == [("rol_editor", "org_default")]

        provider.claim("s-ada", **(ADA | {"groups": []}), roles=[])
        again = Caller(api.app, None)
        assert (await sign_in(again, provider)).status == 303
        assert (await browser.get("ai-catalog/assets")).status == 403, "immediately, in every login of the user"
        assert (await made(api.admin.get(f'admin/grants?filter=principal_id == "{ada}"')))["items"] == []
        info = await made(again.post("admin/sessions:userinfo", headers={"sec-fetch-site": "same-origin"}))
        assert info["groups"] == ["locals"], "who is in a local group stays in it"
        types = [event["type"] for event in api.events("admin.")]
        assert {"admin.group.members_removed", "admin.grant.revoked"} <= set(types)

    async def test_nobody_maps_to_what_he_cannot_give(self, api: Api, provider: Provider) -> None:
        one, two = await tenant(api, "one"), await tenant(api, "two")
        spec = {"title": "G", "source": "CLAIM"}
        other = (await made(two.admin.post("admin/groups", {"name": "g", "spec": spec})))["id"]
        body = {"title": "X", "issuer": provider.issuer, "client_id": "c"}

        async def status(**extra: Any) -> int:
            draft = {"name": "x", "organization_id": one.organization, "spec": body | extra}
            return (await one.admin.post(PROVIDERS, draft)).status

        assert await status(groups={"a": other}) == 422
        local = (await made(one.admin.post("admin/groups", {"name": "l", "spec": {"title": "L"}})))["id"]
        assert await status(groups={"a": local}) == 422, "its members are not given by claims"
        assert await status(roles={"a": "rol_nonsense"}) == 422
        group_admin = await user(api, "manager", one.organization)
        for right in ("admin.identity_provider.*", "admin.organization.get", "admin.role.get"):
            await grant(api, group_admin, right, one.organization)
        draft = {"name": "x", "organization_id": one.organization, "spec": body | {"roles": {"a": "rol_admin"}}}
        assert (await api.caller("manager").post(PROVIDERS, draft)).status == 403
        assert await status(roles={"a": "rol_admin"}) == 201

    @pytest.mark.effect("admin_preview_identity_provider")
    async def test_preview_tells_what_a_login_then_does(self, api: Api, browser: Caller, provider: Provider) -> None:
        spec = {"title": "Engineers", "source": "CLAIM"}
        group = (await made(api.admin.post("admin/groups", {"name": "engineers", "spec": spec})))["id"]
        idp = await registered(api, provider, just_in_time=True, groups={"engineers": group})
        url = f"{PROVIDERS}/{idp['id']}:preview"
        before = await made(api.admin.post(url, {"claims": {"sub": "s-ada", **ADA}}))
        assert (before["name"], before["creates_user"], before["groups"]) == ("ada", True, [group])
        assert (await api.admin.get("admin/users/ada")).status == 404, "nothing of it was done"
        await sign_in(browser, provider)
        after = await made(api.admin.post(url, {"claims": {"sub": "s-ada", **ADA}}))
        assert after["user_id"] == (await made(api.admin.get("admin/users/ada")))["id"]
        assert (await made(api.admin.post(url, {"claims": {}})))["refused"] is not None


class TestAttacks:
    async def test_the_request_is_bound_to_the_browser_by_state_nonce_and_pkce(
        self, api: Api, browser: Caller, provider: Provider
    ) -> None:
        idp = await registered(api, provider, just_in_time=True)
        begun = await browser.get("/login/oidc/acme")
        query = httpx.URL(begun.headers["location"]).params
        assert (query["response_type"], query["code_challenge_method"]) == ("code", "S256")
        assert len(base64.urlsafe_b64decode(query["code_challenge"] + "=")) == hashlib.sha256().digest_size
        assert query["redirect_uri"] == f"http://headwater.test/login/oidc/{idp['id']}/callback"
        cookie = begun.headers["set-cookie"]
        for attribute in ("HttpOnly", "SameSite=Lax", f"Path=/login/oidc/{idp['id']};"):
            assert attribute in cookie
        assert query["state"] not in cookie
        back = callback_of(await provider.consent(begun.headers["location"], "s-ada"))
        victim = Caller(api.app, None)
        assert (await victim.get(back)).status == 401, "another user's login cannot be put on a victim"
        assert (await browser.get(back.replace("state=", "state=x"))).status == 401
        assert (await browser.get(back)).status == 303
        assert (await browser.get(back)).status == 401, "the answer works once"

    async def test_one_that_takes_too_long_is_begun_again(self, api: Api, browser: Caller, provider: Provider) -> None:
        await registered(api, provider, just_in_time=True)
        begun = await browser.get("/login/oidc/acme")
        back = callback_of(await provider.consent(begun.headers["location"], "s-ada"))
        clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=11))
        try:
            assert (await browser.get(back)).status == 401
        finally:
            clock.freeze(None)

    @pytest.mark.parametrize(
        "next", ["https://evil.test/", "//evil.test", "/\\evil.test", "evil", "javascript:alert(1)", "/a\r\nx: y"]
    )
    async def test_it_leads_nowhere_else_afterwards(
        self, api: Api, browser: Caller, provider: Provider, next: str
    ) -> None:
        await registered(api, provider, just_in_time=True)
        assert (await sign_in(browser, provider, next=next)).headers["location"] == "/"

    async def test_a_refusal_of_the_provider_logs_nobody_in(
        self, api: Api, browser: Caller, provider: Provider
    ) -> None:
        idp = await registered(api, provider, just_in_time=True)
        this_place = f"/login/oidc/{idp['id']}/callback"
        for query in ("error=access_denied&", "", "code=wrong&", "code=x&iss=https://other.test&", None):
            begun = await browser.get("/login/oidc/acme")
            state = httpx.URL(begun.headers["location"]).params["state"]
            assert (
                await browser.get(this_place if query is None else f"{this_place}?{query}state={state}")
            ).status == 401
        assert (await browser.get("/login/oidc/callback?code=x&state=y")).status == 401, "that of earlier versions"

    async def test_unknown_and_suspended_providers_are_the_same(self, api: Api, provider: Provider) -> None:
        one = await tenant(api, "one")
        spec = {"title": "X", "issuer": provider.issuer, "client_id": "c"}
        await made(one.admin.post(PROVIDERS, {"name": "theirs", "organization_id": one.organization, "spec": spec}))
        await made(api.admin.post(f"admin/organizations/{one.organization}:suspend"))
        for name in ("theirs", "absent"):
            assert (await api.anonymous.get(f"/login/oidc/{name}")).status == 404
        assert (await api.anonymous("POST", "/login/oidc/theirs")).status == 405


@pytest.mark.effect("admin_set_client_secret_identity_provider")
class TestSecrets:
    async def test_the_client_secret_is_sent_to_the_provider_and_shown_nowhere(
        self, api: Api, browser: Caller, provider: Provider, tmp_path: Path
    ) -> None:
        idp = await registered(api, provider, just_in_time=True)
        assert (await made(api.admin.get(f"{PROVIDERS}/{idp['id']}")))["status"]["has_client_secret"] is True
        assert (await sign_in(browser, provider)).status == 303, "the provider asks for it"
        for path in ("", f"/{idp['id']}", f"/{idp['id']}/revisions", ":export"):
            answer = await api.admin.get(f"{PROVIDERS}{path}")
            assert answer.status == 200
            assert "canary-client-secret" not in answer.response.text
        assert "canary-client-secret" not in str(api.events())
        for file in tmp_path.rglob("*"):
            assert not file.is_file() or b"canary-client-secret" not in file.read_bytes(), file


@pytest.mark.effect("admin_test_identity_provider")
class TestReachability:
    async def test_tells_of_a_provider_that_answers(self, api: Api, provider: Provider) -> None:
        idp = await registered(api, provider)
        result = await made(api.admin.post(f"{PROVIDERS}/{idp['id']}:test"))
        assert (result["reachable"], result["keys"], result["problem"]) == (True, 1, None)
        assert result["authorization_endpoint"] == f"{provider.issuer}/oauth2/authorize"

    async def test_tells_what_is_wrong_with_one_that_does_not(self, api: Api, provider: Provider) -> None:
        idp = await registered(api, provider, "gone")
        change = {"spec": {"issuer": "http://127.0.0.1:9"}}
        await made(api.admin("PATCH", f"/api/v1/{PROVIDERS}/{idp['id']}", json=change))
        result = await made(api.admin.post(f"{PROVIDERS}/{idp['id']}:test"))
        assert (result["reachable"], result["keys"]) == (False, 0)
        assert "127.0.0.1:9" in result["problem"]
        change = {"spec": {"issuer": provider.issuer.replace("127.0.0.1", "LOCALHOST")}}
        await made(api.admin("PATCH", f"/api/v1/{PROVIDERS}/{idp['id']}", json=change))
        result = await made(api.admin.post(f"{PROVIDERS}/{idp['id']}:test"))
        assert result["reachable"] is False

    async def test_private_addresses_and_plain_http_are_refused_unless_allowed(self, tmp_path: Path) -> None:
        async with running(tmp_path, FakeOrchestrator()) as strict:
            draft = {"name": "x", "spec": {"title": "X", "issuer": "http://127.0.0.1:1", "client_id": "c"}}
            assert (await strict.admin.post(PROVIDERS, draft)).status == 422
            draft["spec"]["issuer"] = "https://127.0.0.1:1"  # type: ignore[index]
            idp = await made(strict.admin.post(PROVIDERS, draft))
            result = await made(strict.admin.post(f"{PROVIDERS}/{idp['id']}:test"))
            assert "private address" in result["problem"]

    async def test_is_for_admins(self, api: Api, provider: Provider) -> None:
        idp = await registered(api, provider)
        assert (await api.editor.post(f"{PROVIDERS}/{idp['id']}:test")).status == 403
        assert (await api.editor.get(f"{PROVIDERS}/{idp['id']}")).status in (403, 404)
