"""Accounts of users: passwords, resets, and logins."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from api.kernel.credentials import accounts
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.patterns import pattern_matches
from api.kernel.roles import Role
from api.kernel.storage.store import Stored, find
from api.kernel.tables import PRINCIPAL
from api.services.admin.kinds.user import USER, Password, User, end_tokens
from api.services.admin.logic import password_policy
from api.services.admin.login_tables import PASSWORD_RESET


class PendingReset(Model):
    """A link to reset a forgotten password that was not used yet."""

    requested_at: datetime
    """Time of the request."""

    expires_at: datetime
    """Time at which the link expires."""

    mailed_at: datetime | None
    """Time at which the mail server accepted the mail. Null until then."""

    mail_problem: str | None
    """Why the mail could not be sent. Null if it was sent or is waiting."""


class UserAccount(Model):
    """How a user logs in."""

    login_name: str
    """Name to log in with: that of the organization and the user's. The latter is enough if they had it first."""

    last_login_at: datetime | None
    """Time of the last login."""

    has_password: bool
    """Whether the user has a password."""

    password_changed_at: datetime | None
    """Time at which the password was last set."""

    password_reset_required: bool
    """Whether the user must set a new password at the next login."""

    has_one_time_password: bool
    """Whether logins require a one-time password."""

    password_reset: PendingReset | None
    """Link to reset the forgotten password. Null if there is no valid one."""


class SetPassword(Request):
    """A password to set."""

    password: Password
    """The new password."""


@USER.command("require-reset", request=Request, result=UserAccount, past="reset_required")
def require_reset(unit: Unit, user: User, request: Request) -> UserAccount:
    """Makes a user set a new password at the next login, and ends their logins now."""
    accounts.change(unit.connection, user.id, password_reset_required=True)
    end_tokens(unit, user)
    return account_of(unit, user.id)


@USER.part("account", query=Query, result=UserAccount, role=Role.ADMIN, own=True)
async def get_user_account(ctx: Context, user: str, query: Query) -> UserAccount:
    """Returns how a user logs in: last login, and state of the password and one-time password."""
    return await ctx.read(lambda unit: account_of(unit, own_or_permitted(unit, user, "account").id))


def own_or_permitted(unit: Unit, id: str, verb: str, *, lock: bool = False) -> Stored:
    """Returns the caller's own row, or that of a user on whom they have the permission."""
    permission = USER.permission(verb)
    row = find(unit.connection, USER.full_name, id, within=USER.names_in(unit.principal), lock=lock)
    if row is None or row.id != unit.principal.id or row.deleted_at is not None:
        return unit.row(USER, id, permission=permission)
    limits = unit.principal.access.limits
    if limits and not any(pattern_matches(pattern, permission) for pattern in limits):
        # A key that is limited to other permissions must not change how its user logs in.
        raise denied(permission)
    return row


@USER.action(
    "set-password", request=SetPassword, result=UserAccount, role=Role.ADMIN, past="password_set", versioned=True
)
async def set_password(ctx: Context, user: str, request: SetPassword) -> UserAccount:
    """Sets a user's password and ends their logins."""
    permission = USER.permission("set-password")

    def require_rights(unit: Unit) -> str:
        row = unit.row(USER, user, permission=permission)
        # Before the password is compared with former ones, because the result discloses them.
        escalation.require_control(unit, row.id)
        return row.id

    account = await ctx.read(require_rights)
    digest = await password_policy.new_hash(ctx, request.password, account_id=account)

    def change(unit: Unit) -> UserAccount:
        row = unit.row(USER, user, permission=permission)
        unit.subject(row)
        target = USER.resource(row)
        store_password(unit, target, digest)
        return account_of(unit, target.id)

    return await ctx.write(change)


def store_password(unit: Unit, user: User, digest: str) -> None:
    """Stores the hash of a user's password, and ends their logins.

    Raises:
        ExceedsRights: The user holds rights that the caller does not hold.
    """
    escalation.require_control(unit, user.id)
    password_policy.set_password(unit.connection, user.id, digest)
    end_tokens(unit, user)


def account_of(unit: Unit, id: str) -> UserAccount:
    """Returns how a user logs in."""
    row = unit.connection.execute(sa.select(PRINCIPAL).where(PRINCIPAL.c.id == id)).one()
    columns = [PASSWORD_RESET.c[name] for name in PendingReset.model_fields]
    open_link = sa.select(*columns).where(PASSWORD_RESET.c.id == id, PASSWORD_RESET.c.expires_at > unit.now)
    link = unit.connection.execute(open_link).first()
    return UserAccount(
        login_name=accounts.login_name(unit.connection, id),
        last_login_at=row.last_login_at,
        has_password=row.password_hash is not None,
        password_changed_at=row.password_changed_at,
        password_reset_required=row.password_reset_required,
        has_one_time_password=row.one_time_password is not None,
        password_reset=PendingReset(**link._mapping) if link else None,
    )
