"""The kind of fault: an answer, a token or a claim of one login is taken for one of another.

Several organizations register providers on one platform, so each provider is hostile to all others. Whatever a provider
answers, only the login that was begun with it, in that browser, can end by it, once.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt

from core import clock
from tests.api.admin.hostile_provider import KEY, OTHER_KEY, Hostile, hostile_provider, unsigned
from tests.api.admin.tenants import made, tenant
from tests.api_process import Api, Caller, Reply, running
from tests.orchestration import FakeOrchestrator

PROVIDERS = "admin/identity-providers"


@pytest.fixture
def honest() -> Iterator[Hostile]:
    """The provider of the default organization."""
    with hostile_provider() as started:
        yield started


@pytest.fixture
def evil() -> Iterator[Hostile]:
    """The provider of another one."""
    with hostile_provider() as started:
        yield started


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path, FakeOrchestrator(), HEADWATER_PRIVATE_SOURCES="true") as started:
        yield started


@pytest.fixture
async def browser(api: Api) -> AsyncIterator[Caller]:
    caller = Caller(api.app, None)
    yield caller
    await caller.http.aclose()


async def register(api: Api, provider: Hostile, name: str = "acme", by: Caller | None = None, **extra: Any) -> Any:
    spec = {"title": "X", "issuer": provider.issuer, "client_id": "headwater", "just_in_time": True}
    scope = {"organization_id": extra.pop("organization")} if "organization" in extra else {}
    return await made((by or api.admin).post(PROVIDERS, {"name": name, "spec": spec | extra, **scope}))


async def sign_in(browser: Caller, provider: Hostile, name: str = "acme", **answer: str) -> Reply:
    begun = await browser.get(f"/login/oidc/{name}")
    return await browser.get(provider.answer(begun.headers["location"], **answer))


class TestMixUp:
    async def test_a_provider_never_gets_the_code_of_another(
        self, api: Api, browser: Caller, honest: Hostile, evil: Hostile
    ) -> None:
        """The evil provider sends the browser on to the honest one, whose answer must not come to the evil one."""
        two = await tenant(api, "two")
        update = await register(api, honest)
        theirs = await register(api, evil, "evil", two.admin, organization=two.organization)
        evil.document["authorization_endpoint"] = f"{honest.issuer}/authorize"
        begun = await browser.get("/login/oidc/evil")
        asked = httpx.URL(begun.headers["location"])
        assert asked.host == "127.0.0.1"
        assert asked.params["redirect_uri"].endswith(f"/login/oidc/{theirs['id']}/callback")
        assert asked.params["redirect_uri"] != f"http://headwater.test{update['status']['redirect_path']}"
        # The honest one knows only its own redirect URI, so that is where it sends the browser at most.
        local = update["status"]["redirect_path"]
        answered = await browser.get(f"{local}?code=of-the-honest&state={asked.params['state']}")
        assert answered.status == 401
        assert (honest.codes, evil.codes) == ([], [])

    async def test_an_attempt_with_one_provider_does_not_end_at_another(
        self, api: Api, honest: Hostile, evil: Hostile
    ) -> None:
        update, theirs = await register(api, honest), await register(api, evil, "evil")
        for began, ended in (("acme", theirs), ("evil", update)):
            browser = Caller(api.app, None)
            begun = await browser.get(f"/login/oidc/{began}")
            cookie = begun.headers["set-cookie"].partition(";")[0]
            state = httpx.URL(begun.headers["location"]).params["state"]
            path = ended["status"]["redirect_path"]
            # Even with the cookie, which browsers do not send there.
            answer = await Caller(api.app, None).get(f"{path}?code=c&state={state}", headers={"cookie": cookie})
            assert answer.status == 401
        assert (honest.codes, evil.codes) == ([], [])

    @pytest.mark.parametrize(
        ("announced", "given", "status"),
        [
            (None, None, 303),
            (None, "right", 303),
            (None, "wrong", 401),
            (None, "", 401),
            (True, None, 401),
            (True, "right", 303),
            (True, "right/", 401),
            (True, "", 401),
            ("true", None, 303),
        ],
    )
    async def test_the_issuer_of_an_answer(
        self, api: Api, browser: Caller, honest: Hostile, announced: Any, given: str | None, status: int
    ) -> None:
        await register(api, honest)
        honest.document["authorization_response_iss_parameter_supported"] = announced
        extra = {} if given is None else {"iss": given.replace("right", honest.issuer)}
        assert (await sign_in(browser, honest, **extra)).status == status
        assert honest.codes == (["the-code"] if status == 303 else [])

    async def test_a_parameter_that_comes_twice_is_refused(self, api: Api, browser: Caller, honest: Hostile) -> None:
        await register(api, honest)
        for extra in ("&state=x", "&code=x", "&iss=a&iss=b", "&" + "&".join(f"a{n}=" for n in range(60))):
            begun = await browser.get("/login/oidc/acme")
            assert (await browser.get(honest.answer(begun.headers["location"]) + extra)).status == 401
        assert honest.codes == []


class TestOnce:
    @pytest.mark.parametrize("first", ["success", "error", "denied by the token", "wrong issuer"])
    async def test_an_answer_works_once_however_it_ended(
        self, api: Api, browser: Caller, honest: Hostile, first: str
    ) -> None:
        await register(api, honest)
        begun = await browser.get("/login/oidc/acme")
        cookie = begun.headers["set-cookie"].partition(";")[0]
        back = honest.answer(begun.headers["location"])
        sent = {"error": f"{back}&error=access_denied", "wrong issuer": f"{back}&iss=https://x.test"}.get(first, back)
        if first == "denied by the token":
            honest.claims["nonce"] = "another"
        answer = await browser.get(sent)
        assert answer.status == (303 if first == "success" else 401)
        ended = [text for name, text in answer.headers.multi_items() if name == "set-cookie" and "_oidc_" in text]
        assert ["Max-Age=0" in text for text in ended] == [True], "the cookie is taken away"
        honest.claims.clear()
        before = len(honest.codes)
        again = await Caller(api.app, None).get(back, headers={"cookie": cookie})
        assert again.status == 401, "also to a browser that kept the cookie"
        assert len(honest.codes) == before

    async def test_two_tabs_do_not_end_one_another(self, api: Api, browser: Caller, honest: Hostile) -> None:
        await register(api, honest)
        first, second = [(await browser.get("/login/oidc/acme")).headers["location"] for _ in range(2)]
        assert (await browser.get(honest.answer(second))).status == 303
        assert (await browser.get(honest.answer(first))).status == 303

    async def test_who_only_looks_uses_nothing_up(self, api: Api, browser: Caller, honest: Hostile) -> None:
        await register(api, honest)
        begun = await browser.get("/login/oidc/acme")
        back = honest.answer(begun.headers["location"])
        assert (await browser.http.head(back)).status_code == 405
        assert (await Caller(api.app, None).get(back)).status == 401, "nor does a caller who knows the state"
        assert (await browser.get(back)).status == 303

    async def test_what_was_used_is_kept_only_while_it_could_be_used(
        self, api: Api, browser: Caller, honest: Hostile
    ) -> None:
        await register(api, honest)
        await sign_in(browser, honest)
        clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=11))
        try:
            assert (await sign_in(Caller(api.app, None), honest)).status == 303
        finally:
            clock.freeze(None)
        with api.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM spent_login").scalar_one() == 1


def _hmac(claims: dict[str, Any]) -> str:
    """Signed by the public key as a shared secret."""
    signed = unsigned(claims, "HS256").rstrip(".")
    signature = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


class TestTokens:
    @pytest.mark.parametrize(
        "claims",
        [
            {"sub": None},
            {"sub": ""},
            {"sub": 7},
            {"sub": True},
            {"sub": ["s"]},
            {"sub": "s" * 257},
            {"iss": "https://other.test"},
            {"iss": ["https://other.test"]},
            {"aud": "another"},
            {"aud": []},
            {"aud": ["headwater", "another"]},
            {"aud": ["headwater", "another"], "azp": "another"},
            {"azp": "another"},
            {"azp": ["headwater"]},
            {"nonce": None},
            {"nonce": "another"},
            {"nonce": 7},
            {"exp": 1},
            {"exp": None},
            {"exp": "never"},
            {"iat": None},
            {"iat": 99_999_999_999},
            {"exp": [1]},
        ],
    )
    async def test_claims_that_do_not_hold(
        self, api: Api, browser: Caller, honest: Hostile, claims: dict[str, Any]
    ) -> None:
        await register(api, honest)
        honest.claims |= claims
        assert (await sign_in(browser, honest)).status == 401
        assert (await browser.get("admin/sessions/current")).status == 401

    @pytest.mark.parametrize("claims", [{"aud": ["headwater"]}, {"aud": ["headwater", "b"], "azp": "headwater"}, {}])
    async def test_claims_that_hold(self, api: Api, browser: Caller, honest: Hostile, claims: dict[str, Any]) -> None:
        await register(api, honest)
        honest.claims |= claims
        assert (await sign_in(browser, honest)).status == 303

    @pytest.mark.parametrize(
        "sign",
        [
            unsigned,
            lambda claims: unsigned(claims, "RS256"),
            lambda claims: unsigned(claims, "NONE"),
            _hmac,
            lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER_KEY),
            lambda claims: jwt.encode({"alg": "RS256", "kid": "two"}, claims, OTHER_KEY),
            lambda claims: "no token",
            lambda claims: json.dumps(claims),
        ],
    )
    async def test_signatures_that_do_not_hold(
        self, api: Api, browser: Caller, honest: Hostile, sign: Callable[[dict[str, Any]], str]
    ) -> None:
        await register(api, honest)
        honest.sign = sign
        assert (await sign_in(browser, honest)).status == 401

    @pytest.mark.parametrize(
        "document",
        [
            {"issuer": "https://other.test"},
            {"issuer": None},
            {"authorization_endpoint": "javascript:alert(1)"},
            {"authorization_endpoint": None},
            {"token_endpoint": "file:///etc/passwd"},
            {"token_endpoint": "http://[::1"},
            {"token_endpoint": "http://127.0.0.1:99999/"},
            {"token_endpoint": ["http://127.0.0.1/"]},
            {"jwks_uri": "http://user:secret@127.0.0.1/"},
            {"authorization_endpoint": "http://127.0.0.1/a\r\nset-cookie: a=b"},
        ],
    )
    async def test_descriptions_that_do_not_hold(
        self, api: Api, browser: Caller, honest: Hostile, document: dict[str, Any]
    ) -> None:
        await register(api, honest)
        honest.document |= document
        assert (await browser.get("/login/oidc/acme")).status == 503


class TestIdentity:
    @pytest.mark.parametrize("verified", [False, "false", "False", "TRUE", "", 0, 1, None, [], ["true"], {}])
    async def test_an_address_in_doubt_opens_nothing_and_names_nobody(
        self, api: Api, browser: Caller, honest: Hostile, verified: Any
    ) -> None:
        await register(api, honest, domains=["example.org"])
        honest.claims |= {"email": "eve@example.org", "sub": "s-eve"}
        honest.sign = lambda claims: jwt.encode(
            {"alg": "RS256", "kid": "one"}, claims | {"email_verified": verified}, KEY
        )
        assert (await sign_in(browser, honest)).status == 401
        await register(api, honest, "open")
        assert (await sign_in(browser, honest, "open")).status == 303
        user = (await made(browser.get("admin/sessions/current")))["user"]
        assert user != "eve@example.org"
        assert (await made(api.admin.get(f"admin/users/{user}")))["spec"]["emails"] == []

    @pytest.mark.parametrize("verified", [True, "true"])
    async def test_a_verified_address_is_let_in(
        self, api: Api, browser: Caller, honest: Hostile, verified: Any
    ) -> None:
        await register(api, honest, domains=["example.org"])
        honest.claims |= {"email": "eve@example.org", "email_verified": verified}
        assert (await sign_in(browser, honest)).status == 303

    async def test_the_same_subject_and_address_at_another_provider_is_somebody_else(
        self, api: Api, honest: Hostile, evil: Hostile
    ) -> None:
        await register(api, honest)
        await register(api, evil, "evil")
        who = {"sub": "s-ada", "email": "ada@example.org", "email_verified": True, "preferred_username": "ada"}
        names = set()
        for provider, name in ((honest, "acme"), (evil, "evil")):
            provider.claims |= who
            browser = Caller(api.app, None)
            assert (await sign_in(browser, provider, name)).status == 303
            names.add((await made(browser.get("admin/sessions/current")))["user"])
        assert len(names) == 2

    async def test_a_provider_by_which_people_are_known_keeps_its_issuer(
        self, api: Api, browser: Caller, honest: Hostile, evil: Hostile
    ) -> None:
        """People are known by issuer and subject: another issuer would say who has which subject."""
        idp = await register(api, honest)
        change = {"spec": {"issuer": evil.issuer}}
        await sign_in(browser, honest)
        assert (await api.admin("PATCH", f"/api/v1/{PROVIDERS}/{idp['id']}", json=change)).status == 409
        change = {"spec": {"issuer": honest.issuer, "title": "Other"}}
        assert (await api.admin("PATCH", f"/api/v1/{PROVIDERS}/{idp['id']}", json=change)).status == 200


async def test_over_https_the_cookie_is_bound_to_this_very_host(tmp_path: Path, honest: Hostile) -> None:
    variables = {"HEADWATER_PRIVATE_SOURCES": "true", "HEADWATER_URL": "https://headwater.test"}
    async with running(tmp_path, FakeOrchestrator(), **variables) as api:
        await register(api, honest)
        begun = await api.anonymous.get("/login/oidc/acme")
        cookie = begun.headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
        assert "Domain" not in cookie
