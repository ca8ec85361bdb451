"""OAuth 2.0 as an ordinary client library speaks it, and what it refuses."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.jwk import RSAKey

from api.kernel.credentials import tokens
from core import clock
from tests.api.admin.identity_provider import CLIENT, Provider, registered, running_provider
from tests.api.admin.tenants import Tenant, grant, made, tenant
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller, running
from tests.orchestration import FakeOrchestrator

BASE = "http://headwater.test"
TOKEN = f"{BASE}/oauth/token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config")


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    async with running(
        tmp_path, FakeOrchestrator(), database_url=database_url, HEADWATER_PRIVATE_SOURCES="true"
    ) as started:
        yield started


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        yield started


@asynccontextmanager
async def client(api: Api, id: str = "cli", secret: str = "", **extra: Any) -> AsyncIterator[AsyncOAuth2Client]:
    """Authlib's client, talking to this platform."""
    transport = httpx2.ASGITransport(api.app, client=("10.0.0.5", 1))
    extra.setdefault("token_endpoint_auth_method", "client_secret_basic" if secret else "none")
    async with AsyncOAuth2Client(id, secret or None, transport=transport, base_url=BASE, **extra) as made_client:
        yield made_client


async def bot(api: Api, **key: Any) -> tuple[Tenant, str, dict[str, Any]]:
    """A service account that may read one project, and a key of it."""
    one = await tenant(api, "one")
    account = await made(
        one.admin.post("admin/service-accounts", {"name": "bot", "project_id": one.project, "spec": {}})
    )
    await grant(api, account["id"], "rol_viewer", one.project)
    issued = await made(one.admin.post("admin/api-keys", {"label": "k", "principal_id": account["id"], **key}))
    return one, account["id"], issued


def signed_with_public_key(header: dict[str, Any], claims: dict[str, Any], public: bytes) -> str:
    """What verifies where a public key is taken for a shared secret."""
    parts = segments(header, claims)
    signature = hmac.digest(public, b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def unsigned(claims: dict[str, Any]) -> str:
    """What is accepted where `none` counts as a signature."""
    return b".".join([*segments({"alg": "none"}, claims), b""]).decode()


def segments(header: dict[str, Any], claims: dict[str, Any]) -> list[bytes]:
    times = {name: int(value.timestamp()) for name, value in claims.items() if isinstance(value, datetime)}
    return [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims | times)]


async def exchange(api: Api, token: str, **extra: str) -> httpx.Response:
    form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ID_TOKEN, **extra}
    return await api.anonymous.http.post(TOKEN, data=form)


class TestDiscovery:
    async def test_names_what_there_is_and_nothing_else(self, api: Api) -> None:
        for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
            found = (await api.anonymous.get(path)).json
            assert found["issuer"] == BASE
            assert (await api.anonymous.http.get(found["jwks_uri"])).json()["keys"]
            assert "authorization_endpoint" not in found
            for name, url in found.items():
                if name.endswith("_endpoint"):
                    reply = await api.anonymous.http.request("POST", url)
                    assert reply.status_code in (400, 401, 415), (name, reply.status_code)
            assert (await api.anonymous("DELETE", path)).status == 405


class TestRefresh:
    async def test_a_client_refreshes_and_a_reused_token_ends_the_login(self, api: Api) -> None:
        login = await made(api.anonymous.post("admin/sessions:login", {"name": "editor", "password": PASSWORD}))
        async with client(api) as oauth:
            fresh = await oauth.refresh_token(TOKEN, login["refresh_token"])
            assert (fresh["token_type"], 0 < fresh["expires_in"] <= 900) == ("Bearer", True)
            assert (await oauth.get("/api/v1/ai-catalog/assets")).status_code == 200
            with pytest.raises(OAuthError) as refused:
                await oauth.refresh_token(TOKEN, login["refresh_token"])
            assert refused.value.error == "invalid_grant"
            oauth.token = fresh
            assert (await oauth.get("/api/v1/ai-catalog/assets")).status_code == 401


