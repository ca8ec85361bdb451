"""Service accounts: principals for programs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel.credentials import accounts
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.kinds import escalation
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.permissions.power import Power
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.roles import Role
from api.kernel.tables import TOKEN
from api.services.admin.logic import key_life


class ServiceAccountState(StrEnum):
    """State of a service account. Keys of a SUSPENDED one don't work."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class ServiceAccountSpec(Spec):
    """A service account."""

    description: Text = ""
    """Program that uses the account."""

    key_days: Annotated[int, Field(ge=1, le=3660)] = 90
    """Maximum days until its keys expire, counted from when each was issued. A lower value shortens existing keys."""


class ServiceAccountStatus(Status):
    """State of a service account."""

    state: ServiceAccountState = ServiceAccountState.ACTIVE
    """Whether its keys work."""


class ServiceAccount(Resource[ServiceAccountSpec, ServiceAccountStatus]):
    """A principal for a program, which authenticates with API keys. It belongs to a project and has no password."""


SERVICE_ACCOUNT = ResourceKind(
    ServiceAccount,
    plural="service-accounts",
    prefix="sva",
    level=Level.PROJECT,
    writers=Role.ADMIN,
    powers={
        "create": Power.NOTHING,
        "update": Power.NOTHING,
        "delete": Power.NOTHING,
        "restore": Power.ACTS_AS,
        "suspend": Power.NOTHING,
        "activate": Power.ACTS_AS,
    },
)


@SERVICE_ACCOUNT.before("restore", "activate")
def require_account_rights(unit: Unit, account: ServiceAccount) -> None:
    """Requires the rights of the account, because it holds them again."""
    escalation.require_control(unit, account.id)


@SERVICE_ACCOUNT.after("create")
def open_account(unit: Unit, account: ServiceAccount) -> None:
    """Creates the account. Its login name is its id, because its name is unique only in its project."""
    assert account.organization_id is not None
    identity = (account.id, PrincipalKind.SERVICE_ACCOUNT, account.id, account.organization_id)
    accounts.insert(unit.connection, Account(*identity, AccountState.ACTIVE, None, False, None, unit.now))


@SERVICE_ACCOUNT.after("update")
def shorten_keys(unit: Unit, account: ServiceAccount) -> None:
    """Applies a lower `key_days` to existing keys."""
    if key_life.shorten(unit.connection, TOKEN.c.principal_id == account.id, account.spec.key_days, unit.now):
        unit.forget()


@SERVICE_ACCOUNT.after("delete")
def close_account(unit: Unit, account: ServiceAccount) -> None:
    """Ends the keys of the account immediately."""
    accounts.change(unit.connection, account.id, state=AccountState.DELETED.value)
    keys = TOKEN.update().where(TOKEN.c.principal_id == account.id, TOKEN.c.revoked_at.is_(None))
    unit.connection.execute(keys.values(revoked_at=unit.now))
    unit.rights_changed()


@SERVICE_ACCOUNT.after("restore")
def reopen_account(unit: Unit, account: ServiceAccount) -> None:
    """Reopens the account. It needs new keys."""
    accounts.change(unit.connection, account.id, state=account.status.state.value)
    unit.rights_changed()


@SERVICE_ACCOUNT.transition(
    "suspend",
    request=Request,
    sources=(ServiceAccountState.ACTIVE,),
    to=ServiceAccountState.SUSPENDED,
    past="suspended",
)
def suspend_service_account(unit: Unit, account: ServiceAccount, request: Request) -> None:
    """Suspends a service account. Its keys stop working immediately."""
    accounts.change(unit.connection, account.id, state=AccountState.SUSPENDED.value)
    unit.rights_changed()


@SERVICE_ACCOUNT.transition(
    "activate",
    request=Request,
    sources=(ServiceAccountState.SUSPENDED,),
    to=ServiceAccountState.ACTIVE,
    past="activated",
)
def activate_service_account(unit: Unit, account: ServiceAccount, request: Request) -> None:
    """Lets the keys of a suspended service account work again."""
    accounts.change(unit.connection, account.id, state=AccountState.ACTIVE.value)
    unit.rights_changed()
