"""Changes of a user's own password."""

from __future__ import annotations

from datetime import datetime

from api.kernel.credentials import tokens
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.admin.kinds.session import SESSION, Code, LoginName, Secret
from api.services.admin.logic import credentials, password_policy
from core.errors import InvalidPayload


class PasswordChange(Request):
    """A change of the caller's password."""

    name: LoginName
    """Login name, or `organization/name`. A name without organization is that of the first user who had it."""

    password: Secret
    """The present password."""

    new_password: Secret
    """The new password."""

    one_time_password: Code = ""
    """Code of the user's authenticator app, or a recovery code. Required if the user has a one-time password."""


class PasswordChanged(Model):
    """Result of a password change."""

    user: str
    """Login name of the user."""

    password_changed_at: datetime
    """Time of the change."""


@SESSION.collection_action(
    "change-password",
    request=PasswordChange,
    result=PasswordChanged,
    role=Role.VIEWER,
    public=True,
    secret=True,
    past="password_changed",
    name="change_password",
)
async def change_password(ctx: Context, request: PasswordChange) -> PasswordChanged:
    """Changes the caller's password, also one that must be changed before the next login, and ends all their logins.

    The response and its time are the same whichever credential is wrong. Repeated failures are delayed.
    """
    checked = await credentials.check(ctx, request.name, request.password, request.one_time_password)
    account = checked.account
    if request.new_password == request.password:
        fault = {"pointer": "/new_password", "detail": "is the present password"}
        raise InvalidPayload("Choose a password that differs from the present one.", errors=[fault])
    digest = await password_policy.new_hash(ctx, request.new_password, account_id=account.id, pointer="/new_password")

    def change(unit: Unit) -> PasswordChanged:
        ctx.subject = account.id
        credentials.accept(unit.connection, checked, ctx.client)
        password_policy.set_password(unit.connection, account.id, digest)
        tokens.end_logins(unit.connection, account.id)
        unit.forget()
        return PasswordChanged(user=account.name, password_changed_at=unit.now)

    return await ctx.write(change)
