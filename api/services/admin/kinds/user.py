"""Users: people who may log in."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import accounts, passwords, tokens
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit, denied
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.access import pattern_matches
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.roles import Role
from api.kernel.storage.store import Stored, find
from api.kernel.tables import PRINCIPAL, TOKEN
from api.services.admin.logic import password_policy
from api.services.admin.logic.lockout import refuse_lockout
from api.services.admin.login_tables import PASSWORD_RESET

LOGIN_NAME = r"[a-z][a-z0-9._@+-]{0,127}"
Email = Annotated[
    str, Field(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$", examples=["ada@example.org"])
]
Password = Annotated[str, Field(max_length=passwords.LONGEST, json_schema_extra={"format": "password"})]


class UserState(StrEnum):
    """A SUSPENDED user keeps name, grants and history, but no login and no key of his works."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class UserSpec(Spec):
    """Who a user is."""

    title: Title | None = None
    """Name for people."""

    emails: Annotated[list[Email], Field(max_length=20)] = []
    """Addresses, the first one is the main one."""

    external_id: Annotated[str, Field(max_length=256)] | None = None
    """How his identity provider calls him."""

    identity_provider_id: Annotated[str, Field(max_length=64)] | None = None
    """The identity provider that answers for him; null if he has a password here."""


class UserStatus(Status):
    """How a user is."""

    state: UserState = UserState.ACTIVE
    """Whether he may log in."""

    directory: dict[str, Any] = {}
    """What a directory says of him by SCIM, as it wrote it: other names, addresses, employment."""


class User(Resource[UserSpec, UserStatus]):
    """A person who may log in. What he may do is in the grants to him and to his groups."""


class PendingReset(Model):
    """A link to reset a forgotten password, which was not used yet."""

    requested_at: datetime
    """When somebody asked for it."""

    expires_at: datetime
    """When it ends by itself."""

    mailed_at: datetime | None
    """When the mail with it was handed to the mail server; null while it was not."""

    mail_problem: str | None
    """Why it was not mailed yet; null if it was, or is about to be."""


class UserAccount(Model):
    """How a user logs in."""

    last_login_at: datetime | None
    """When he last logged in."""

    has_password: bool
    """Whether he has a password here."""

    password_changed_at: datetime | None
    """When it was last set."""

    password_reset_required: bool
    """Whether he must set another one at his next login."""

    has_one_time_password: bool
    """Whether logins also need a one-time password."""

    password_reset: PendingReset | None
    """The link that he was sent because he forgot his password; null if there is none that he can use."""


class SetPassword(Request):
    """A password to set."""

    password: Password
    """The new password."""


USER = ResourceKind(
    User,
    plural="users",
    prefix="usr",
    level=Level.ORGANIZATION,
    named=True,
    name=LOGIN_NAME,
    filter_by=("spec.external_id", "spec.emails", "spec.identity_provider_id"),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
)


@USER.after("create")
def open_account(unit: Unit, user: User) -> None:
    """A new user can log in as soon as he has a password or an identity provider."""
    assert user.organization_id is not None
    identity = (user.id, PrincipalKind.USER, user.name, user.organization_id)
    accounts.insert(unit.connection, Account(*identity, AccountState.ACTIVE, None, False, None, unit.now))


@USER.after("update")
def rename_account(unit: Unit, user: User) -> None:
    """The login name is the user's name."""
    accounts.change(unit.connection, user.id, name=user.name)
    unit.rights_changed()


@USER.after("delete")
def close_account(unit: Unit, user: User) -> None:
    """Logins and keys end at once; the name is free again."""
    accounts.change(unit.connection, user.id, state=AccountState.DELETED.value, name=user.id)
    _end_tokens(unit, user, keys=True)
    refuse_lockout(unit)


@USER.after("restore")
def reopen_account(unit: Unit, user: User) -> None:
    """A restored user logs in anew: his old logins and keys stay ended."""
    accounts.change(unit.connection, user.id, state=user.status.state.value, name=user.name)


@USER.transition("suspend", request=Request, sources=(UserState.ACTIVE,), to=UserState.SUSPENDED, past="suspended")
def suspend_user(unit: Unit, user: User, request: Request) -> None:
    """Suspends a user: at once, no login and no key of his works. The last admin cannot be suspended."""
    accounts.change(unit.connection, user.id, state=AccountState.SUSPENDED.value)
    unit.rights_changed()
    refuse_lockout(unit)


