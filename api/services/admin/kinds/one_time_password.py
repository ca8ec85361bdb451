"""One-time passwords of users: setup, recovery codes, and removal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import throttle
from api.kernel.credentials.sealing import open_sealer
from api.kernel.credentials.tokens import TokenKind
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.kernel.storage.store import Stored
from api.kernel.tables import PRINCIPAL
from api.services.admin.kinds.session import ENROLLING
from api.services.admin.kinds.user import USER
from api.services.admin.kinds.user_account import own_or_permitted
from api.services.admin.logic import one_time_passwords, password_policy, session_tokens
from core.errors import Conflict, InvalidPayload, WrongCode

R = TypeVar("R")
Code = Annotated[str, Field(max_length=64, json_schema_extra={"format": "password"}, examples=["123456"])]


class Enrollment(Model):
    """A new one-time password for an authenticator app. No other response contains it."""

    secret: str
    """The secret, for manual entry."""

    uri: str
    """The secret as an `otpauth://` URI."""

    qr_code: str
    """The URI as a QR code: a data URI with an SVG image."""


class Confirmation(Request):
    """Proof that the authenticator app works."""

    code: Code
    """The code that the app shows now."""


class RecoveryCodes(Model):
    """Codes that replace a lost authenticator app. No other response contains them."""

    recovery_codes: list[str]
    """The codes. Each works once. Store them in a safe place."""


class Disabling(Request):
    """Proof that the caller is the user."""

    code: Code = ""
    """Code that the app shows now, or a recovery code. Not needed by an admin who disables it for another user."""


class CodeProof(Request):
    """Proof that the caller is the user."""

    code: Code
    """Code that the app shows now, or a recovery code."""


class OneTimePasswordState(Model):
    """Whether a user has a one-time password."""

    has_one_time_password: bool
    """Whether the user's logins require a one-time password."""


@USER.action(
    "enroll-one-time-password",
    request=Request,
    result=Enrollment,
    role=Role.ADMIN,
    own=True,
    secret=True,
    past="one_time_password_enrolled",
    versioned=True,
)
async def enroll_one_time_password(ctx: Context, user: str, request: Request) -> Enrollment:
    """Creates the secret of a one-time password, and replaces one that was not confirmed.

    Logins require it only after `:confirm-one-time-password`.
    """

    def change(unit: Unit) -> Enrollment:
        row = _user(unit, user, "enroll-one-time-password")
        _refuse_if_enrolled(unit, row)
        sealer = unit.platform.part(open_sealer)
        secret, uri = one_time_passwords.enroll(unit.connection, sealer, row.id, row.name)
        return Enrollment(secret=secret, uri=uri, qr_code=one_time_passwords.qr_code(uri))

    return await ctx.write(change)


@USER.action(
    "confirm-one-time-password",
    request=Confirmation,
    result=RecoveryCodes,
    role=Role.ADMIN,
    own=True,
    secret=True,
    past="one_time_password_confirmed",
    versioned=True,
)
async def confirm_one_time_password(ctx: Context, user: str, request: Confirmation) -> RecoveryCodes:
    """Makes logins require the one-time password if the code is right, and returns recovery codes."""

    def change(unit: Unit) -> RecoveryCodes:
        row = _user(unit, user, "confirm-one-time-password")
        _refuse_if_enrolled(unit, row)
        sealer = unit.platform.part(open_sealer)
        codes = one_time_passwords.confirm(unit.connection, sealer, row.id, request.code)
        if codes is None:
            fault = {"pointer": "/code", "detail": "does not belong to the secret that was returned last"}
            raise InvalidPayload("The code is wrong. Send the one that your app shows now.", errors=[fault])
        return RecoveryCodes(recovery_codes=codes)

    return await ctx.write(change)


@USER.action(
    "disable-one-time-password",
    request=Disabling,
    result=OneTimePasswordState,
    role=Role.ADMIN,
    own=True,
    past="one_time_password_disabled",
    versioned=True,
)
async def disable_one_time_password(ctx: Context, user: str, request: Disabling) -> OneTimePasswordState:
    """Lets a user log in without a one-time password.

    Users do this for themselves with a code, and admins for users who lost their app.
    """

    def change(unit: Unit) -> OneTimePasswordState:
        row = _user(unit, user, "disable-one-time-password")
        if row.id == unit.principal.id:
            if password_policy.load(unit.connection).mfa_required:
                raise Conflict("The platform requires one-time passwords. Ask an admin if yours is lost.")
            _prove(unit, row, request.code)
        one_time_passwords.disable(unit.connection, row.id)
        return OneTimePasswordState(has_one_time_password=False)

    return await _throttled(ctx, change)


@USER.action(
    "renew-recovery-codes",
    request=CodeProof,
    result=RecoveryCodes,
    role=Role.ADMIN,
    own=True,
    secret=True,
    past="recovery_codes_renewed",
    versioned=True,
)
async def renew_recovery_codes(ctx: Context, user: str, request: CodeProof) -> RecoveryCodes:
    """Returns new recovery codes of the caller, and ends the old ones. No caller can renew those of another user."""

    def change(unit: Unit) -> RecoveryCodes:
        row = _user(unit, user, "renew-recovery-codes")
        if row.id != unit.principal.id:
            raise denied(USER.permission("renew-recovery-codes"))
        if not _is_enrolled(unit, row):
            raise Conflict("You have no one-time password that recovery codes could replace. Set one up first.")
        _prove(unit, row, request.code)
        return RecoveryCodes(recovery_codes=one_time_passwords.renew_codes(unit.connection, row.id))

    return await _throttled(ctx, change)


async def _throttled(ctx: Context, change: Callable[[Unit], R]) -> R:
    """Runs a change that requires a code, and delays repeated failures, so that a stolen login can't guess a code."""
    await ctx.query(throttle.refuse_if_waiting, throttle.confirmation(ctx.principal.id))
    try:
        return await ctx.write(change)
    except WrongCode:
        await ctx.platform.workers.write.run(_count_failure, ctx)
        raise


def _count_failure(ctx: Context) -> None:
    with ctx.platform.database.write() as connection:
        throttle.note(connection, throttle.confirmation(ctx.principal.id))


def _user(unit: Unit, id: str, verb: str) -> Stored:
    row = own_or_permitted(unit, id, verb, lock=True)
    if not (row.id == unit.principal.id and _must_enroll(unit)):
        escalation.require_control(unit, row.id)
    unit.subject(row)
    return row


def _must_enroll(unit: Unit) -> bool:
    """Returns whether the login only allows this setup. The password has then proved the user's identity."""
    login = session_tokens.session_of(unit.connection, unit.principal.token_id)
    return login.kind is TokenKind.SESSION and tuple(login.scopes) == ENROLLING


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
