"""What external locations and storage credentials show: whether they work, what is there, and what uses them."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.placement import project_of_new
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.references import Project
from api.kernel.roles import Role
from api.services.connections.kinds.connection_discovery import Discover, DiscoveredPage, discovered
from api.services.connections.kinds.connection_test import ConnectionTestResult, test_result
from api.services.connections.kinds.external_location import (
    EXTERNAL_LOCATION,
    LocationUrl,
    overlapping,
    visible,
)
from api.services.connections.kinds.storage_credential import STORAGE_CREDENTIAL, StorageCredential
from api.services.connections.logic.opened_location import opened_credential, opened_location
from api.services.connections.logic.storage_urls import above, checked_path, normalized, parts
from api.services.connections.storage_tables import CREDENTIAL_LEASE
from api.services.connections.storage_tables import EXTERNAL_LOCATION as LOCATIONS
from connectors import asking
from connectors.connector import Listing
from connectors.registry import S3_CREDENTIAL, S3_LOCATION
from core.errors import NotFound


class OverlapCheck(Request):
    """A URL for a new location."""

    project_id: Project
    """Id of the project that the location would belong to."""

    url: LocationUrl
    """URL of the bucket or folder."""


class LocationName(Model):
    """An external location."""

    id: str
    """Id."""

    name: str
    """Name."""

    url: str
    """URL."""


class Overlaps(Model):
    """Locations that a URL overlaps."""

    url: str
    """The URL as it would be stored."""

    locations: list[LocationName]
    """Locations that the caller can see."""

    hidden: int
    """Number of locations that the caller can't see."""


class UrlToResolve(Request):
    """A URL."""

    url: LocationUrl
    """URL of a folder or an object."""


class ResolvedUrl(Model):
    """The location that a URL belongs to."""

    location: LocationName
    """The location."""

    path: str
    """Path below the location."""

    read_only: bool
    """Whether nothing may be written there."""


class Dependents(Model):
    """What uses a storage credential."""

    locations: list[LocationName]
    """External locations that the caller can see."""

    hidden: int
    """Number of external locations that the caller can't see."""

    active_leases: int
    """Number of leases that are neither expired nor revoked."""


@STORAGE_CREDENTIAL.action(
    "validate", request=Request, result=ConnectionTestResult, outside=True, timeout_seconds=90, past="validated"
)
async def validate_storage_credential(ctx: Context, storage_credential: str, request: Request) -> ConnectionTestResult:
    """Logs in with the key, and asks for temporary keys of its role that allow nothing."""
    found = await opened_credential(ctx, storage_credential, "validate")
    result = test_result(await asking.test(S3_CREDENTIAL, found.config, found.egress))
    ctx.note(passed=result.passed)
    return result


@STORAGE_CREDENTIAL.view("dependents", query=Query, result=Dependents)
def get_storage_credential_dependents(unit: Unit, credential: StorageCredential, query: Query) -> Dependents:
    """Returns what uses a storage credential, so that you know what a change of it affects."""
    using = sa.select(LOCATIONS).where(LOCATIONS.c.storage_credential_id == credential.id).order_by(LOCATIONS.c.name)
    rows = list(unit.connection.execute(using))
    seen = _names(unit, rows)
    active = sa.and_(
        CREDENTIAL_LEASE.c.storage_credential_id == credential.id,
        CREDENTIAL_LEASE.c.revoked_at.is_(None),
        CREDENTIAL_LEASE.c.expires_at > unit.now,
    )
    leases = unit.connection.execute(
        sa.select(sa.func.count()).select_from(CREDENTIAL_LEASE).where(active)
    ).scalar_one()
    return Dependents(locations=seen, hidden=len(rows) - len(seen), active_leases=leases)


@EXTERNAL_LOCATION.action(
    "validate", request=Request, result=ConnectionTestResult, outside=True, timeout_seconds=150, past="validated"
)
async def validate_external_location(ctx: Context, external_location: str, request: Request) -> ConnectionTestResult:
    """Lists, reads, writes, and deletes in a location, with the temporary keys that others would get.

    It writes one empty object, and deletes it. A read-only location is only listed and read.
    """
    found = await opened_location(ctx, external_location, "validate")
    result = test_result(await asking.test(S3_LOCATION, found.config, found.egress))
    ctx.note(passed=result.passed)
    return result


@EXTERNAL_LOCATION.action(
    "browse", request=Discover, result=DiscoveredPage, reads=True, role=Role.EDITOR, timeout_seconds=90
)
async def browse_external_location(ctx: Context, external_location: str, request: Discover) -> DiscoveredPage:
    """Lists the folders and objects directly below a folder of a location."""
    checked_path("/".join(request.below), "/below")
    found = await opened_location(ctx, external_location, "browse")
    listing = Listing(tuple(request.below), request.page_token, request.page_size)
    return discovered(await asking.found(S3_LOCATION, found.config, found.egress, listing))


@EXTERNAL_LOCATION.collection_action(
    "check-overlap", request=OverlapCheck, result=Overlaps, reads=True, role=Role.EDITOR
)
async def check_location_overlap(ctx: Context, request: OverlapCheck) -> Overlaps:
    """Returns the external locations of the organization that a new one would overlap."""
    url = normalized(request.url, "/url")

    def check(unit: Unit) -> Overlaps:
        project = project_of_new(unit, request.project_id, EXTERNAL_LOCATION.permission("create"))
        unit.require(EXTERNAL_LOCATION.permission("check-overlap"), project.securable)
        rows = overlapping(unit, str(project.organization_id), url)
        seen = _names(unit, rows)
        return Overlaps(url=url, locations=seen, hidden=len(rows) - len(seen))

    return await ctx.read(check)


@EXTERNAL_LOCATION.collection_action("resolve", request=UrlToResolve, result=ResolvedUrl, reads=True)
async def resolve_url(ctx: Context, request: UrlToResolve) -> ResolvedUrl:
    """Returns the external location that a URL belongs to, and the path below it."""
    bucket, path = parts(request.url)
    url = f"s3://{bucket}/{path}"

    def resolve(unit: Unit) -> ResolvedUrl:
        select = sa.select(LOCATIONS).where(LOCATIONS.c.url.in_(above(url)), EXTERNAL_LOCATION.visible(unit))
        # Projects that moved from other organizations may have brought locations that overlap.
        owner = max(unit.connection.execute(select), key=lambda row: (len(row.url), row.id), default=None)
        if owner is None:
            raise NotFound(f"{url} belongs to no external location that you can see.")
        (location,) = _names(unit, [owner])
        return ResolvedUrl(location=location, path=url.removeprefix(owner.url), read_only=owner.read_only)

    return await ctx.read(resolve)


def _names(unit: Unit, rows: list[Row]) -> list[LocationName]:
    return [LocationName(id=row.id, name=row.name, url=row.url) for row in visible(unit, rows)]
