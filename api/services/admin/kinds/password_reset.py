"""Forgotten passwords: a link by mail instead of the password as it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.credentials import throttle, tokens
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.admin.kinds.session import SESSION, PasswordChanged, Secret
from api.services.admin.logic import credentials, password_policy, resetting
from core.errors import Conflict


class ResetRequest(Request):
    """Whose password was forgotten."""

    name: Annotated[str, Field(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f]+$", examples=["ada@example.org"])]
    """Login name, or an address of the account."""


class ResetRequested(Model):
    """What was promised: a mail, if there is such an account."""

    minutes: int
    """How long the link in the mail works."""


class PasswordReset(Request):
    """A password to take the place of a forgotten one."""

    token: Annotated[str, Field(max_length=200, json_schema_extra={"format": "password"})]
    """The token in the link: what stands behind its #."""

    new_password: Secret
    """The password as it shall be."""


@SESSION.collection_action(
    "request-password-reset",
    request=ResetRequest,
    result=ResetRequested,
    role=Role.VIEWER,
    public=True,
    past="password_reset_requested",
    name="request_password_reset",
)
async def request_password_reset(ctx: Context, request: ResetRequest) -> ResetRequested:
    """Mails a link to reset a forgotten password to an address of the account. An older link ends.

    Answers the same, and equally late, whether there is such an account or not. Only an active user with an address and
    a password gets a mail: who logs in through an identity provider resets his password there. Repeated requests are
    slowed down.
    """
    if ctx.platform.mailer is None:
        raise Conflict("The platform sends no mail. Ask an admin to set another password for you.")
    attempt = throttle.password_reset(request.name.lower(), ctx.client)
    await ctx.query(throttle.refuse_if_waiting, attempt)
    first, *others = await ctx.query(resetting.owners, request.name)

    def work(unit: Unit) -> ResetRequested:
        throttle.note(unit.connection, attempt)
        ctx.subject, ctx.securable = first.id, first.place
        for owner in (first, *others):
            resetting.prepare(unit, owner)
        for owner in others:
            facts = {"action": ctx.endpoint.permission, "outcome": "succeeded", "client": ctx.client}
            unit.emit(ctx.endpoint.event, owner.id, owner.place, **facts)
        return ResetRequested(minutes=int(resetting.LIFE.total_seconds()) // 60)

    return await ctx.write(work)


@SESSION.collection_action(
    "reset-password",
    request=PasswordReset,
    result=PasswordChanged,
    role=Role.VIEWER,
    public=True,
    secret=True,
    past="password_reset",
    name="reset_password",
)
async def reset_password(ctx: Context, request: PasswordReset) -> PasswordChanged:
    """Sets a password by the token of a mailed link, and ends all logins with the old one. It works once.

    It logs nobody in: who has a one-time password is asked for it at the login that follows.
    """
    digest = tokens.digest_of(request.token)
    account = await ctx.query(resetting.require_open, digest)
    hashed = await password_policy.new_hash(ctx, request.new_password, account_id=account.id, pointer="/new_password")
    await credentials.identify(ctx, account)

    def work(unit: Unit) -> PasswordChanged:
        ctx.subject = account.id
        resetting.use(unit.connection, digest)
        password_policy.set_password(unit.connection, account.id, hashed)
        throttle.clear(unit.connection, account.name, ctx.client)
        tokens.end_logins(unit.connection, account.id)
        unit.rights_changed()
        return PasswordChanged(user=account.name, password_changed_at=unit.now)

    return await ctx.write(work)
