"""Leases: the temporary credentials that external locations have vended. No operation returns them again."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

import sqlalchemy as sa
from pydantic import Field, model_validator

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.references import RefersTo
from api.services.connections.kinds.external_location import EXTERNAL_LOCATION, StorageCredentialReference
from api.services.connections.kinds.storage_credential import STORAGE_CREDENTIAL
from api.services.connections.storage_tables import CREDENTIAL_LEASE as TABLE
from connectors.storage import Access
from core.errors import Conflict

LocationReference = Annotated[str, Field(max_length=128), RefersTo(("connections.external_location",))]
"""Id of an external location."""


class LeaseForm(StrEnum):
    """What was vended: temporary KEYS, or URLS of one object."""

    KEYS = "KEYS"
    URLS = "URLS"


class LeaseState(StrEnum):
    """State of a lease. A REVOKED one can't be renewed; the store accepts its credential until it expires."""

    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"
    REVOKED = "REVOKED"


class Lease(Model):
    """A temporary credential that an external location has vended, without its secret."""

    id: str
    """Id of the lease. The log of the store has it as the name of the session."""

    organization_id: str
    """Id of the organization."""

    project_id: str
    """Id of the project."""

    external_location_id: str
    """Id of the external location."""

    storage_credential_id: str
    """Id of the storage credential that it was made of."""

    url: str
    """What it opens: a folder, or one object."""

    access: Access
    """READ, or READ_WRITE."""

    form: LeaseForm
    """KEYS, or URLS."""

    state: LeaseState
    """ACTIVE, EXPIRED, or REVOKED."""

    key_id: str
    """Id of the vended access key, which the log of the store contains. Empty for URLs."""

    principal_id: str
    """Id of the principal that got it."""

    created_at: datetime
    """Time at which it was vended."""

    created_by: str
    """Name of the principal that got it. `former-organization` if the project belonged to another organization then."""

    expires_at: datetime
    """Time after which the store no longer accepts it."""

    renewed_at: datetime | None
    """Time of the last renewal. Null if it was never renewed."""

    revoked_at: datetime | None
    """Time at which it was revoked. Null if it wasn't."""

    revoked_by: str | None
    """Name of the principal that revoked it. Null if it wasn't revoked."""


class Revocation(Request):
    """Whose leases to revoke: exactly one of `external_location_id` and `storage_credential_id`."""

    external_location_id: LocationReference | None = None
    """Id of an external location."""

    storage_credential_id: StorageCredentialReference | None = None
    """Id or name of a storage credential."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.external_location_id is None) is (self.storage_credential_id is None):
            raise ValueError("needs exactly one of external_location_id and storage_credential_id")
        return self


class Revoked(Model):
    """Revoked leases."""

    count: int
    """Number of leases that were revoked."""

    accepted_until: datetime | None
    """Time until which the store may accept one of them. Null if there are none."""


def _item(unit: Unit, row: Row) -> Lease:
    state = LeaseState.REVOKED if row.revoked_at else LeaseState.ACTIVE
    if state is LeaseState.ACTIVE and row.expires_at <= unit.now:
        state = LeaseState.EXPIRED
    return Lease(**{name: row._mapping[name] for name in Lease.model_fields if name != "state"}, state=state)


LEASE = TableKind(
    Lease,
    TABLE,
    plural="leases",
    prefix="lea",
    owner="principal_id",
    filter_by=(
        *("external_location_id", "storage_credential_id", "principal_id", "project_id", "url", "access", "form"),
        *("key_id", "created_at", "expires_at", "revoked_at"),
    ),
    item=_item,
)


@LEASE.command("revoke", request=Request, result=Lease, past="revoked")
def revoke_lease(unit: Unit, lease: Row, request: Request) -> Lease:
    """Revokes a lease: it can't be renewed any more.

    Stores have no way to end one temporary key: they accept it until `expires_at`. To end it at once, change the role
    or the access key at the store.
    """
    if lease.revoked_at is not None:
        raise Conflict(f"The lease {lease.id} is revoked already.")
    return LEASE.change(unit, lease, revoked_at=unit.now, revoked_by=unit.principal.name)


@LEASE.collection_action("revoke-all", request=Revocation, result=Revoked, past="all_revoked")
async def revoke_leases(ctx: Context, request: Revocation) -> Revoked:
    """Revokes all leases of an external location or a storage credential that have not expired."""

    def revoke(unit: Unit) -> Revoked:
        if request.external_location_id is not None:
            location = EXTERNAL_LOCATION.row(unit, request.external_location_id)
            place, of_target = EXTERNAL_LOCATION.place(unit, location), TABLE.c.external_location_id == location.id
        else:
            credential = unit.row(STORAGE_CREDENTIAL, str(request.storage_credential_id))
            place, of_target = credential.securable, TABLE.c.storage_credential_id == credential.id
        unit.require(LEASE.permission("revoke"), place)
        unit.call.securable = place
        active = sa.and_(of_target, TABLE.c.revoked_at.is_(None), TABLE.c.expires_at > unit.now)
        last = unit.connection.execute(sa.select(sa.func.max(TABLE.c.expires_at)).where(active)).scalar()
        change = TABLE.update().where(active).values(revoked_at=unit.now, revoked_by=unit.principal.name)
        count = unit.connection.execute(change).rowcount
        unit.call.note(count=count)
        return Revoked(count=count, accepted_until=last)

    return await ctx.write(revoke)