class TestClientCredentials:
    async def test_a_service_account_gets_a_short_token_that_ends_with_its_key(self, api: Api) -> None:
        one, id, key = await bot(api)
        for method in ("client_secret_basic", "client_secret_post"):
            async with client(api, id, key["secret"], token_endpoint_auth_method=method) as oauth:
                token = await oauth.fetch_token(TOKEN, grant_type="client_credentials")
                assert (token["expires_in"], "refresh_token" in token) == (900, False)
                projects = (await oauth.get("/api/v1/admin/projects")).json()["items"]
                assert [project["id"] for project in projects] == [one.project]
        await made(one.admin.post(f"admin/api-keys/{key['id']}:revoke"))
        assert (await Caller(api.app, token["access_token"]).get("admin/projects")).status == 401
        assert api.events("admin.session.logged_in")[-1]["data"]["grant_type"] == "client_credentials"

    async def test_a_scope_narrows_and_never_widens(self, api: Api) -> None:
        _, id, key = await bot(api, scopes=["admin.project.*"])
        async with client(api, id, key["secret"]) as oauth:
            token = await oauth.fetch_token(TOKEN, grant_type="client_credentials", scope="admin.project.list")
            assert token["scope"] == "admin.project.list"
            assert (await oauth.get("/api/v1/admin/projects")).status_code == 200
            assert (await oauth.get("/api/v1/ai-catalog/assets")).status_code == 403
            for scope in ("*", "ai_catalog.asset.get", "no scope!"):
                with pytest.raises(OAuthError) as refused:
                    await oauth.fetch_token(TOKEN, grant_type="client_credentials", scope=scope)
                assert refused.value.error == "invalid_scope"

    async def test_anything_else_is_an_invalid_client(self, api: Api) -> None:
        _, id, key = await bot(api)
        assert api.editor.token is not None
        for name, secret in ((id, "wrong"), ("other", key["secret"]), ("editor", api.editor.token)):
            reply = await api.anonymous.http.post(TOKEN, data={"grant_type": "client_credentials"}, auth=(name, secret))
            assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
            assert reply.headers["www-authenticate"].startswith("Basic")

    async def test_a_token_ends_with_its_key_if_that_is_sooner(self, api: Api) -> None:
        soon = (clock.now() + timedelta(minutes=5)).isoformat()
        _, id, key = await bot(api, expires_at=soon)
        async with client(api, id, key["secret"]) as oauth:
            token = await oauth.fetch_token(TOKEN, grant_type="client_credentials")
        assert 200 < token["expires_in"] <= 300

    @on_both
    async def test_only_a_key_is_a_client_secret(self, api: Api) -> None:
        """What comes from a login or from a key is no key, though it authenticates the same account."""
        login = await made(api.anonymous.post("admin/sessions:login", {"name": "editor", "password": PASSWORD}))
        editor = (await api.admin.get("admin/users/editor")).json["id"]
        cookie = api.caller("editor").token or ""
        with api.database.write() as connection:
            query = tokens.TOKEN.update().where(tokens.TOKEN.c.digest == tokens.digest_of(cookie))
            connection.execute(query.values(kind="SESSION"))
        for name in (editor, "editor"):
            for secret in (login["token"], login["refresh_token"], cookie):
                form = {"grant_type": "client_credentials"}
                reply = await api.anonymous.http.post(TOKEN, data=form, auth=(name, secret))
                assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
        _, id, key = await bot(api)
        async with client(api, id, key["secret"]) as oauth:
            short = (await oauth.fetch_token(TOKEN, grant_type="client_credentials"))["access_token"]
        reply = await api.anonymous.http.post(TOKEN, data={"grant_type": "client_credentials"}, auth=(id, short))
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")


