"""Vending: temporary credentials for one path of an external location, each with a lease."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.services.connections.kinds.external_location import EXTERNAL_LOCATION
from api.services.connections.kinds.lease import LEASE, Lease, LeaseForm
from api.services.connections.logic.opened_location import OpenedLocation, opened_location
from api.services.connections.logic.storage_urls import checked_path
from api.services.connections.storage_tables import CREDENTIAL_LEASE as TABLE
from connectors import asking
from connectors.registry import S3_LOCATION
from connectors.storage import Access, Vended, Vending
from core.errors import Conflict
from core.ids import new_id

_VERBS = {Access.READ: "vend-read", Access.READ_WRITE: "vend-write"}

Seconds = Annotated[int, Field(ge=900, le=3600)]
"""Seconds until a credential expires. Token services make none that end earlier than after 15 minutes."""


class Vend(Request):
    """What a temporary credential opens."""

    path: Annotated[str, Field(max_length=700, examples=["2026/"])] = ""
    """Path below the location. A folder ends with a slash, or is empty for the whole location; anything else is one
    object."""

    form: Annotated[LeaseForm, Field(strict=False)] = LeaseForm.KEYS
    """KEYS, or URLS of one object. Without a role in the storage credential, a store can only make URLS."""

    seconds: Seconds = 900
    """Seconds until it expires."""


class Renewal(Request):
    """How long the renewed credential lives."""

    seconds: Seconds = 900
    """Seconds until it expires."""


class TemporaryKeys(Model):
    """Temporary keys, as clients of S3 take them."""

    access_key_id: str
    """Id of the access key."""

    secret_access_key: str
    """Secret of the access key."""

    session_token: str
    """Token of the session, which the store asks for in addition."""


class VendedCredential(Model):
    """A temporary credential. It is returned once."""

    lease: Lease
    """Its lease, which stays when the credential is gone."""

    keys: TemporaryKeys | None
    """Temporary keys. Null if URLs were asked for."""

    urls: dict[str, str]
    """URLs of the object by HTTP method. Empty if keys were asked for."""

    bucket: str
    """Bucket."""

    key: str
    """What the keys of all opened objects begin with, or the key of the one object."""

    region: str
    """Region of the bucket."""

    endpoint: str
    """Address of the store. Empty for Amazon's."""

    path_style: bool
    """Whether the bucket is a part of the path."""

    expires_at: datetime
    """Time after which the store no longer accepts it."""


@EXTERNAL_LOCATION.action(
    "vend-read", request=Vend, result=VendedCredential, secret=True, outside=True, timeout_seconds=90, past="vended"
)
async def vend_read_credential(ctx: Context, external_location: str, request: Vend) -> VendedCredential:
    """Vends a temporary credential that reads one folder or object of a location and opens nothing else.

    The key of the storage credential is never returned.
    """
    return await _vend(ctx, external_location, request, Access.READ)


@EXTERNAL_LOCATION.action(
    "vend-write",
    request=Vend,
    result=VendedCredential,
    secret=True,
    outside=True,
    timeout_seconds=90,
    past="write_vended",
)
async def vend_write_credential(ctx: Context, external_location: str, request: Vend) -> VendedCredential:
    """Vends a temporary credential that reads, writes, and deletes in one folder or object of a location.

    Refused for locations that are read-only.
    """
    return await _vend(ctx, external_location, request, Access.READ_WRITE)


