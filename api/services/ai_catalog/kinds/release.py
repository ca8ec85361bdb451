"""Releases: decisions of owners that copies of their table may be read without the right to read the table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds import escalation
from api.kernel.kinds.resource import Text
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake import releases
from api.kernel.lake.names import AssetId
from api.kernel.lake.releases import RELEASE as TABLE
from api.kernel.models import Model, Request, Timestamp
from api.kernel.permissions.graph import READ_ASSET, READ_ROWS, asset_securable
from api.kernel.permissions.power import Power, ending
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.services.ai_catalog.logic.readable_tables import require_rows
from api.services.ai_catalog.logic.visible_names import visible_names
from core.errors import Conflict, InvalidPayload, NotFound, UnknownAsset

Copies = Annotated[str, Field(min_length=1, max_length=200, examples=["flights.gold.daily"])]
"""The id of an asset, a schema such as `flights.gold`, or the name of a project."""


class Release(Model):
    """A decision that copies of a table may be read without the right to read the table."""

    id: str
    """Id of the release."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project of the table."""

    asset: str
    """Id of the table."""

    copies: str | None
    """The copies: an asset, a schema, or a project. Null if the caller can see none of them."""

    reason: str
    """Reason, for auditors."""

    expires_at: datetime | None
    """Time at which it ends. Null if it doesn't end by itself."""

    created_at: datetime
    """Time at which the owner decided."""

    created_by: str
    """Name of the principal that decided."""

    revoked_at: datetime | None
    """Time at which it was revoked. Null until then."""

    revoked_by: str | None
    """Name of the principal that revoked it. Null until then."""


class NewRelease(Request):
    """Copies to release."""

    asset: AssetId
    """Id of the table that was copied."""

    copies: Copies
    """Copies that may be read without the right to read the table: an asset, a schema, or a project."""

    reason: Annotated[Text, Field(min_length=1)]
    """Reason, for auditors."""

    expires_at: Timestamp | None = None
    """Time at which the release ends. By default it doesn't end by itself."""


class ReleaseKind(TableKind[Release]):
    """Releases. What a caller may do with one follows from their rights on the table that was released."""

    def place(self, unit: Unit, row: Row) -> Securable:
        """Returns the table that was released."""
        return asset_securable(unit.platform, row.asset)

    def visible(self, unit: Unit) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that the caller can see: those of tables that they can see."""
        access = unit.principal.access
        permissions = (self.permission("get"), READ_ASSET)
        return sa.and_(*(access.where(permission, TABLE, id=TABLE.c.asset) for permission in permissions))


def _releases(unit: Unit, rows: Sequence[Row]) -> list[Release]:
    names = _visible_copies(unit, {row.copies for row in rows})
    found = [{name: getattr(row, name) for name in Release.model_fields} for row in rows]
    return [Release(**values | {"copies": values["copies"] if values["copies"] in names else None}) for values in found]


RELEASE = ReleaseKind(
    Release,
    TABLE,
    plural="releases",
    prefix="rel",
    filter_by=("asset", "created_by", "created_at", "expires_at", "revoked_at"),
    items=_releases,
    writers=Role.ADMIN,
    powers={"create": Power.GRANTS, "revoke": Power.NOTHING},
)


@RELEASE.creation(request=NewRelease, result=Release)
def create_release(unit: Unit, request: NewRelease) -> Release:
    """Releases copies of a table: they may be read without the right to read the table.

    The caller needs the permission on the table that was copied, not on the copies, and must be able to read the table
    for as long. Other tables that the same copies contain stay closed.
    """
    return release(unit, request.asset, request.copies, request.reason, request.expires_at)


@RELEASE.command("revoke", request=Request, result=Release, past="revoked")
def revoke_release(unit: Unit, release: Row, request: Request) -> Release:
    """Revokes a release. From the next request on, the copies need the right to read the table again."""
    if release.revoked_at is not None:
        raise Conflict(f"The release {release.id} was revoked already.")
    unit.call.note(asset=release.asset, copies=release.copies)
    unit.forget()
    return RELEASE.change(unit, release, revoked_at=unit.now, revoked_by=unit.principal.name)


def release(unit: Unit, asset: str, copies: str, reason: str, expires_at: datetime | None) -> Release:
    """Stores a release that the caller may decide on. The arguments are the fields of `NewRelease`.

    Raises:
        UnknownAsset: the caller can't see the table.
        NotFound: the caller can see none of the copies.
        PermissionDenied: the caller may not release the table, or can't read it.
        ExceedsRights: the caller can't read the table for as long.
    """
    place = asset_securable(unit.platform, asset)
    known = unit.platform.orchestrator.view().nodes
    if asset not in known or not unit.allows(READ_ASSET, place):
        raise UnknownAsset(f"There is no asset {asset!r}.")
    if place.project_id is None:
        raise Conflict(f"{asset} belongs to no registered project, so it can't be released.")
    unit.require(RELEASE.permission("create"), place)
    if expires_at is not None and expires_at <= unit.now:
        fault = {"pointer": "/expires_at", "detail": "is in the past"}
        raise InvalidPayload("The release would have expired already.", errors=[fault])
    require_copies(unit, copies, place)
    require_rows(unit, asset)
    rules = escalation.rules_on((READ_ASSET, READ_ROWS), place)
    escalation.require_rights(unit, ending(rules, expires_at))
    unit.call.note(asset=asset, copies=copies)
    unit.forget()
    return RELEASE.add(
        unit,
        organization_id=place.organization_id,
        project_id=place.project_id,
        on=place,
        asset=asset,
        copies=copies,
        reason=reason,
        expires_at=expires_at,
        created_at=unit.now,
        created_by=unit.principal.name,
        created_by_id=unit.principal.id,
    )


def require_copies(unit: Unit, copies: str, place: Securable) -> None:
    """Requires that the caller sees at least one of the copies, and that they are in the organization of the table."""
    if copies not in _visible_copies(unit, {copies}):
        fault = {"pointer": "/copies", "detail": "contains no asset that you can see"}
        raise NotFound(f"There is no asset in {copies!r}.", errors=[fault])
    if asset_securable(unit.platform, copies).organization_id != place.organization_id:
        fault = {"pointer": "/copies", "detail": "is in another organization"}
        raise InvalidPayload("A table is released only within its organization.", errors=[fault])


def _visible_copies(unit: Unit, copies: set[str]) -> set[str]:
    """Returns those of assets, schemas, and projects in which the caller can see an asset."""
    names = visible_names(unit.platform, unit.principal.access, unit.platform.orchestrator.view().nodes)
    return {one for one in copies if any(releases.covers(one, name) for name in names)}