class TestErrors:
    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ("", "invalid_request"),
            ("grant_type=password&username=a&password=b", "unsupported_grant_type"),
            ("grant_type=refresh_token", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=a&refresh_token=b", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=nonsense", "invalid_grant"),
            ("grant_type=refresh_token&refresh_token=" + "a" * 5000, "invalid_request"),
            ("grant_type=client_credentials", "invalid_request"),
            (f"grant_type={EXCHANGE}&subject_token=x&subject_token_type=x", "invalid_request"),
            (f"grant_type={EXCHANGE}&subject_token=x&subject_token_type={ID_TOKEN}", "invalid_grant"),
            ("%ff%fe", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=%ff", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=%00", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=a%0d%0ab", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=%ed%a0%80", "invalid_request"),
            ("grant_type=refresh_token&%67rant_type=refresh_token&refresh_token=a", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=a&refresh_token=a", "invalid_request"),
            ("grant_type=refresh_token&refresh_token=a&scope", "invalid_request"),
            ("grant_type=refresh_token;refresh_token=a", "unsupported_grant_type"),
            ("&".join(f"a{n}=" for n in range(51)), "invalid_request"),
            ("grant_type=refresh_token&refresh_token=" + "a" * 100_000, "invalid_request"),
        ],
    )
    async def test_are_told_as_the_standard_says(self, api: Api, body: str, error: str) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        reply = await api.anonymous.http.post(TOKEN, content=body, headers=headers)
        assert (reply.status_code, reply.json()["error"]) == (400, error)
        assert reply.headers["cache-control"] == "no-store"

    async def test_a_body_that_is_no_form_is_refused(self, api: Api) -> None:
        reply = await api.anonymous.post("/oauth/token", {"grant_type": "refresh_token"})
        assert reply.status == 415
        form = "application/x-www-form-urlencoded"
        for types in ([f"{form}; charset=utf-16"], [form, form], [f"{form}, text/plain"], ["multipart/form-data"], []):
            headers = [("content-type", one) for one in types]
            reply = await api.anonymous.http.post(TOKEN, content="grant_type=refresh_token", headers=headers)
            assert reply.status_code == 415, types
        for one in (f"{form};charset=UTF-8", form.upper(), f'{form} ; charset="utf-8"'):
            reply = await api.anonymous.http.post(TOKEN, content="a=b", headers={"content-type": one})
            assert reply.json()["error"] == "invalid_request", one

    async def test_a_client_says_who_it_is_once(self, api: Api) -> None:
        """The kind: two places name the caller, and a proxy believes another one than the platform."""
        _, id, key = await bot(api)
        basic = "Basic " + base64.b64encode(f"{id}:{key['secret']}".encode()).decode()
        asked = {"grant_type": "client_credentials"}
        for headers, extra in (
            ([("authorization", basic)], {"client_id": "sva_other"}),
            ([("authorization", basic)], {"client_id": id, "client_secret": key["secret"]}),
            ([("authorization", basic), ("authorization", basic)], {}),
        ):
            reply = await api.anonymous.http.post(TOKEN, data=asked | extra, headers=headers)
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")
        for extra in ({}, {"client_id": id}):
            reply = await api.anonymous.http.post(TOKEN, data=asked | extra, headers={"authorization": basic})
            assert reply.status_code == 200
        bearer = {"authorization": f"Bearer {key['secret']}"}
        form = {"token": "x", "client_id": id, "client_secret": key["secret"]}
        reply = await api.anonymous.http.post("/oauth/introspect", data=form, headers=bearer)
        assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


class TestIntrospection:
    @pytest.mark.effect("admin_introspect")
    async def test_a_client_asks_about_its_own_tokens_only(self, api: Api) -> None:
        _, id, key = await bot(api)
        url = f"{BASE}/oauth/introspect"
        async with client(api, id, key["secret"]) as oauth:
            token = await oauth.fetch_token(TOKEN, grant_type="client_credentials")
            found = (await oauth.introspect_token(url, token=token["access_token"])).json()
            assert (found["active"], found["client_id"], found["sub"]) == (True, id, id)
            foreign = (await oauth.introspect_token(url, token=api.editor.token)).json()
            assert foreign == {"active": False}
        unknown = await api.anonymous.http.post(url, data={"token": token["access_token"]})
        assert unknown.status_code == 400
        wrong = await api.anonymous.http.post(url, data={"token": "x"}, auth=(id, "wrong"))
        assert wrong.status_code == 401
        admin = await api.admin.http.post(url, data={"token": token["access_token"]})
        assert admin.json()["active"] is True

    @pytest.mark.effect("admin_userinfo")
    async def test_userinfo_needs_a_bearer_token_and_no_cookie_will_do(self, api: Api) -> None:
        info = (await api.editor.http.get(f"{BASE}/oauth/userinfo")).json()
        assert info["preferred_username"] == "editor"
        browser = Caller(api.app, None)
        await made(browser.post("admin/sessions:login", {"name": "editor", "password": PASSWORD}))
        assert (await browser.get("/oauth/userinfo")).status == 401


