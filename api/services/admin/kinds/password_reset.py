"""Resets of forgotten passwords through a mailed link."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.credentials import throttle, tokens
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.admin.kinds.password_change import PasswordChanged
from api.services.admin.kinds.session import SESSION, Secret
from api.services.admin.kinds.user import MailedToken
from api.services.admin.logic import credentials, password_policy, resetting
from core.errors import Conflict


class ResetRequest(Request):
    """A request to reset a password."""

    name: Annotated[str, Field(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f]+$", examples=["ada@example.org"])]
    """Login name or mail address of the account."""


class ResetRequested(Model):
    """Confirmation that a mail is sent if the account exists."""

    minutes: int
    """Minutes for which the link in the mail works."""


class PasswordReset(Request):
    """A new password in place of a forgotten one."""

    token: MailedToken
    """Token of the link: the part after `#`."""

    new_password: Secret
    """The new password."""


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
    """Mails a link to reset a forgotten password to an address of the account. Previous links end.

    The response and its time are the same whether the account exists or not. Only active users with an address and a
    password get a mail. Users of an identity provider reset their password there. Repeated requests are delayed.
    """
    if ctx.platform.mailer is None:
        raise Conflict("The platform sends no mail. Ask an admin to set a new password for you.")
    attempt = throttle.password_reset(request.name.lower(), ctx.client)
    await ctx.query(throttle.refuse_if_waiting, attempt)
    first, *others = await ctx.query(resetting.owners, request.name)

    def change(unit: Unit) -> ResetRequested:
        throttle.note(unit.connection, attempt)
        ctx.subject, ctx.securable = first.id, first.place
        for owner in (first, *others):
            resetting.prepare(unit, owner)
        for owner in others:
            details = {"action": ctx.endpoint.permission, "outcome": "succeeded", "client": ctx.client}
            unit.emit(ctx.endpoint.event, owner.id, owner.place, **details)
        return ResetRequested(minutes=int(resetting.LINK_LIFETIME.total_seconds()) // 60)

    return await ctx.write(change)


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
    """Sets a password with the token of a mailed link, and ends all logins with the old password. A token works once.

    It doesn't log the user in. The next login asks for their one-time password if they have one.
    """
    digest = tokens.digest_of(request.token)
    account = await ctx.query(resetting.require_open, digest)
    hashed = await password_policy.new_hash(ctx, request.new_password, account_id=account.id, pointer="/new_password")
    await credentials.identify(ctx, account)

    def change(unit: Unit) -> PasswordChanged:
        ctx.subject = account.id
        resetting.use(unit.connection, digest)
        password_policy.set_password(unit.connection, account.id, hashed)
        throttle.clear(unit.connection, account.id, ctx.client)
        tokens.end_logins(unit.connection, account.id)
        unit.forget()
        return PasswordChanged(user=account.name, password_changed_at=unit.now)

    return await ctx.write(change)
