"""Tokens for other systems: who gets one, what it says, when it ends, and that it opens nothing here."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from core import clock
from tests.api.admin.signed_tokens import BASE, LAKE, active, declare, exchange, login, part, signed
from tests.api.admin.tenants import grant, made, tenant
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller, running
from tests.orchestration import FakeOrchestrator


@pytest.fixture
async def api(tmp_path: Path, database_url: str) -> AsyncIterator[Api]:
    async with running(tmp_path, FakeOrchestrator(), database_url=database_url) as started:
        yield started


@pytest.fixture
def moved() -> Iterator[None]:
    yield
    clock.freeze(None)


def later(**by: float) -> None:
    clock.freeze(lambda: datetime.now(UTC) + timedelta(**by))


async def keys(api: Api) -> KeySet:
    return KeySet.import_key_set((await api.anonymous.http.get(f"{BASE}/oauth/jwks")).json())


class TestExchange:
    async def test_tells_another_system_who_somebody_is(self, api: Api) -> None:
        await declare(api, LAKE)
        answer = await exchange(api, api.editor.token)
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert body["issued_token_type"] == "urn:ietf:params:oauth:token-type:jwt"
        assert (body["token_type"], 295 <= body["expires_in"] <= 300) == ("Bearer", True)
        token = jwt.decode(body["access_token"], await keys(api), algorithms=["RS256"])
        assert token.header["typ"] == "at+jwt"
        who = await made(api.editor.post("admin/sessions:userinfo"))
        claims = token.claims
        assert claims["exp"] - claims["iat"] <= 300
        assert {name: claims[name] for name in ("iss", "sub", "aud", "client_id", "organization_id")} == {
            "iss": BASE,
            "sub": who["sub"],
            "aud": LAKE,
            "client_id": "headwater",
            "organization_id": who["organization_id"],
        }
        assert "scope" not in claims
        reported = api.events("admin.session.logged_in")[-1]
        assert (reported["principal"], reported["data"]["audience"]) == ("editor", LAKE)
        assert reported["data"]["token_id"] == claims["jti"]
        assert body["access_token"] not in json.dumps([event["data"] for event in api.events()])

    async def test_a_program_is_its_own_client_and_keeps_its_limits(self, api: Api) -> None:
        await declare(api, LAKE)
        one = await tenant(api, "one")
        account = await made(
            one.admin.post("admin/service-accounts", {"name": "bot", "project_id": one.project, "spec": {}})
        )
        await grant(api, account["id"], "rol_viewer", one.project)
        key = {"label": "k", "principal_id": account["id"], "scopes": ["admin.project.*"]}
        secret = (await made(one.admin.post("admin/api-keys", key)))["secret"]
        claims = part(await signed(api, secret), 1)
        assert (claims["client_id"], claims["scope"]) == (account["id"], "admin.project.*")
        assert claims["organization_id"] == one.organization
        assert part(await signed(api, secret, scope="admin.project.get"), 1)["scope"] == "admin.project.get"
        assert (await exchange(api, secret, scope="admin.*")).json()["error"] == "invalid_scope"

    async def test_no_audience_is_served_that_nobody_declared(self, api: Api) -> None:
        assert (await exchange(api, api.admin.token)).json()["error"] == "invalid_target"
        await declare(api, LAKE)
        for audience in ("https://other.example.org", f"{LAKE}/", LAKE.upper()):
            assert (await exchange(api, api.admin.token, audience)).json()["error"] == "invalid_target"
        await declare(api)
        assert (await exchange(api, api.admin.token)).json()["error"] == "invalid_target"

    @pytest.mark.parametrize(
        ("extra", "error"),
        [
            ({"audience": ""}, "invalid_request"),
            ({"requested_token_type": "urn:ietf:params:oauth:token-type:access_token"}, "invalid_request"),
            ({"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"),
            ({"resource": LAKE}, "invalid_target"),
            ({"actor_token": "x", "actor_token_type": "x"}, "invalid_request"),
            ({"subject_token": "hw_unknown"}, "invalid_grant"),
            ({"subject_token": ""}, "invalid_request"),
        ],
    )
    async def test_what_is_not_meant_is_refused(self, api: Api, extra: dict[str, str], error: str) -> None:
        await declare(api, LAKE)
        assert (await exchange(api, api.editor.token, **extra)).json()["error"] == error

    async def test_only_a_token_that_opens_something_here_is_exchanged(self, api: Api) -> None:
        await declare(api, LAKE)
        tokens = await login(api)
        first = await signed(api, tokens["token"])
        for subject in (first, tokens["refresh_token"]):
            assert (await exchange(api, subject)).json()["error"] == "invalid_grant"

    @pytest.mark.usefixtures("moved")
    async def test_never_lives_longer_than_what_it_was_exchanged_for(self, api: Api) -> None:
        await declare(api, LAKE)
        tokens = await login(api)
        later(minutes=13)
        claims = part(await signed(api, tokens["token"]), 1)
        ends = datetime.fromisoformat(tokens["token_expires_at"])
        assert claims["exp"] <= ends.timestamp() < claims["exp"] + 1
        assert claims["exp"] - claims["iat"] < 180

    async def test_the_list_of_audiences_is_one_of_plain_names(self, api: Api) -> None:
        for wrong in ([""], ["two words"], ["a" * 300], "x"):
            reply = await api.admin("PATCH", "admin/settings/platform", json={"token_audiences": wrong})
            assert reply.status == 422, wrong
        assert (await api.editor("PATCH", "admin/settings/platform", json={"token_audiences": []})).status == 403


class TestItsEnd:
    async def test_our_own_api_does_not_take_it(self, api: Api) -> None:
        await declare(api, LAKE, BASE)
        for audience in (LAKE, BASE):
            token = (await exchange(api, api.admin.token, audience)).json()["access_token"]
            caller = Caller(api.app, token)
            assert (await caller.get("admin/users")).status == 401
            assert (await caller.get("/oauth/userinfo")).status == 401
            answer = await caller.http.post(f"{BASE}/oauth/introspect", data={"token": token})
            assert answer.status_code == 401
            assert await active(api, token), "and yet it holds"

    async def test_introspection_names_whom_it_is_for(self, api: Api) -> None:
        await declare(api, LAKE)
        token = await signed(api, api.editor.token)
        answer = await api.admin.http.post(f"{BASE}/oauth/introspect", data={"token": token})
        claims, found = part(token, 1), answer.json()
        assert found["active"] is True
        for name in ("aud", "sub", "jti", "exp", "iat", "client_id"):
            assert found[name] == claims[name], name

    async def test_it_ends_with_its_login(self, api: Api) -> None:
        await declare(api, LAKE)
        tokens = await login(api)
        token = await signed(api, tokens["token"])
        assert await active(api, token)
        await made(Caller(api.app, tokens["token"]).post("admin/sessions:logout"))
        assert not await active(api, token)
        assert (await exchange(api, tokens["token"])).json()["error"] == "invalid_grant"

    async def test_it_ends_with_its_key(self, api: Api) -> None:
        await declare(api, LAKE)
        key = await made(api.editor.post("admin/api-keys", {"label": "k"}))
        token, other = await signed(api, key["secret"]), await signed(api, api.editor.token)
        await made(api.editor.post(f"admin/api-keys/{key['id']}:revoke"))
        assert (await active(api, token), await active(api, other)) == (False, True)
        assert (await exchange(api, key["secret"])).json()["error"] == "invalid_grant"

    async def test_whoever_is_suspended_has_none_and_gets_none(self, api: Api) -> None:
        await declare(api, LAKE)
        token = await signed(api, api.editor.token)
        await made(api.admin.post("admin/users/editor:suspend"))
        assert not await active(api, token)
        assert (await exchange(api, api.editor.token)).json()["error"] == "invalid_grant"

    async def test_it_can_be_revoked_by_itself(self, api: Api) -> None:
        await declare(api, LAKE)
        token, other = await signed(api, api.editor.token), await signed(api, api.editor.token)
        answer = await api.anonymous.http.post(f"{BASE}/oauth/revoke", data={"token": token})
        assert answer.status_code == 200
        assert (await active(api, token), await active(api, other)) == (False, True)
        assert (await api.editor.get("ai-catalog/assets")).status == 200

    @on_both
    @pytest.mark.usefixtures("moved")
    async def test_it_ends_by_itself_and_leaves_no_row(self, api: Api) -> None:
        await declare(api, LAKE)
        token = await signed(api, api.editor.token)
        later(minutes=5.1)
        assert not await active(api, token)
        await signed(api, api.editor.token)
        with api.database.read() as connection:
            rows = connection.exec_driver_sql("SELECT count(*) FROM token WHERE kind = 'SIGNED'").scalar_one()
        assert rows == 1

    async def test_what_was_forged_does_not_hold(self, api: Api) -> None:
        await declare(api, LAKE, "https://else.example.org")
        token = await signed(api, api.editor.token)
        header, claims = part(token, 0), part(token, 1)
        public = next(key for key in await keys(api) if key.kid == header["kid"])
        for forged in forgeries(token, header, claims, public):
            assert forged != token
            assert not await active(api, forged)
            assert (await Caller(api.app, forged).get("admin/users")).status == 401
        assert await active(api, token)


def forgeries(token: str, header: dict[str, Any], claims: dict[str, Any], public: Any) -> list[str]:
    """The same token without a signature, by the public key as a secret, for others, for longer, by foreign keys."""
    owned = RSAKey.generate_key(2048)
    _, _, signature = token.split(".")

    def text(of: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=").decode()

    symmetric = f"{text(header | {'alg': 'HS256'})}.{text(claims)}"
    mac = hmac.digest(public.as_pem(private=False), symmetric.encode(), "sha256")
    aged = claims | {"exp": claims["exp"] - 3600, "iat": claims["iat"] - 3600}
    return [
        f"{text(header | {'alg': 'none'})}.{text(claims)}.",
        f"{symmetric}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        f"{text(header)}.{text(claims | {'aud': 'https://else.example.org'})}.{signature}",
        f"{text(header)}.{text(claims | {'exp': claims['exp'] + 3600})}.{signature}",
        jwt.encode(header, claims, owned),
        jwt.encode(header, aged, owned),
        jwt.encode(header | {"kid": "jwk_mine"}, claims, owned),
        token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
    ]
