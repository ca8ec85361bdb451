"""Users and tokens: what they can do, and that taking it away works at once, everywhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from api.kernel import tokens
from api.kernel.authentication import EPOCH_SECONDS
from api.main import create_app
from tests.api_process import PASSWORD, Api, Caller
from tests.orchestration import FakeOrchestrator


async def id_of(api: Api, name: str) -> str:
    return str((await api.admin.get(f"admin/users/{name}")).json["id"])


class TestUsers:
    async def test_a_new_user_can_log_in_with_his_role(self, api: Api) -> None:
        made = await api.admin.post("admin/users", {"name": "ada", "role": "EDITOR", "password": PASSWORD})
        assert (made.status, made.json["state"], made.json["created_by"]) == (201, "ACTIVE", "admin")
        login = await api.anonymous.post("admin/sessions:login", {"name": "ada", "password": PASSWORD})
        assert login.json["role"] == "EDITOR"
        (event,) = api.events("admin.user")
        assert (event["type"], event["subject"]) == ("admin.user.created", made.json["id"])
        assert PASSWORD not in str(event)

    async def test_a_name_is_taken_once(self, api: Api) -> None:
        assert (await api.admin.post("admin/users", {"name": "viewer"})).status == 409

    async def test_a_short_password_is_refused_by_its_place(self, api: Api) -> None:
        reply = await api.admin.post("admin/users", {"name": "ada", "password": "short"})
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/password")

    async def test_a_new_role_holds_at_once_for_a_token_in_use(self, api: Api) -> None:
        assert (await api.viewer.post("ai-catalog/schedules/daily:stop")).status == 403
        reply = await api.admin("PATCH", "/api/v1/admin/users/viewer", json={"role": "EDITOR"})
        assert reply.json["role"] == "EDITOR"
        assert (await api.viewer.post("ai-catalog/schedules/daily:stop")).status == 200

    async def test_a_suspended_user_is_out_at_once_and_in_again_when_activated(self, api: Api) -> None:
        assert (await api.viewer.get("ai-catalog/assets")).status == 200
        assert (await api.admin.post("admin/users/viewer:suspend")).json["state"] == "SUSPENDED"
        assert (await api.viewer.get("ai-catalog/assets")).status == 401
        login = {"name": "viewer", "password": PASSWORD}
        assert (await api.anonymous.post("admin/sessions:login", login)).status == 401
        await api.admin.post("admin/users/viewer:activate")
        assert (await api.viewer.get("ai-catalog/assets")).status == 200

    async def test_the_last_admin_cannot_lock_himself_out(self, api: Api) -> None:
        assert (await api.admin.post("admin/users/admin:suspend")).status == 409
        assert (await api.admin("PATCH", "/api/v1/admin/users/admin", json={"role": "VIEWER"})).status == 409
        await api.admin.post("admin/users", {"name": "second", "role": "ADMIN"})
        assert (await api.admin("PATCH", "/api/v1/admin/users/admin", json={"role": "VIEWER"})).status == 200
        assert (await api.admin.get("admin/users")).status == 403

    async def test_nothing_to_change_is_an_error(self, api: Api) -> None:
        assert (await api.admin("PATCH", "/api/v1/admin/users/viewer", json={})).status == 422

    async def test_list_by_name_and_role(self, api: Api) -> None:
        reply = await api.admin.get("admin/users", params={"order_by": "name desc", "page_size": 2})
        assert [user["name"] for user in reply.json["items"]] == ["viewer", "editor"]
        rest = await api.admin.get(
            "admin/users", params={"order_by": "name desc", "page_token": reply.json["next_page_token"]}
        )
        assert [user["name"] for user in rest.json["items"]] == ["admin"]
        admins = await api.admin.get("admin/users", params={"filter": 'role == "ADMIN"'})
        assert [user["name"] for user in admins.json["items"]] == ["admin"]


class TestTokens:
    async def test_the_secret_works_and_is_shown_once(self, api: Api) -> None:
        made = await api.viewer.post("admin/tokens", {"label": "script"})
        assert made.status == 201
        caller = Caller(api.app, made.json["secret"])
        assert (await caller.get("ai-catalog/assets")).status == 200
        shown = await api.viewer.get(f"admin/tokens/{made.json['id']}")
        assert "secret" not in shown.json
        assert made.json["secret"] not in str(api.events())
        await caller.http.aclose()

    async def test_a_repeated_request_does_not_show_it_again(self, api: Api) -> None:
        headers = {"idempotency-key": "once"}
        assert (await api.viewer.post("admin/tokens", {"label": "script"}, headers=headers)).status == 201
        again = await api.viewer.post("admin/tokens", {"label": "script"}, headers=headers)
        assert again.status == 409
        assert len((await api.viewer.get("admin/tokens")).json["items"]) == 2, "the fixture's and one more"

    async def test_a_revoked_one_is_refused_at_once(self, api: Api) -> None:
        made = (await api.viewer.post("admin/tokens", {"label": "script"})).json
        caller = Caller(api.app, made["secret"])
        assert (await caller.get("ai-catalog/assets")).status == 200
        assert (await api.viewer("DELETE", f"/api/v1/admin/tokens/{made['id']}")).status == 204
        assert (await caller.get("ai-catalog/assets")).status == 401
        assert (await api.viewer.get(f"admin/tokens/{made['id']}")).json["revoked_at"] is not None
        await caller.http.aclose()

    async def test_only_an_admin_issues_them_for_others_or_sees_theirs(self, api: Api) -> None:
        assert (await api.editor.post("admin/tokens", {"label": "x", "user": "admin"})).status == 403
        made = (await api.admin.post("admin/tokens", {"label": "x", "user": "viewer"})).json
        assert made["user"] == "viewer"
        assert (await api.editor.get(f"admin/tokens/{made['id']}")).status == 404
        assert (await api.editor("DELETE", f"/api/v1/admin/tokens/{made['id']}")).status == 404
        assert made["id"] in [token["id"] for token in (await api.admin.get("admin/tokens")).json["items"]]

    async def test_it_lives_within_limits(self, api: Api) -> None:
        def body(**delta: float) -> dict[str, Any]:
            return {"label": "x", "expires_at": (datetime.now(UTC) + timedelta(**delta)).isoformat()}

        assert (await api.viewer.post("admin/tokens", body(days=400))).status == 422
        assert (await api.viewer.post("admin/tokens", body(days=-1))).status == 422
        assert (await api.viewer.post("admin/tokens", body(days=1))).status == 201


class TestOtherProcesses:
    async def test_see_a_revocation_within_the_epoch(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        """A second process that remembers the token learns of it by the epoch alone."""
        other_app = create_app(api.app.platform.settings, orchestrator=orchestrator)
        stack = await other_app.startup()
        other = Caller(other_app, api.viewer.token)
        assert (await other.get("ai-catalog/assets")).status == 200
        with api.database.write() as connection:
            found = tokens.valid(connection, api.viewer.token or "")
            assert found
            tokens.revoke(connection, found.principal.token_id)
        deadline = time.monotonic() + EPOCH_SECONDS + 1
        while (await other.get("ai-catalog/assets")).status == 200:
            assert time.monotonic() < deadline
        await other.http.aclose()
        await stack.aclose()