@USER.transition("activate", request=Request, sources=(UserState.SUSPENDED,), to=UserState.ACTIVE, past="activated")
def activate_user(unit: Unit, user: User, request: Request) -> None:
    """Lets a suspended user in again, with the logins and keys that have not expired."""
    accounts.change(unit.connection, user.id, state=AccountState.ACTIVE.value)
    unit.rights_changed()


@USER.command("require-reset", request=Request, result=UserAccount, past="reset_required")
def require_reset(unit: Unit, user: User, request: Request) -> UserAccount:
    """Makes a user set another password at his next login, and ends his logins now."""
    accounts.change(unit.connection, user.id, password_reset_required=True)
    _end_tokens(unit, user)
    return _account(unit, user.id)


@USER.command("revoke-sessions", request=Request, result=UserAccount, past="sessions_revoked")
def revoke_sessions(unit: Unit, user: User, request: Request) -> UserAccount:
    """Ends every login of a user, everywhere and at once. His API keys stay."""
    _end_tokens(unit, user)
    return _account(unit, user.id)


@USER.part("account", query=Query, result=UserAccount, role=Role.ADMIN, own=True)
async def get_user_account(ctx: Context, user: str, query: Query) -> UserAccount:
    """Returns how a user logs in: last login, state of his password and of his one-time password."""
    return await ctx.read(lambda unit: _account(unit, own_or_permitted(unit, user, "account").id))


def own_or_permitted(unit: Unit, id: str, verb: str, *, lock: bool = False) -> Stored:
    """The caller's own row, or that of somebody for whom he may do this."""
    permission = USER.permission(verb)
    row = find(unit.connection, USER.full_name, id, named=True, lock=lock)
    if row is None or row.id != unit.principal.id or row.deleted_at is not None:
        return unit.row(USER, id, permission=permission)
    limits = unit.principal.access.limits
    if limits and not any(pattern_matches(pattern, permission) for pattern in limits):
        # A key made for something else must not touch how its user logs in.
        raise denied(permission)
    return row


@USER.action("set-password", request=SetPassword, result=UserAccount, role=Role.ADMIN, past="password_set")
async def set_password(ctx: Context, user: str, request: SetPassword) -> UserAccount:
    """Sets a user's password and ends his logins."""
    permission = USER.permission("set-password")
    account = await ctx.read(lambda unit: unit.row(USER, user, permission=permission).id)
    digest = await password_policy.new_hash(ctx, request.password, account_id=account)

    def work(unit: Unit) -> UserAccount:
        row = unit.row(USER, user, permission=permission)
        unit.subject(row)
        found = USER.resource(row)
        store_password(unit, found, digest)
        return _account(unit, found.id)

    return await ctx.write(work)


def store_password(unit: Unit, user: User, digest: str) -> None:
    """Makes this the hash of a user's password, and ends his logins."""
    password_policy.set_password(unit.connection, user.id, digest)
    _end_tokens(unit, user)


def _end_tokens(unit: Unit, user: User, *, keys: bool = False) -> None:
    tokens.end_logins(unit.connection, user.id)
    if keys:
        ours = TOKEN.update().where(TOKEN.c.principal_id == user.id, TOKEN.c.revoked_at.is_(None))
        unit.connection.execute(ours.values(revoked_at=unit.now))
    unit.rights_changed()


def _account(unit: Unit, id: str) -> UserAccount:
    row = unit.connection.execute(sa.select(PRINCIPAL).where(PRINCIPAL.c.id == id)).one()
    columns = [PASSWORD_RESET.c[name] for name in PendingReset.model_fields]
    open_link = sa.select(*columns).where(PASSWORD_RESET.c.id == id, PASSWORD_RESET.c.expires_at > unit.now)
    link = unit.connection.execute(open_link).first()
    return UserAccount(
        last_login_at=row.last_login_at,
        has_password=row.password_hash is not None,
        password_changed_at=row.password_changed_at,
        password_reset_required=row.password_reset_required,
        has_one_time_password=row.one_time_password is not None,
        password_reset=PendingReset(**link._mapping) if link else None,
    )
