"""One-time passwords: set up, asked for, used once, recovered and taken away."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pyotp
import pytest
import segno
import sqlalchemy as sa

from api.kernel.credentials import throttle
from api.kernel.tables import LOGIN_FAILURE, PRINCIPAL
from api.services.admin.login_tables import RECOVERY_CODE
from core import clock
from tests.api.admin.tenants import made
from tests.api.both_databases import on_both
from tests.api_process import PASSWORD, Api, Caller, Reply

pytestmark = pytest.mark.effect(
    "admin_enroll_one_time_password_user",
    "admin_confirm_one_time_password_user",
    "admin_disable_one_time_password_user",
    "admin_renew_recovery_codes_user",
)


class Phone:
    """An authenticator app with one secret, and what the platform showed beside it."""

    def __init__(self, secret: str) -> None:
        self.totp = pyotp.TOTP(secret)
        self.recovery_codes: list[str] = []

    def code(self, later: int = 0) -> str:
        """The code now, or some steps later."""
        return self.totp.at(clock.now(), counter_offset=later)


def at(caller: Caller, verb: str, body: dict[str, Any] | None = None, name: str = "editor") -> Any:
    return caller.post(f"admin/users/{name}:{verb}-one-time-password", body or {})


async def enrolled(caller: Caller, name: str = "editor") -> Phone:
    phone = Phone((await made(at(caller, "enroll", name=name)))["secret"])
    answer = await made(at(caller, "confirm", {"code": phone.code(-1)}, name))
    phone.recovery_codes = answer["recovery_codes"]
    return phone


async def log_in(api: Api, code: str | None = None, password: str = PASSWORD) -> Reply:
    body = {"name": "editor", "password": password}
    return await Caller(api.app, None).post(
        "admin/sessions:login", body if code is None else {**body, "one_time_password": code}
    )


async def test_a_login_needs_it_once_it_is_confirmed(api: Api) -> None:
    enrollment = await made(at(api.editor, "enroll"))
    assert enrollment["uri"].startswith("otpauth://totp/Headwater:editor?secret=")
    assert (await log_in(api)).status == 200, "not yet confirmed"
    phone = Phone(enrollment["secret"])
    assert (await at(api.editor, "confirm", {"code": "000000"})).status == 422
    await made(at(api.editor, "confirm", {"code": phone.code()}))
    missing = await log_in(api)
    assert (missing.status, missing.reason) == (401, "ONE_TIME_CODE_REQUIRED")
    for code in ("000000", "x" * 64, "٣٤٥٦٧٨"):
        refused = await log_in(api, code)
        assert (refused.status, refused.reason) == (401, "UNAUTHENTICATED")
    guessed = await log_in(api, password="not the password")
    assert guessed.json["detail"] == refused.json["detail"], "a guess does not tell who has a one-time password"
    assert (await log_in(api, phone.code(1))).status == 200
    account = await made(api.admin.get("admin/users/editor/account"))
    assert account["has_one_time_password"] is True


async def test_its_qr_code_is_a_picture_of_the_uri_and_nothing_else(api: Api) -> None:
    enrollment = await made(at(api.editor, "enroll"))
    kind, _, data = enrollment["qr_code"].partition(",")
    assert kind == "data:image/svg+xml;charset=utf-8"
    svg = ElementTree.fromstring(unquote(data))
    assert {element.tag.rpartition("}")[2] for element in svg.iter()} == {"svg", "g", "path"}
    assert not [name for element in svg.iter() for name in element.attrib if name.startswith("on") or "href" in name]
    line = next(path for path in svg.iter() if "stroke" in path.attrib)
    dark = {
        (x, y)
        for y, row in enumerate(segno.make_qr(enrollment["uri"]).matrix_iter(border=4))
        for x, one in enumerate(row)
        if one
    }
    assert drawn(line.attrib["d"]) == dark
    account = await made(api.editor.get("admin/users/editor/account"))
    assert account["has_one_time_password"] is False, "not yet confirmed"


def drawn(path: str) -> set[tuple[int, int]]:
    """The squares that a path of horizontal strokes covers: `M` and `m` move, `h` draws."""
    squares: set[tuple[int, int]] = set()
    x = y = 0.0
    for command, first, second in re.findall(r"([Mmh])(-?[\d.]+)(?:[ ]?(-?[\d.]+))?", path):
        if command == "h":
            squares |= {(int(x) + step, int(y)) for step in range(int(first))}
            x += float(first)
        else:
            start = (0.0, 0.0) if command == "M" else (x, y)
            x, y = start[0] + float(first), start[1] + float(second)
    return squares


async def test_a_user_sees_how_he_logs_in_and_nobody_elses(api: Api) -> None:
    path = "admin/users/editor/account"
    assert (await made(api.editor.get(path)))["has_one_time_password"] is False
    await enrolled(api.editor)
    owned = await made(api.editor.get(path))
    assert (owned["has_one_time_password"], owned["has_password"]) == (True, True)
    assert owned == await made(api.admin.get(path))
    assert (await api.viewer.get(path)).status == 404
    key = await made(api.editor.post("admin/api-keys", {"label": "narrow", "scopes": ["ai_catalog.*"]}))
    assert (await Caller(api.app, key["secret"]).get(path)).status == 403


async def test_every_wrong_login_is_answered_the_same(api: Api) -> None:
    phone = await enrolled(api.editor)
    wrong_code = await log_in(api, "000000")
    wrong_password = await log_in(api, phone.code(), "wrong wrong wrong")
    unknown_user = await api.anonymous.post("admin/sessions:login", {"name": "absent", "password": PASSWORD})
    assert (
        len(
            {(reply.status, reply.json["detail"], reply.reason) for reply in (wrong_code, wrong_password, unknown_user)}
        )
        == 1
    )


@on_both
async def test_no_code_works_twice_even_at_the_same_moment(api: Api) -> None:
    phone = await enrolled(api.editor)
    code = phone.code()
    answers = await asyncio.gather(*(log_in(api, code) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [200, 401, 401]
    assert (await log_in(api, code)).status == 401
    assert (await log_in(api, phone.code(-1))).status == 401, "older than the last one used"
    assert (await log_in(api, phone.code(1))).status == 200


async def test_the_code_that_confirmed_it_does_not_log_in(api: Api) -> None:
    phone = Phone((await made(at(api.editor, "enroll")))["secret"])
    code = phone.code()
    await made(at(api.editor, "confirm", {"code": code}))
    assert (await log_in(api, code)).status == 401


async def test_wrong_codes_are_slowed_down_like_wrong_passwords(api: Api) -> None:
    phone = await enrolled(api.editor)
    for _ in range(5):
        assert (await log_in(api, "000000")).status == 401
    assert (await log_in(api, phone.code())).status == 429


@on_both
async def test_wrong_codes_of_a_login_are_counted_for_its_account_alone(api: Api) -> None:
    """The kind of fault: what one principal does is counted for all who share an address with them."""
    phone = await enrolled(api.editor)
    for _ in range(5):
        assert (await at(api.editor, "disable", {"code": "000000"})).status == 422
    assert (await at(api.editor, "disable", {"code": phone.code()})).status == 429
    assert (await log_in(api, phone.code())).status == 200, "from the same address"
    with api.database.read() as connection:
        counted = set(connection.execute(sa.select(LOGIN_FAILURE.c.key)).scalars())
    editor = (await made(api.admin.get("admin/users/editor")))["id"]
    assert counted == {count.key for count in throttle.confirmation(editor).counts}
    assert not counted & {count.key for count in throttle.login(editor, "127.0.0.1").counts}


async def test_a_stolen_login_cannot_guess_its_way_to_disable_it(api: Api) -> None:
    phone = await enrolled(api.editor)
    for _ in range(5):
        assert (await at(api.editor, "disable", {"code": "000000"})).status == 422
    assert (await at(api.editor, "disable", {"code": phone.code()})).status == 429


@on_both
async def test_a_recovery_code_works_once_and_is_kept_as_a_hash(api: Api) -> None:
    phone = await enrolled(api.editor)
    assert len(set(phone.recovery_codes)) == 10
    code = phone.recovery_codes[0]
    assert (await log_in(api, code.upper())).status == 200
    assert (await log_in(api, code)).status == 401
    with api.database.read() as connection:
        stored = connection.execute(sa.select(RECOVERY_CODE.c.digest)).scalars().all()
        sealed = connection.execute(
            sa.select(PRINCIPAL.c.one_time_password).where(PRINCIPAL.c.name == "editor")
        ).scalar_one()
    assert len(stored) == 9
    assert not set(phone.recovery_codes) & set(stored)
    assert phone.totp.secret.encode() not in sealed
    text = str(api.events())
    assert phone.totp.secret not in text
    assert not [code for code in phone.recovery_codes if code in text]


async def test_new_recovery_codes_end_the_old_and_are_for_the_user_alone(api: Api) -> None:
    path = "admin/users/editor:renew-recovery-codes"
    assert (await api.editor.post(path, {"code": "000000"})).status == 409, (
        "there is no one-time password yet to replace"
    )
    phone = await enrolled(api.editor)
    old, spent, *_ = phone.recovery_codes
    assert (await api.admin.post(path, {"code": phone.code()})).status == 403, (
        "an admin would have a key to the account"
    )
    assert (await api.editor.post(path, {"code": "000000"})).status == 422
    renewed = (await made(api.editor.post(path, {"code": spent})))["recovery_codes"]
    assert len(set(renewed) - set(phone.recovery_codes)) == len(phone.recovery_codes)
    assert (await log_in(api, old)).status == 401
    assert (await log_in(api, renewed[0])).status == 200
    assert not [code for code in renewed if code in str(api.events())]
    await made(api.admin("PATCH", "/api/v1/admin/settings/platform", json={"mfa_required": True}))
    await made(api.editor.post(path, {"code": phone.code()}))
    assert (await log_in(api, renewed[1])).status == 401


@on_both
async def test_the_user_disables_it_with_a_code_and_an_admin_without(api: Api) -> None:
    phone = await enrolled(api.editor)
    assert (await at(api.editor, "enroll")).status == 409, "a stolen login must not replace it"
    assert (await at(api.editor, "disable")).status == 422
    await made(at(api.editor, "disable", {"code": phone.code()}))
    assert (await log_in(api)).status == 200
    again = Phone((await made(at(api.editor, "enroll")))["secret"])
    await made(at(api.editor, "confirm", {"code": again.code(1)}))
    assert (await log_in(api)).status == 401
    await made(at(api.admin, "disable"))
    assert (await log_in(api)).status == 200


async def test_nobody_else_and_no_limited_key_touches_it(api: Api) -> None:
    for verb, body in (("enroll", {}), ("confirm", {"code": "1"}), ("disable", {})):
        assert (await at(api.viewer, verb, body)).status == 404
    key = await made(api.editor.post("admin/api-keys", {"label": "narrow", "scopes": ["ai_catalog.*"]}))
    assert (await at(Caller(api.app, key["secret"]), "enroll")).status == 403


async def test_where_it_is_required_a_login_without_one_can_only_set_it_up(api: Api) -> None:
    await made(api.admin("PATCH", "/api/v1/admin/settings/platform", json={"mfa_required": True}))
    login = await log_in(api)
    assert login.json["must_enroll"] is True
    limited = Caller(api.app, login.json["token"])
    assert (await made(limited.get("admin/sessions/current")))["must_enroll"] is True
    assert (await limited.get("admin/users/editor/account")).status == 403
    assert (await limited.get("ai-catalog/assets")).status == 403
    assert (await limited.post("ai-catalog/schedules/daily:stop")).status == 403
    fresh = await made(api.anonymous.post("admin/sessions:refresh", {"refresh_token": login.json["refresh_token"]}))
    assert (await Caller(api.app, fresh["token"]).get("ai-catalog/assets")).status == 403
    key = await made(limited.post("admin/api-keys", {"label": "way out"}))
    assert (await Caller(api.app, key["secret"]).get("ai-catalog/assets")).status == 403
    phone = await enrolled(limited)
    full = await log_in(api, phone.code())
    assert full.json["must_enroll"] is False
    caller = Caller(api.app, full.json["token"])
    assert (await made(caller.get("admin/sessions/current")))["must_enroll"] is False
    assert (await caller.get("ai-catalog/assets")).status == 200
    assert (await at(caller, "disable", {"code": phone.code(1)})).status == 409


async def test_clocks_may_differ_by_half_a_minute_and_no_more(api: Api) -> None:
    phone = await enrolled(api.editor)
    now = datetime.now(UTC)
    early, late = phone.totp.at(now + timedelta(seconds=90)), phone.totp.at(now + timedelta(seconds=30))
    assert (await log_in(api, early)).status == 401
    assert (await log_in(api, late)).status == 200