class TestRevocation:
    async def test_ends_a_token_and_answers_the_same_for_an_unknown_one(self, api: Api) -> None:
        login = await made(api.anonymous.post("admin/sessions:login", {"name": "editor", "password": PASSWORD}))
        async with client(api) as oauth:
            for token in (login["refresh_token"], "unknown", login["refresh_token"]):
                reply = await oauth.revoke_token(f"{BASE}/oauth/revoke", token=token)
                assert (reply.status_code, reply.content) == (200, b"")
        assert (await Caller(api.app, login["token"]).get("ai-catalog/assets")).status == 401


class TestExchange:
    async def test_an_id_token_of_a_registered_provider_becomes_an_access_token(
        self, api: Api, provider: Provider
    ) -> None:
        await registered(api, provider, just_in_time=True)
        answer = (await exchange(api, await provider.id_token("s-ada"))).json()
        assert answer["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
        assert (answer["expires_in"], "refresh_token" in answer) == (900, False)
        info = await made(Caller(api.app, answer["access_token"]).post("admin/sessions:userinfo"))
        assert info["preferred_username"] == "ada"
        await made(api.admin.post("admin/users/ada:suspend"))
        assert (await Caller(api.app, answer["access_token"]).post("admin/sessions:userinfo")).status == 401

    @on_both
    async def test_of_another_audience_only_if_it_was_registered(self, api: Api, provider: Provider) -> None:
        idp = await registered(api, provider, just_in_time=True)
        token = await provider.id_token("s-ada", client="other-app")
        assert (await exchange(api, token)).json()["error"] == "invalid_grant"
        change = {"spec": {"audience": ["other-app"]}}
        await made(api.admin("PATCH", f"/api/v1/admin/identity-providers/{idp['id']}", json=change))
        assert (await exchange(api, token)).status_code == 200

    async def test_a_second_tenant_with_the_same_provider_takes_nothing_over(
        self, api: Api, provider: Provider
    ) -> None:
        idp = await registered(api, provider, just_in_time=True)
        one = await tenant(api, "one")
        spec = {"title": "X", "issuer": provider.issuer, "client_id": CLIENT, "just_in_time": True}
        draft = {"name": "theirs", "organization_id": one.organization, "spec": spec}
        await made(one.admin.post("admin/identity-providers", draft))
        token = await provider.id_token("s-ada")
        assert (await exchange(api, token)).json()["error"] == "invalid_grant", "whose is it? the caller must say"
        answer = (await exchange(api, token, identity_provider=idp["id"])).json()
        info = await made(Caller(api.app, answer["access_token"]).post("admin/sessions:userinfo"))
        assert info["organization_id"] == "org_default"

    @pytest.mark.parametrize(("seconds_behind", "status"), [(50, 200), (70, 400)])
    async def test_the_clock_may_be_a_minute_behind_that_of_the_provider(
        self, api: Api, provider: Provider, seconds_behind: int, status: int
    ) -> None:
        await registered(api, provider, just_in_time=True)
        token = await provider.id_token("s-ada")
        clock.freeze(lambda: datetime.now(UTC) - timedelta(seconds=seconds_behind))
        try:
            assert (await exchange(api, token)).status_code == status
        finally:
            clock.freeze(None)

    async def test_forged_tokens_are_refused(self, api: Api, provider: Provider) -> None:
        await registered(api, provider, just_in_time=True)
        now = datetime.now(UTC)
        claims = {"iss": provider.issuer, "aud": CLIENT, "sub": "s-ada", "iat": now, "exp": now + timedelta(hours=1)}
        keys = httpx.get(f"{provider.issuer}/jwks").json()["keys"]
        stolen = {"kid": keys[0].get("kid")} if keys[0].get("kid") else {}
        owned = RSAKey.generate_key(2048)
        public = RSAKey.import_key(keys[0]).as_pem(private=False)
        forged = [
            jwt.encode({"alg": "RS256", **stolen}, claims, owned),
            signed_with_public_key({"alg": "HS256", **stolen}, claims, public),
            unsigned(claims),
            (await provider.id_token("s-ada"))[:-4] + "AAAA",
        ]
        for token in forged:
            assert (await exchange(api, token)).json()["error"] == "invalid_grant"
        assert (await api.admin.get("admin/users/ada")).status == 404