@LEASE.action("renew", request=Renewal, result=VendedCredential, secret=True, outside=True, own=True, past="renewed")
async def renew_lease(ctx: Context, lease: str, request: Renewal) -> VendedCredential:
    """Vends a new credential for the path of an own lease, which then expires later.

    The former credential stays valid until it expires. Refused if the lease is revoked, or if the caller may no longer
    use the location.
    """

    def read(unit: Unit) -> Row:
        row = unit.connection.execute(TABLE.select().where(TABLE.c.id == lease, LEASE.visible(unit))).first()
        if row is None:
            raise LEASE.unknown(lease)
        _require_renewable(row, unit)
        return row

    row = await ctx.read(read)
    access = Access(row.access)
    found = await opened_location(ctx, row.external_location_id, _VERBS[access])
    repeated = Vend(path=row.path, form=LeaseForm(row.form), seconds=request.seconds)
    vended = await _vended(found, repeated, access, row.id)

    def store(unit: Unit) -> VendedCredential:
        _require_right(unit, found, access)
        current = unit.connection.execute(TABLE.select().where(TABLE.c.id == row.id).with_for_update()).one()
        _require_renewable(current, unit)
        unit.creates(row.id, LEASE.place(unit, current))
        expires_at = datetime.fromisoformat(vended.expires_at)
        renewed = LEASE.change(unit, current, key_id=vended.key_id, expires_at=expires_at, renewed_at=unit.now)
        return _answer(found, repeated, vended, renewed)

    return await ctx.write(store)


async def _vend(ctx: Context, id: str, request: Vend, access: Access) -> VendedCredential:
    checked_path(request.path, "/path")
    found = await opened_location(ctx, id, _VERBS[access])
    lease_id = new_id(LEASE.prefix)
    vended = await _vended(found, request, access, lease_id)

    def store(unit: Unit) -> VendedCredential:
        location = _require_right(unit, found, access)
        unit.call.note(lease=lease_id, path=request.path, form=request.form.value)
        values = {
            "id": lease_id,
            "organization_id": location.organization_id,
            "project_id": location.project_id,
            "external_location_id": location.id,
            "storage_credential_id": found.credential.id,
            "url": found.location.url + request.path,
            "path": request.path,
            "access": access.value,
            "form": request.form.value,
            "key_id": vended.key_id,
            "principal_id": unit.principal.id,
            "created_at": unit.now,
            "created_by": unit.principal.name,
            "expires_at": datetime.fromisoformat(vended.expires_at),
        }
        unit.connection.execute(TABLE.insert().values(values))
        row = unit.connection.execute(TABLE.select().where(TABLE.c.id == lease_id)).one()
        return _answer(found, request, vended, LEASE.item(unit, row))

    # The credential is returned only if its lease is stored.
    return await ctx.write(store)


async def _vended(found: OpenedLocation, request: Vend, access: Access, session: str) -> Vended:
    if access is Access.READ_WRITE and found.location.read_only:
        raise Conflict(f"{found.location.name} is read-only. Ask for a credential that reads.")
    vending = Vending(request.path, access, request.seconds, session)
    urls = request.form is LeaseForm.URLS
    return await asking.vend(S3_LOCATION, found.config, found.egress, vending, urls=urls)


def _require_right(unit: Unit, found: OpenedLocation, access: Access) -> Row:
    """Requires the right again, in the transaction of the lease: it may have been withdrawn meanwhile."""
    return EXTERNAL_LOCATION.row(unit, found.location.id, _VERBS[access])


def _require_renewable(row: Row, unit: Unit) -> None:
    if row.principal_id != unit.principal.id:
        raise Conflict("The lease belongs to another principal. Ask the location for a credential of your own.")
    if row.revoked_at is not None:
        raise Conflict(f"The lease {row.id} is revoked. Ask the location for another credential.")


def _answer(found: OpenedLocation, request: Vend, vended: Vended, lease: Lease) -> VendedCredential:
    keys = request.form is LeaseForm.KEYS
    config: Any = found.config
    return VendedCredential(
        lease=lease,
        keys=TemporaryKeys(**vended.values) if keys else None,
        urls={} if keys else dict(vended.values),
        bucket=config.bucket,
        key=config.prefix + request.path,
        region=config.region,
        endpoint=config.endpoint,
        path_style=config.path_style,
        expires_at=lease.expires_at,
    )
