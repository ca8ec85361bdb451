"""Users who can log in."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from api.kernel import references
from api.kernel.credentials import accounts, passwords, tokens
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.kinds import escalation
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.permissions.power import Power
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.roles import Role
from api.kernel.storage.store import find
from api.kernel.tables import TOKEN
from core.errors import InvalidPayload

_IDENTITY_FIELDS = ("emails", "external_id", "identity_provider_id")
"""Fields that open the account: links go to addresses, and external identities log in."""

LOGIN_NAME = r"[a-z][a-z0-9._@+-]{0,127}"
Email = Annotated[
    str, Field(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$", examples=["ada@example.org"])
]
MailedToken = Annotated[str, Field(max_length=200, json_schema_extra={"format": "password"})]
"""The token of a link in a message, which works once."""

Password = Annotated[str, Field(max_length=passwords.MAX_LENGTH, json_schema_extra={"format": "password"})]


class UserState(StrEnum):
    """State of a user. The logins and keys of a SUSPENDED one don't work. Their name, grants, and history stay."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class UserSpec(Spec):
    """A user."""

    title: Title | None = None
    """Display name."""

    emails: Annotated[list[Email], Field(max_length=20)] = []
    """Mail addresses. The first one is the primary address."""

    external_id: references.ExternalId | None = None
    """Id of the user at the identity provider."""

    identity_provider_id: references.IdentityProvider | None = None
    """Id of the identity provider that the user logs in with. Null if they use a password."""


class UserStatus(Status):
    """State of a user."""

    state: UserState = UserState.ACTIVE
    """Whether the user can log in."""

    directory: dict[str, Any] = {}
    """Attributes that a directory wrote by SCIM, unchanged: other names, addresses, employment."""


class User(Resource[UserSpec, UserStatus]):
    """A user who can log in. Grants to the user and to their groups define their rights."""


USER = ResourceKind(
    User,
    plural="users",
    prefix="usr",
    level=Level.ORGANIZATION,
    named=Level.ORGANIZATION,
    name=LOGIN_NAME,
    filter_by=("spec.external_id", "spec.emails", "spec.identity_provider_id"),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
    powers={
        "create": Power.NOTHING,
        "update": Power.ACTS_AS,
        "delete": Power.NOTHING,
        "restore": Power.ACTS_AS,
        "suspend": Power.NOTHING,
        "activate": Power.ACTS_AS,
        "set-password": Power.ACTS_AS,
        "require-reset": Power.NOTHING,
        "revoke-sessions": Power.NOTHING,
        "enroll-one-time-password": Power.ACTS_AS,
        "confirm-one-time-password": Power.ACTS_AS,
        "disable-one-time-password": Power.ACTS_AS,
        "renew-recovery-codes": Power.ACTS_AS,
    },
)


@USER.validate
def require_user_rights(unit: Unit, user: User, was: User | None) -> None:
    """Requires the rights of the user for a change of addresses or identities, because these open the account."""
    if was is not None and any(getattr(user.spec, name) != getattr(was.spec, name) for name in _IDENTITY_FIELDS):
        escalation.require_control(unit, user.id)


@USER.validate
def require_provider(unit: Unit, user: User, was: User | None) -> None:
    """Refuses an identity provider that does not exist, with which the user could never log in."""
    provider = user.spec.identity_provider_id
    if provider is None or (was is not None and was.spec.identity_provider_id == provider):
        return
    row = find(unit.connection, "admin.identity_provider", provider, within=None)
    if row is None or row.deleted_at is not None or row.organization_id != user.organization_id:
        fault = {"pointer": "/spec/identity_provider_id", "detail": "is not an identity provider of the organization"}
        raise InvalidPayload(f"There is no identity provider {provider!r} in this organization.", errors=[fault])


@USER.before("restore", "activate")
def require_rights_of_reactivated(unit: Unit, user: User) -> None:
    """Requires the rights of the user, because they hold them again."""
    escalation.require_control(unit, user.id)


@USER.after("create")
def open_account(unit: Unit, user: User) -> None:
    """Creates the account. The user can log in once they have a password or an identity provider."""
    assert user.organization_id is not None
    identity = (user.id, PrincipalKind.USER, user.name, user.organization_id)
    accounts.insert(unit.connection, Account(*identity, AccountState.ACTIVE, None, False, None, unit.now))


@USER.after("update")
def rename_account(unit: Unit, user: User) -> None:
    """Renames the account, because the login name is the user's name."""
    accounts.rename(unit.connection, user.id, user.name, unit.now)
    unit.rights_changed()


@USER.after("delete")
def close_account(unit: Unit, user: User) -> None:
    """Ends logins and keys immediately, and frees the name."""
    accounts.change(unit.connection, user.id, state=AccountState.DELETED.value)
    accounts.rename(unit.connection, user.id, user.id, unit.now)
    end_tokens(unit, user, keys=True)
    unit.rights_changed()


@USER.after("restore")
def reopen_account(unit: Unit, user: User) -> None:
    """Reopens the account. Logins and keys that ended stay ended."""
    accounts.change(unit.connection, user.id, state=user.status.state.value)
    accounts.rename(unit.connection, user.id, user.name, unit.now)
    unit.rights_changed()


@USER.transition("suspend", request=Request, sources=(UserState.ACTIVE,), to=UserState.SUSPENDED, past="suspended")
def suspend_user(unit: Unit, user: User, request: Request) -> None:
    """Suspends a user. Their logins and keys stop working immediately. The last admin can't be suspended."""
    accounts.change(unit.connection, user.id, state=AccountState.SUSPENDED.value)
    unit.rights_changed()


@USER.transition("activate", request=Request, sources=(UserState.SUSPENDED,), to=UserState.ACTIVE, past="activated")
def activate_user(unit: Unit, user: User, request: Request) -> None:
    """Activates a suspended user, with the logins and keys that have not expired."""
    accounts.change(unit.connection, user.id, state=AccountState.ACTIVE.value)
    unit.rights_changed()


def end_tokens(unit: Unit, user: User, *, keys: bool = False) -> None:
    """Ends the logins of a user, and with `keys` their API keys."""
    tokens.end_logins(unit.connection, user.id)
    if keys:
        owned = TOKEN.update().where(TOKEN.c.principal_id == user.id, TOKEN.c.revoked_at.is_(None))
        unit.connection.execute(owned.values(revoked_at=unit.now))
    unit.forget()
