"""Service accounts: programs that call the platform."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel.credentials import accounts
from api.kernel.credentials.accounts import Account, AccountState
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.roles import Role
from api.kernel.tables import TOKEN
from api.services.admin.logic.lockout import refuse_lockout


class ServiceAccountState(StrEnum):
    """No key of a SUSPENDED service account works."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class ServiceAccountSpec(Spec):
    """What a service account is."""

    description: Text = ""
    """What program it stands for."""

    key_days: Annotated[int, Field(ge=1, le=3660)] = 90
    """Days that its keys live at most."""


class ServiceAccountStatus(Status):
    """How it is."""

    state: ServiceAccountState = ServiceAccountState.ACTIVE
    """Whether its keys work."""


class ServiceAccount(Resource[ServiceAccountSpec, ServiceAccountStatus]):
    """A program that calls the platform with API keys. It has no password and belongs to a project."""


SERVICE_ACCOUNT = ResourceKind(
    ServiceAccount, plural="service-accounts", prefix="sva", level=Level.PROJECT, writers=Role.ADMIN
)


@SERVICE_ACCOUNT.after("create")
def open_account(unit: Unit, account: ServiceAccount) -> None:
    """Its login name holds its id, for its own name is unique in its project only."""
    assert account.organization_id is not None
    identity = (account.id, PrincipalKind.SERVICE_ACCOUNT, account.id, account.organization_id)
    accounts.insert(unit.connection, Account(*identity, AccountState.ACTIVE, None, False, None, unit.now))


@SERVICE_ACCOUNT.after("delete")
def close_account(unit: Unit, account: ServiceAccount) -> None:
    """Its keys end at once."""
    accounts.change(unit.connection, account.id, state=AccountState.DELETED.value)
    ours = TOKEN.update().where(TOKEN.c.principal_id == account.id, TOKEN.c.revoked_at.is_(None))
    unit.connection.execute(ours.values(revoked_at=unit.now))
    unit.rights_changed()
    refuse_lockout(unit)


@SERVICE_ACCOUNT.after("restore")
def reopen_account(unit: Unit, account: ServiceAccount) -> None:
    """It needs new keys."""
    accounts.change(unit.connection, account.id, state=account.status.state.value)


@SERVICE_ACCOUNT.transition(
    "suspend",
    request=Request,
    sources=(ServiceAccountState.ACTIVE,),
    to=ServiceAccountState.SUSPENDED,
    past="suspended",
)
def suspend_service_account(unit: Unit, account: ServiceAccount, request: Request) -> None:
    """Suspends a service account: at once, no key of it works."""
    accounts.change(unit.connection, account.id, state=AccountState.SUSPENDED.value)
    unit.rights_changed()
    refuse_lockout(unit)


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
