"""One-time passwords of users: set up by themselves or for them, and taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import throttle
from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit, denied
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.kernel.storage.store import Stored
from api.kernel.tables import PRINCIPAL
from api.services.admin.kinds.user import USER, own_or_permitted
from api.services.admin.logic import one_time_passwords, password_policy
from core.errors import Conflict, InvalidPayload

R = TypeVar("R")
Code = Annotated[str, Field(max_length=64, json_schema_extra={"format": "password"}, examples=["123456"])]


class WrongCode(InvalidPayload):
    """Counted, so that codes cannot be guessed with a stolen login."""


class Enrollment(Model):
    """A one-time password to set up in an authenticator app. It is shown only here."""

    secret: str
    """The secret, to type in."""

    uri: str
    """The same as an `otpauth://` URI."""

    qr_code: str
    """The URI as a QR code to show: a data URI with an SVG."""


class Confirmation(Request):
    """Proof that the app works."""

    code: Code
    """The code it shows now."""


class RecoveryCodes(Model):
    """What stands in for the app if it is lost. They are shown only here."""

    recovery_codes: list[str]
    """Codes to keep in a safe place; each works once."""


class Disabling(Request):
    """Proof that it is the user himself."""

    code: Code = ""
    """The code the app shows now, or a recovery code. An admin who does it for another user needs none."""


class CodeProof(Request):
    """Proof that it is the user himself."""

    code: Code
    """The code the app shows now, or a recovery code."""


class OneTimePasswordState(Model):
    """How a user logs in."""

    has_one_time_password: bool
    """Whether his logins need a one-time password."""


@USER.action(
    "enroll-one-time-password",
    request=Request,
    result=Enrollment,
    role=Role.ADMIN,
    own=True,
    secret=True,
    past="one_time_password_enrolled",
)
async def enroll_one_time_password(ctx: Context, user: str, request: Request) -> Enrollment:
    """Makes the secret of a one-time password. Logins need it once it is confirmed; a second call makes another one."""

    def work(unit: Unit) -> Enrollment:
        row = _user(unit, user, "enroll-one-time-password")
        _refuse_if_enrolled(unit, row)
        sealer = unit.platform.part(open_sealer)
        secret, uri = one_time_passwords.enroll(unit.connection, sealer, row.id, row.name)
        return Enrollment(secret=secret, uri=uri, qr_code=one_time_passwords.qr_code(uri))

    return await ctx.write(work)


@USER.action(
    "confirm-one-time-password",
    request=Confirmation,
    result=RecoveryCodes,
    role=Role.ADMIN,
    own=True,
    secret=True,
    past="one_time_password_confirmed",
)
async def confirm_one_time_password(ctx: Context, user: str, request: Confirmation) -> RecoveryCodes:
    """Makes logins need the one-time password, if the code is right, and gives out recovery codes."""

    def work(unit: Unit) -> RecoveryCodes:
        row = _user(unit, user, "confirm-one-time-password")
        _refuse_if_enrolled(unit, row)
        sealer = unit.platform.part(open_sealer)
        codes = one_time_passwords.confirm(unit.connection, sealer, row.id, request.code)
        if codes is None:
            fault = {"pointer": "/code", "detail": "is not the code of the secret that was shown last"}
            raise InvalidPayload("The code is wrong. Send the one your app shows now.", errors=[fault])
        return RecoveryCodes(recovery_codes=codes)

    return await ctx.write(work)


@USER.action(
    "disable-one-time-password",
    request=Disabling,
    result=OneTimePasswordState,
    role=Role.ADMIN,
    own=True,
    past="one_time_password_disabled",
)
async def disable_one_time_password(ctx: Context, user: str, request: Disabling) -> OneTimePasswordState:
    """Lets a user log in without a one-time password: himself with a code, or an admin for one who lost his."""

    def work(unit: Unit) -> OneTimePasswordState:
        row = _user(unit, user, "disable-one-time-password")
        if row.id == unit.principal.id:
            if password_policy.load(unit.connection).mfa_required:
                raise Conflict("The platform requires one-time passwords. Ask an admin if yours is lost.")
            _prove(unit, row, request.code)
        one_time_passwords.disable(unit.connection, row.id)
        return OneTimePasswordState(has_one_time_password=False)

    return await _slowed_down(ctx, work)


@USER.action(
    "renew-recovery-codes",
    request=CodeProof,
    result=RecoveryCodes,
    role=Role.ADMIN,
    own=True,
    secret=True,
    past="recovery_codes_renewed",
)
async def renew_recovery_codes(ctx: Context, user: str, request: CodeProof) -> RecoveryCodes:
    """Gives out new recovery codes; those that were left end. Nobody gets them for another user."""

    def work(unit: Unit) -> RecoveryCodes:
        row = _user(unit, user, "renew-recovery-codes")
        if row.id != unit.principal.id:
            raise denied(USER.permission("renew-recovery-codes"))
        if not _is_enrolled(unit, row):
            raise Conflict("There is no one-time password that they could stand in for. Set one up first.")
        _prove(unit, row, request.code)
        return RecoveryCodes(recovery_codes=one_time_passwords.renew_codes(unit.connection, row.id))

    return await _slowed_down(ctx, work)


async def _slowed_down(ctx: Context, work: Callable[[Unit], R]) -> R:
    """Does what needs a code. A stolen login must not guess one."""
    await ctx.query(throttle.refuse_if_waiting, throttle.login(ctx.principal.name, ctx.client))
    try:
        return await ctx.write(work)
    except WrongCode:
        await ctx.platform.workers.write.run(_count_failure, ctx)
        raise


def _count_failure(ctx: Context) -> None:
    with ctx.platform.database.write() as connection:
        throttle.note(connection, throttle.login(ctx.principal.name, ctx.client))


def _user(unit: Unit, id: str, verb: str) -> Stored:
    row = own_or_permitted(unit, id, verb, lock=True)
    unit.subject(row)
    return row


def _prove(unit: Unit, row: Stored, code: str) -> None:
    sealer = unit.platform.part(open_sealer)
    proof = one_time_passwords.prove(unit.connection, sealer, row.id, code)
    if proof is None or not one_time_passwords.spend(unit.connection, row.id, proof):
        raise WrongCode("The code is wrong.", errors=[{"pointer": "/code", "detail": "is wrong"}])


def _is_enrolled(unit: Unit, row: Stored) -> bool:
    sealed = sa.select(PRINCIPAL.c.one_time_password).where(PRINCIPAL.c.id == row.id)
    return unit.connection.execute(sealed).scalar_one() is not None


def _refuse_if_enrolled(unit: Unit, row: Stored) -> None:
    if _is_enrolled(unit, row):
        raise Conflict(f"{row.name} has a one-time password already. Disable it first.")
