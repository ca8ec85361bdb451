"""Access and refresh tokens: short, used once, ended together; and when keys were last used."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from api.kernel.credentials.authentication import Authenticator
from api.kernel.credentials.last_use import LastUse
from api.kernel.tables import RESOURCE, TOKEN
from api.services.admin.logic import session_tokens
from core import clock
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller, Reply, running
from tests.orchestration import FakeOrchestrator

LOGIN = "admin/sessions:login"
REFRESH = "admin/sessions:refresh"


async def log_in(api: Api, name: str = "editor", password: str = PASSWORD) -> dict[str, Any]:
    caller = Caller(api.app, None)  # its own cookies
    return await made(caller.post(LOGIN, {"name": name, "password": password}))


async def works(api: Api, token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return (await api.anonymous.get("ai-catalog/assets", headers=headers)).status


def kinds(api: Api) -> list[str]:
    return [event["type"] for event in api.events("admin.session")]


class TestAccess:
    async def test_an_access_token_lasts_a_quarter_of_an_hour_and_the_cookie_as_long_as_the_login(
        self, api: Api
    ) -> None:
        browser = Caller(api.app, None)
        login = await made(browser.post(LOGIN, {"name": "editor", "password": PASSWORD}))
        assert await works(api, login["token"]) == 200
        clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=16))
        try:
            assert await works(api, login["token"]) == 401
            assert (await browser.get("ai-catalog/assets")).status == 200
        finally:
            clock.freeze(None)

    async def test_a_refresh_token_opens_nothing_itself(self, api: Api) -> None:
        assert await works(api, (await log_in(api))["refresh_token"]) == 401


@pytest.mark.effect("admin_refresh_session")
class TestRefresh:
    async def test_gives_new_tokens_of_the_same_login(self, api: Api) -> None:
        login = await log_in(api)
        clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=16))
        try:
            fresh = await made(api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]}))
            assert await works(api, fresh["token"]) == 200
            assert (fresh["id"], fresh["expires_at"]) == (login["id"], login["expires_at"])
            again = await made(api.anonymous.post(REFRESH, {"refresh_token": fresh["refresh_token"]}))
            assert await works(api, again["token"]) == 200
        finally:
            clock.freeze(None)

    async def test_a_reused_one_ends_the_whole_login_and_is_audited(self, api: Api) -> None:
        browser = Caller(api.app, None)
        login = await made(browser.post(LOGIN, {"name": "editor", "password": PASSWORD}))
        fresh = await made(api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]}))
        reused = await api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]})
        assert reused.status == 401
        assert [await works(api, token) for token in (login["token"], fresh["token"])] == [401, 401]
        assert (await browser.get("ai-catalog/assets")).status == 401
        assert (await api.anonymous.post(REFRESH, {"refresh_token": fresh["refresh_token"]})).status == 401
        event = api.events("admin.session.refresh_reused")[0]
        assert (event["subject"], event["data"]["user"]) == (login["id"], "editor")
        assert "hw_" not in str(api.events())

    @on_both
    async def test_of_two_that_race_with_one_token_one_wins_and_then_the_login_ends(self, api: Api) -> None:
        login = await log_in(api)
        body = {"refresh_token": login["refresh_token"]}
        answers: list[Reply] = await asyncio.gather(*(api.anonymous.post(REFRESH, body) for _ in range(4)))
        won = [answer.json["token"] for answer in answers if answer.status == 200]
        assert len(won) == 1
        assert await works(api, won[0]) == 401

    @pytest.mark.parametrize("token", ["", "x", "hw_" + "A" * 43])
    async def test_an_unknown_one_is_refused(self, api: Api, token: str) -> None:
        assert (await api.anonymous.post(REFRESH, {"refresh_token": token})).status == 401

    async def test_an_access_token_or_a_key_buys_nothing(self, api: Api) -> None:
        for token in ((await log_in(api))["token"], api.editor.token):
            assert (await api.anonymous.post(REFRESH, {"refresh_token": token})).status == 401

    @on_both
    async def test_a_login_that_goes_on_for_long_leaves_no_heap_of_tokens(self, api: Api) -> None:
        fresh = await log_in(api)
        try:
            for hour in range(1, 6):
                clock.freeze(lambda hour=hour: datetime.now(UTC) + timedelta(hours=hour))  # type: ignore[misc]
                fresh = await made(api.anonymous.post(REFRESH, {"refresh_token": fresh["refresh_token"]}))
            with api.database.read() as connection:
                select = sa.select(TOKEN.c.kind).where(TOKEN.c.family == fresh["id"])
                stored_tokens = sorted(connection.execute(select).scalars())
            assert stored_tokens == ["ACCESS", *["REFRESH"] * 6, "SESSION"]
        finally:
            clock.freeze(None)

    async def test_it_ends_with_the_logout(self, api: Api) -> None:
        login = await log_in(api)
        headers = {"authorization": f"Bearer {login['token']}"}
        ended = await made(api.anonymous.post("admin/sessions:logout", {}, headers=headers))
        assert ended["id"] == login["id"]
        assert (await api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]})).status == 401


class TestIntrospection:
    @on_both
    async def test_tells_of_ones_own_tokens_and_of_no_other(self, api: Api) -> None:
        login = await log_in(api)
        own = await made(api.editor.post("admin/sessions:introspect", {"token": login["token"]}))
        assert (own["active"], own["username"], own["token_type"]) == (True, "editor", "Bearer")
        assert own["exp"] - own["iat"] == 900
        for caller, token in ((api.viewer, login["token"]), (api.editor, "hw_unknown"), (api.viewer, "")):
            other = await made(caller.post("admin/sessions:introspect", {"token": token}))
            assert {value for name, value in other.items() if name != "active"} == {None}
            assert other["active"] is False
        seen = await made(api.admin.post("admin/sessions:introspect", {"token": login["token"]}))
        assert seen["active"] is True

    @on_both
    async def test_userinfo_tells_who_asks(self, api: Api) -> None:
        ada = await user(api, "ada", password=True)
        group = await made(api.admin.post("admin/groups", {"name": "readers", "spec": {"title": "Readers"}}))
        await made(api.admin.post(f"admin/groups/{group['id']}:add-members", {"members": [ada]}))
        info = await made(api.caller("ada").post("admin/sessions:userinfo"))
        assert (info["sub"], info["preferred_username"], info["name"]) == (ada, "ada", "Ada")
        assert info["groups"] == ["readers"]


@pytest.mark.effect("admin_revoke_token")
class TestRevocation:
    async def test_whoever_has_a_token_can_end_it(self, api: Api) -> None:
        login = await log_in(api)
        assert (await made(api.anonymous.post("admin/sessions:revoke", {"token": login["token"]})))["revoked"]
        assert await works(api, login["token"]) == 401
        fresh = await made(api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]}))
        await made(api.anonymous.post("admin/sessions:revoke", {"token": fresh["refresh_token"]}))
        assert await works(api, fresh["token"]) == 401, "a refresh token ends its login"

    async def test_an_unknown_one_is_answered_the_same_and_leaves_no_trace(self, api: Api) -> None:
        before = len(api.events())
        assert (await made(api.anonymous.post("admin/sessions:revoke", {"token": "nonsense"}))) == {"revoked": True}
        assert len(api.events()) == before


class TestOtherProcesses:
    """Two processes over one database: what one ends, the other refuses within a second."""

    async def test_suspension_password_and_rights_take_effect_elsewhere(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'shared.db'}"
        async with running(tmp_path, FakeOrchestrator(), database_url=url) as one:
            from api.main import create_app

            other = create_app(one.app.platform.settings, orchestrator=FakeOrchestrator())
            stack = await other.startup()
            try:
                await self._check(one, other)
            finally:
                await stack.aclose()

    async def _check(self, one: Api, other: Any) -> None:
        ada = await user(one, "ada", password=True)
        given = await grant(one, ada, "rol_viewer", "platform")
        login = await log_in(one, "ada")
        remote = Caller(other, login["token"])
        assert (await remote.get("ai-catalog/assets")).status == 200
        assert (await one.admin("DELETE", f"/api/v1/admin/grants/{given}")).status == 204
        assert await self._becomes(remote, 403)
        await grant(one, ada, "rol_viewer", "platform")
        assert await self._becomes(remote, 200)
        await made(one.admin.post(f"admin/users/{ada}:suspend"))
        assert await works(one, login["token"]) == 401
        assert await self._becomes(remote, 401)
        await made(one.admin.post(f"admin/users/{ada}:activate"))
        assert await self._becomes(remote, 200)
        await made(one.admin.post(f"admin/users/{ada}:set-password", {"password": "another good password"}))
        assert await works(one, login["token"]) == 401
        assert await self._becomes(remote, 401)

    async def _becomes(self, caller: Caller, status: int) -> bool:
        async with asyncio.timeout(60):
            while (await caller.get("ai-catalog/assets")).status != status:
                await asyncio.sleep(0.1)
        return True


@pytest.mark.effect("admin_change_password", "admin_require_reset_user")
class TestChangePassword:
    CHANGE = "admin/sessions:change-password"

    async def test_sets_the_new_one_and_ends_all_logins(self, api: Api) -> None:
        login = await log_in(api)
        body = {"name": "editor", "password": PASSWORD, "new_password": "quite another password"}
        await made(api.anonymous.post(self.CHANGE, body))
        assert await works(api, login["token"]) == 401
        assert (await api.anonymous.post(LOGIN, {"name": "editor", "password": PASSWORD})).status == 401
        await log_in(api, password="quite another password")
        assert "quite another password" not in str(api.events())

    @on_both
    async def test_is_the_only_way_on_after_a_required_reset(self, api: Api) -> None:
        await made(api.admin.post("admin/users/editor:require-reset"))
        refused = await api.anonymous.post(LOGIN, {"name": "editor", "password": PASSWORD})
        assert (refused.status, refused.reason) == (403, "PASSWORD_RESET_REQUIRED")
        wrong = await api.anonymous.post(LOGIN, {"name": "editor", "password": "wrong wrong wrong"})
        assert wrong.status == 401, "who does not know the password learns nothing"
        body = {"name": "editor", "password": PASSWORD, "new_password": "quite another password"}
        await made(api.anonymous.post(self.CHANGE, body))
        await log_in(api, password="quite another password")

    async def test_refuses_wrong_credentials_as_login_does_and_the_same_password_again(self, api: Api) -> None:
        body = {"name": "editor", "password": "wrong wrong wrong", "new_password": "quite another password"}
        wrong = await api.anonymous.post(self.CHANGE, body)
        unknown = await api.anonymous.post(self.CHANGE, body | {"name": "absent"})
        assert (wrong.status, wrong.json["detail"]) == (unknown.status, unknown.json["detail"])
        assert wrong.status == 401
        same = {"name": "editor", "password": PASSWORD, "new_password": PASSWORD}
        assert (await api.anonymous.post(self.CHANGE, same)).status == 422
        short = {"name": "editor", "password": PASSWORD, "new_password": "short"}
        assert (await api.anonymous.post(self.CHANGE, short)).status == 422


class TestLastUse:
    async def test_of_a_key_is_written_in_batches_and_never_by_the_request(self, api: Api) -> None:
        key = await made(api.editor.post("admin/api-keys", {"label": "busy"}))
        caller, before = Caller(api.app, key["secret"], client="10.1.2.3"), datetime.now(UTC)
        for _ in range(5):
            assert (await caller.get("ai-catalog/assets")).status == 200
        assert (await made(api.editor.get(f"admin/api-keys/{key['id']}/usage")))["last_used_at"] is None
        await api.app.platform.part(LastUse).flush()
        usage = await made(api.editor.get(f"admin/api-keys/{key['id']}/usage"))
        assert usage["last_used_from"] == "10.1.2.3"
        assert before <= datetime.fromisoformat(usage["last_used_at"]) <= datetime.now(UTC)

    async def test_what_is_left_is_written_at_shutdown(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'shared.db'}"
        async with running(tmp_path, FakeOrchestrator(), database_url=url) as one:
            from api.main import create_app

            other = create_app(one.app.platform.settings, orchestrator=FakeOrchestrator())
            stack = await other.startup()
            key = await made(one.editor.post("admin/api-keys", {"label": "elsewhere"}))
            caller = Caller(other, key["secret"], client="10.9.9.9")
            assert (await caller.get("ai-catalog/assets")).status == 200
            await stack.aclose()
            usage = await made(one.editor.get(f"admin/api-keys/{key['id']}/usage"))
            assert usage["last_used_from"] == "10.9.9.9"


class TestEnds:
    async def test_no_access_token_outlives_its_login(self, api: Api) -> None:
        login = await log_in(api)
        end = datetime.fromisoformat(login["expires_at"])
        clock.freeze(lambda: end - timedelta(minutes=5))
        try:
            fresh = await made(api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]}))
            assert datetime.fromisoformat(fresh["token_expires_at"]) == end
        finally:
            clock.freeze(None)

    @on_both
    async def test_a_token_that_another_process_used_at_the_same_moment_ends_the_login(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two processes may both find a refresh token unused: the second writer finds it used."""
        login, pair = await log_in(api), session_tokens._pair

        def beaten(connection: Any, session: Any) -> Any:
            refresh = TOKEN.c.family == session.id, TOKEN.c.kind == "REFRESH"
            connection.execute(TOKEN.update().where(*refresh).values(replaced_by="tok_of_another_process"))
            return pair(connection, session)

        monkeypatch.setattr(session_tokens, "_pair", beaten)
        reply = await api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]})
        assert reply.status == 401
        assert await works(api, login["token"]) == 401
        assert len(api.events("admin.session.refresh_reused")) == 1

    @on_both
    async def test_what_was_looked_up_before_a_revocation_is_not_remembered_after_it(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        login, known = await log_in(api), api.app.platform.part(Authenticator)
        look_up = known._look_up

        def meanwhile(secret: str) -> Any:
            found = look_up(secret)
            with api.database.write() as connection:
                connection.execute(TOKEN.update().where(TOKEN.c.family == login["id"]).values(revoked_at=clock.now()))
            known._epoch += 1  # as when another request has seen that something was revoked
            return found

        monkeypatch.setattr(known, "_look_up", meanwhile)
        assert await works(api, login["token"]) == 200, "it came before"
        monkeypatch.setattr(known, "_look_up", look_up)
        assert await works(api, login["token"]) == 401

    @on_both
    async def test_credentials_work_only_in_an_organization_that_is_there_and_active(self, api: Api) -> None:
        one = await tenant(api, "one")
        await made(api.admin.post(f"admin/users/{one.admin_id}:set-password", {"password": PASSWORD}))
        login = await log_in(api, "one-admin")
        revocation = RESOURCE.update().where(RESOURCE.c.id == one.organization)
        for gone in ({"deleted_at": clock.now()}, {"state": "SUSPENDED"}):
            with api.database.write() as connection:
                connection.execute(revocation.values(**gone))
            api.app.platform.part(Authenticator).forget()
            assert [await works(api, token) for token in (login["token"], one.admin.token or "")] == [401, 401]
            again = await api.anonymous.post("admin/sessions:login", {"name": "one-admin", "password": PASSWORD})
            assert again.status == 401
            with api.database.write() as connection:
                connection.execute(revocation.values(deleted_at=None, state="ACTIVE"))
            api.app.platform.part(Authenticator).forget()
            assert await works(api, login["token"]) == 200

    async def test_a_login_that_ended_opens_nothing_and_is_forgotten_a_month_later(self, api: Api) -> None:
        browser = Caller(api.app, None)
        login = await made(browser.post(LOGIN, {"name": "editor", "password": PASSWORD}))
        end = datetime.fromisoformat(login["expires_at"])

        def stored_tokens() -> set[str]:
            with api.database.read() as connection:
                return set(connection.execute(sa.select(TOKEN.c.kind).where(TOKEN.c.family == login["id"])).scalars())

        try:
            for days, left in ((1, {"SESSION", "REFRESH"}), (31, set())):
                clock.freeze(lambda days=days: end + timedelta(days=days))  # type: ignore[misc]
                api.app.platform.part(Authenticator).forget()
                assert (await browser.get("ai-catalog/assets")).status == 401
                refresh = await api.anonymous.post(REFRESH, {"refresh_token": login["refresh_token"]})
                assert refresh.status == 401
                await log_in(api)
                assert stored_tokens() == left
        finally:
            clock.freeze(None)
