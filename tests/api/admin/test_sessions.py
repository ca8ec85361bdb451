"""Logging in and out: what works, and what an attacker learns (nothing)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.kernel.credentials import passwords
from core import clock
from tests.api_process import PASSWORD, Api, Caller, Reply

LOGIN = "admin/sessions:login"


async def log_in(api: Api, name: str = "editor", password: str = PASSWORD, caller: Caller | None = None) -> Reply:
    return await (caller or api.anonymous).post(LOGIN, {"name": name, "password": password})


def bearer(reply: Reply) -> dict[str, str]:
    return {"authorization": f"Bearer {reply.json['token']}"}


class TestLogin:
    @pytest.mark.effect("admin_login")
    async def test_gives_a_token_and_a_cookie_that_scripts_cannot_read(self, api: Api) -> None:
        reply = await log_in(api)
        assert (reply.status, reply.json["role"]) == (200, "EDITOR")
        cookie = reply.headers["set-cookie"]
        assert cookie.startswith("headwater_8400=hw_")
        for attribute in ("HttpOnly", "SameSite=Lax", "Path=/"):
            assert attribute in cookie
        me = await api.anonymous.get("admin/sessions/current", headers=bearer(reply))
        assert (me.status, me.json["user"], me.json["role"]) == (200, "editor", "EDITOR")

    async def test_says_the_same_for_a_wrong_password_and_an_unknown_name(self, api: Api) -> None:
        wrong, unknown = await log_in(api, password="not the password"), await log_in(api, "absent", "whatever it is")
        assert wrong.status == unknown.status == 401
        assert {key: wrong.json[key] for key in ("detail", "reason", "title")} == {
            key: unknown.json[key] for key in ("detail", "reason", "title")
        }

    async def test_says_the_same_for_a_suspended_user_with_the_right_password(self, api: Api) -> None:
        assert (await api.admin.post("admin/users/editor:suspend")).status == 200
        suspended, unknown = await log_in(api), await log_in(api, "absent", "whatever it is")
        assert suspended.status == unknown.status == 401
        assert suspended.json["detail"] == unknown.json["detail"]

    async def test_checks_a_hash_even_if_there_is_no_such_name(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        checked: list[str | None] = []
        verify = passwords.verify

        def spy(stored: str | None, password: str) -> bool:
            checked.append(stored)
            return verify(stored, password)

        monkeypatch.setattr(passwords, "verify", spy)
        await log_in(api, "absent", "whatever it is")
        assert checked == [None]

    async def test_is_slowed_down_after_some_failures_and_says_how_long(self, api: Api) -> None:
        for _ in range(5):
            assert (await log_in(api, password="wrong wrong wrong")).status == 401
        refused = await log_in(api)
        assert (refused.status, refused.reason) == (429, "TOO_MANY_REQUESTS")
        assert int(refused.headers["retry-after"]) >= 1
        elsewhere = Caller(api.app, None, client="10.0.0.9")
        assert (await log_in(api, caller=elsewhere)).status == 200, "the owner of the account is not locked out"
        await elsewhere.http.aclose()
        clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=16))
        try:
            assert (await log_in(api)).status == 200
        finally:
            clock.freeze(None)

    async def test_an_address_that_tries_many_names_is_slowed_down_too(self, api: Api) -> None:
        for number in range(30):
            await log_in(api, f"name{number}", "wrong wrong wrong")
        assert (await log_in(api)).status == 429

    async def test_leaves_audit_rows_without_secrets_or_typed_names(self, api: Api) -> None:
        await log_in(api)
        await log_in(api, "my-password-typed-as-name", "x")
        await log_in(api, password="wrong wrong wrong")
        events = api.events("admin.session")
        assert [event["type"] for event in events] == [
            "admin.session.logged_in",
            "admin.session.login_denied",
            "admin.session.login_denied",
        ]
        assert events[0]["principal"] == "editor"
        text = str(events)
        assert PASSWORD not in text
        assert "my-password-typed-as-name" not in text
        assert "hw_" not in text

    @pytest.mark.parametrize(
        "body",
        [{}, {"name": "a"}, {"name": 1, "password": "x"}, {"name": "a", "password": "b", "more": 1}, [], "x", None],
    )
    async def test_refuses_other_bodies_without_repeating_them(self, api: Api, body: Any) -> None:
        reply = await api.anonymous("POST", f"/api/v1/{LOGIN}", json=body)
        assert reply.status == 422

    async def test_a_password_in_a_malformed_body_is_not_repeated(self, api: Api) -> None:
        reply = await api.anonymous.post(LOGIN, {"name": ["x"], "password": {"canary-secret": 1}})
        assert "canary-secret" not in reply.response.text


class TestCookies:
    """A browser sends the cookie on its own: changes need proof that our own page asked for them."""

    @pytest.fixture
    async def browser(self, api: Api) -> Caller:
        caller = Caller(api.app, None)
        reply = await log_in(api, caller=caller)
        self.csrf = reply.json["csrf_token"]
        assert caller.http.cookies
        return caller

    async def test_reading_needs_nothing_more(self, browser: Caller) -> None:
        assert (await browser.get("admin/sessions/current")).status == 200

    async def test_a_change_without_proof_is_refused(self, browser: Caller) -> None:
        for headers in (
            {},
            {"origin": "http://evil.test"},
            {"sec-fetch-site": "cross-site"},
            {"x-csrf-token": "0" * 64},
        ):
            reply = await browser.post("ai-catalog/schedules/daily:stop", headers=headers)
            assert reply.status == 403, headers

    async def test_a_sibling_site_or_a_forged_origin_beside_sec_fetch_site_is_refused(self, browser: Caller) -> None:
        headers = {"sec-fetch-site": "same-site", "origin": "http://headwater.test"}
        assert (await browser.post("ai-catalog/schedules/daily:stop", headers=headers)).status == 403

    async def test_a_change_from_our_own_page_is_carried_out(self, browser: Caller) -> None:
        for headers in (
            {"x-csrf-token": self.csrf},
            {"sec-fetch-site": "same-origin"},
            {"origin": "http://headwater.test"},
        ):
            assert (await browser.post("ai-catalog/schedules/daily:stop", headers=headers)).status == 200, headers

    async def test_a_bearer_token_needs_no_proof(self, api: Api) -> None:
        assert (await api.editor.post("ai-catalog/schedules/daily:stop")).status == 200

    async def test_a_body_without_a_type_cannot_log_somebody_in(self, api: Api) -> None:
        body = '{"name": "editor", "password": "a long enough password"}'
        for headers in ({}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}):
            reply = await api.anonymous("POST", f"/api/v1/{LOGIN}", content=body, headers=headers)
            assert reply.status == 415


class TestLogout:
    @pytest.mark.effect("admin_logout")
    async def test_ends_the_session_at_once_and_clears_the_cookie(self, api: Api) -> None:
        headers = bearer(await log_in(api))
        reply = await api.anonymous.post("admin/sessions:logout", {}, headers=headers)
        assert reply.status == 200
        assert "Max-Age=0" in reply.headers["set-cookie"]
        assert (await api.anonymous.get("admin/sessions/current", headers=headers)).status == 401


class TestSessions:
    async def test_a_user_sees_and_ends_only_his_own(self, api: Api) -> None:
        owned, other = await log_in(api), await log_in(api, "viewer")
        listed = (await api.editor.get("admin/sessions")).json["items"]
        assert [item["id"] for item in listed] == [owned.json["id"]]
        assert (await api.editor.get(f"admin/sessions/{other.json['id']}")).status == 404
        assert (await api.editor("DELETE", f"/api/v1/admin/sessions/{other.json['id']}")).status == 404
        assert (await api.editor("DELETE", f"/api/v1/admin/sessions/{owned.json['id']}")).status == 204
        assert (await api.anonymous.get("admin/sessions/current", headers=bearer(owned))).status == 401

    async def test_one_ends_by_itself(self, api: Api) -> None:
        headers = bearer(await log_in(api))
        clock.freeze(lambda: datetime.now(UTC) + timedelta(hours=13))
        try:
            assert (await api.anonymous.get("admin/sessions/current", headers=headers)).status == 401
        finally:
            clock.freeze(None)


class TestCredentials:
    @pytest.mark.parametrize(
        "value",
        [
            "",
            "Bearer",
            "Bearer ",
            "Basic YWRtaW46YWRtaW4=",
            "Bearer x",
            "Bearer hw_" + "A" * 43,
            "hw_abc",
            "Bearer a b c",
        ],
    )
    async def test_that_are_malformed_or_unknown_are_refused(self, api: Api, value: str) -> None:
        reply = await api.anonymous.get("ai-catalog/assets", headers={"authorization": value})
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == 'Bearer realm="headwater"'

    async def test_a_bad_header_is_not_made_up_for_by_a_good_cookie(self, api: Api) -> None:
        caller = Caller(api.app, None)
        await log_in(api, caller=caller)
        assert (await caller.get("ai-catalog/assets", headers={"authorization": "Bearer nonsense"})).status == 401

    async def test_bytes_that_are_no_text_are_refused(self, api: Api) -> None:
        request = httpx.Request(
            "GET", "http://headwater.test/api/v1/ai-catalog/assets", headers={b"authorization": b"Bearer \xff\xfe"}
        )
        response = await api.anonymous.http.send(request)
        assert response.status_code == 401


async def test_a_login_forgets_the_failures_of_its_account_and_of_no_other(api: Api) -> None:
    async def failures(name: str, count: int) -> set[int]:
        return {(await log_in(api, name, "not the password")).status for _ in range(count)}

    for _ in range(3):
        assert await failures("editor", 4) == {401}
        assert (await log_in(api)).status == 200
    assert await failures("viewer", 5) == {401}
    assert (await log_in(api)).status == 200
    assert (await log_in(api, "viewer")).status == 429, "another's login forgives nothing"
