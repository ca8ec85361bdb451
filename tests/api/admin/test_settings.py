"""Settings: each one changes what the platform accepts from then on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.kernel.tables import PRINCIPAL
from core import clock
from tests.api.admin.tenants import made, user
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, ROLES, Api

SETTINGS = "/api/v1/admin/settings/platform"


async def change(api: Api, **values: Any) -> dict[str, Any]:
    return await made(api.admin("PATCH", SETTINGS, json=values))


async def log_in(api: Api, name: str, password: str = PASSWORD) -> Any:
    return await api.anonymous.post("admin/sessions:login", {"name": name, "password": password})


async def test_defaults_are_told_and_changes_are_kept_and_audited(api: Api) -> None:
    before = await made(api.admin.get("admin/settings/platform"))
    assert (before["password_min_length"], before["mfa_required"]) == (10, False)
    after = await change(api, password_min_length=14, session_hours=2)
    assert after == await made(api.admin.get("admin/settings/platform"))
    assert (after["password_min_length"], after["session_hours"], after["key_max_days"]) == (14, 2, 366)
    assert (await change(api, session_hours=None))["session_hours"] is None
    event = api.events("admin.settings.updated")[0]
    assert event["data"]["password_min_length"] == 14
    assert event["data"]["changes"] == [
        {"pointer": "/password_min_length", "before": 10, "after": 14},
        {"pointer": "/session_hours", "before": None, "after": 2},
    ]


@on_both
@pytest.mark.effect("admin_preview_settings")
async def test_a_preview_says_whom_a_change_affects_and_changes_nothing(api: Api) -> None:
    path = f"{SETTINGS}:preview"
    await made(api.viewer.post("admin/api-keys", {"label": "long"}))
    before = await made(api.admin.get("admin/settings/platform"))
    users = await made(api.admin.get("admin/users", params={"page_size": "100"}))
    effect = await made(api.admin.post(path, {"mfa_required": True, "key_max_days": 30}))
    assert (effect["shortened_keys"], effect["expired_passwords"]) == (1 + len(ROLES), 0)
    assert effect["unenrolled_users"] == len(users["items"]), "all have a password, and none has a one-time password"
    assert (effect["loosens"], effect["settings"]["mfa_required"]) == (False, True)
    assert (await made(api.admin.post(path, {"key_max_days": 3000})))["loosens"]
    ada = await user(api, "ada", password=True)
    assert (await made(api.admin.post(path, {"password_max_days": 30})))["expired_passwords"] == 0
    with api.database.write() as connection:
        old = datetime.now(UTC) - timedelta(days=31)
        connection.execute(PRINCIPAL.update().where(PRINCIPAL.c.id == ada).values(password_changed_at=old))
    assert (await made(api.admin.post(path, {"password_max_days": 30})))["expired_passwords"] == 1
    assert await made(api.admin.get("admin/settings/platform")) == before
    assert (await api.editor.post(path, {"mfa_required": True})).status == 403
    assert (await api.admin.post(path, {})).status == 422


async def test_only_an_admin_of_the_platform_reads_or_changes_them(api: Api) -> None:
    assert (await api.editor.get("admin/settings/platform")).status == 403
    assert (await api.editor("PATCH", SETTINGS, json={"mfa_required": False})).status == 403
    assert (await api.admin.get("admin/settings/other")).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"password_min_length": 3},
        {"password_min_length": None},
        {"session_hours": 0},
        {"mfa_required": "yes"},
        {"unknown": 1},
    ],
)
async def test_values_that_make_no_sense_are_refused(api: Api, body: dict[str, Any]) -> None:
    assert (await api.admin("PATCH", SETTINGS, json=body)).status == 422


async def test_a_short_password_is_refused(api: Api) -> None:
    ada = await user(api, "ada")
    await change(api, password_min_length=20)
    refused = await api.admin.post(f"admin/users/{ada}:set-password", {"password": "only 15 letters"})
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, "/password")
    await made(api.admin.post(f"admin/users/{ada}:set-password", {"password": "more than twenty letters"}))


@on_both
async def test_former_passwords_are_refused_as_far_back_as_it_says(api: Api) -> None:
    ada = await user(api, "ada", password=True)
    await change(api, password_history=2)

    async def set_password(password: str) -> int:
        return (await api.admin.post(f"admin/users/{ada}:set-password", {"password": password})).status

    assert await set_password(PASSWORD) == 422
    assert await set_password("second password") == 200
    assert await set_password(PASSWORD) == 422
    assert await set_password("third password") == 200
    assert await set_password(PASSWORD) == 200, "it is the third last now"


async def test_reuse_is_told_to_nobody_who_may_not_set_the_password(api: Api) -> None:
    await change(api, password_history=2)
    for password in (PASSWORD, "never used before"):
        refused = await api.editor.post("admin/users/admin:set-password", {"password": password})
        assert refused.status == 403


async def test_an_old_password_must_be_changed_before_it_logs_in(api: Api) -> None:
    await user(api, "ada", password=True)
    await change(api, password_max_days=30)
    assert (await log_in(api, "ada")).status == 200
    clock.freeze(lambda: datetime.now(UTC) + timedelta(days=31))
    try:
        refused = await log_in(api, "ada")
        assert (refused.status, refused.reason) == (403, "PASSWORD_RESET_REQUIRED")
        body = {"name": "ada", "password": PASSWORD, "new_password": "quite another password"}
        await made(api.anonymous.post("admin/sessions:change-password", body))
        assert (await log_in(api, "ada", "quite another password")).status == 200
    finally:
        clock.freeze(None)


async def test_a_login_lasts_as_long_as_it_says(api: Api) -> None:
    await change(api, session_hours=1)
    login = (await log_in(api, "editor")).json
    left = datetime.fromisoformat(login["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_a_key_lives_no_longer_than_it_says(api: Api) -> None:
    await change(api, key_max_days=7)

    def body(days: int) -> dict[str, Any]:
        return {"label": "x", "expires_at": (datetime.now(UTC) + timedelta(days=days)).isoformat()}

    assert (await api.viewer.post("admin/api-keys", body(8))).status == 422
    assert (await api.viewer.post("admin/api-keys", body(6))).status == 201
    key = await made(api.viewer.post("admin/api-keys", {"label": "default"}))
    left = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
    assert left <= timedelta(days=7)


@on_both
async def test_a_lower_limit_shortens_existing_keys_and_a_higher_one_none(api: Api) -> None:
    async def days(key: str) -> float:
        stored = (await api.viewer.get(f"admin/api-keys/{key}")).json
        life = datetime.fromisoformat(stored["expires_at"]) - datetime.fromisoformat(stored["created_at"])
        return round(life.total_seconds() / 86_400, 3)

    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    long = (await made(api.viewer.post("admin/api-keys", {"label": "long"})))["id"]
    short = (await made(api.viewer.post("admin/api-keys", {"label": "short", "expires_at": soon})))["id"]
    revoked = (await made(api.viewer.post("admin/api-keys", {"label": "revoked"})))["id"]
    await made(api.viewer.post(f"admin/api-keys/{revoked}:revoke"))
    before = await days(short)
    await change(api, key_max_days=30)
    assert (await days(long), await days(short), await days(revoked)) == (30, before, 90)
    await change(api, key_max_days=366)
    assert await days(long) == 30
