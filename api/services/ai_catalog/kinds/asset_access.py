"""Access to an asset: what a principal may do with it, and which tables that it was copied from keep it closed."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel import lookup, references
from api.kernel.credentials import accounts
from api.kernel.kinds.context import Context
from api.kernel.kinds.holders import holder
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.lake.copies import CopiedTable, Copies, may_read_rows
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import open_tables
from api.kernel.tables import PRINCIPAL
from api.services.ai_catalog.kinds.asset import ASSET

_EXPLAIN = "admin.decision.explain"
"""The permission to ask about the rights of other principals."""


class AccessQuery(Query):
    """Whose access to return, and to what."""

    version: Version | None = None
    """A table version or a data version. By default any version: everything counts that one of them was copied from."""

    principal_id: references.PrincipalReference | None = None
    """Id of a user, service account, or group. By default the caller."""


class CopiedFrom(Model):
    """A table that the asset was copied from."""

    asset: str
    """Id of the table."""

    columns: list[str] | None
    """Its columns that were copied. Null if they are not recorded, so that all count."""

    readable: bool
    """Whether the principal may read the table."""

    releases: list[str]
    """Ids of the releases of its owner that open the asset without that right."""

    opens: bool
    """Whether this table lets the principal read the asset."""


class AccessNeed(Model):
    """Something to ask an owner for."""

    asset: str
    """Id of the asset or table that the right is needed on."""

    copies: str | None
    """The asset to release, as an alternative to the right to read the table. Null if only the right helps."""


class AssetAccess(Model):
    """What a principal may do with an asset."""

    asset: str
    """Id of the asset."""

    data_version: str | None
    """Data version. Null if any version may be read, so that all count."""

    permissions: list[str]
    """Permissions that the principal holds on the asset."""

    granted: bool
    """Whether the grants of the principal allow to read the rows of the asset itself."""

    readable: bool
    """Whether the principal may read its rows: by the grants, and by the rule for copies."""

    copied_from: list[CopiedFrom]
    """Tables that it was copied from and that the caller can see, with their copies over any number of steps."""

    hidden: int
    """Number of other tables that it was copied from."""

    hidden_closed: int
    """Number of those that keep the asset closed. Ask the owner of the asset, who can see them."""

    complete: bool
    """Whether these are all tables. If the lineage is too large to follow, the asset is closed."""

    needs: list[AccessNeed]
    """What is missing to read the rows, as far as the caller can see it. Empty if nothing is."""


@ASSET.part("access", query=AccessQuery, result=AssetAccess, own=True)
async def get_asset_access(ctx: Context, asset: str, query: AccessQuery) -> AssetAccess:
    """Returns what a principal may do with an asset that the caller can see, and what is missing to read its rows.

    All can ask about themselves. Questions about others require `admin.decision.explain` on the asset.
    """
    lookup.asset(ctx.view(), asset)
    access = await ctx.read(lambda unit: _access(unit, asset, query.principal_id))
    return await ctx.compute(_explained, ctx, access, asset, query.version)


def _access(unit: Unit, asset: str, principal_id: str | None) -> Access:
    if principal_id in (None, unit.principal.id):
        return unit.principal.access
    unit.require(_EXPLAIN, asset_securable(unit.platform, asset))
    id = holder(unit, str(principal_id), "/principal_id").id
    inactive = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == id, ~accounts.ACTIVE)
    if unit.connection.execute(inactive).first():
        return Access((), unit.platform.permissions)
    return grants.access_of(unit.connection, id, unit.platform.permissions)


def _explained(ctx: Context, access: Access, asset: str, version: str | None) -> AssetAccess:
    if version is not None:
        version = versions.snapshot(ctx.platform.part(open_tables), asset, version).data_version
    place = asset_securable(ctx.platform, asset)
    granted = may_read_rows(ctx.platform, access, asset)
    origins = ctx.platform.part(Copies).origins(access, asset, version)
    visible = [one for one in origins.tables if _visible(ctx, one.asset)]
    hidden = [one for one in origins.tables if not _visible(ctx, one.asset)]
    return AssetAccess(
        asset=asset,
        data_version=version,
        permissions=[
            name
            for name in sorted(ctx.platform.permissions)
            if name.startswith(f"{ASSET.full_name}.")
            and access.allows(READ_ASSET, place)
            and access.allows(name, place)
        ],
        granted=granted,
        readable=granted and origins.open,
        copied_from=[_copied_from(one) for one in visible],
        hidden=len(hidden),
        hidden_closed=sum(not one.opens for one in hidden),
        complete=origins.complete,
        needs=[
            *([] if granted else [AccessNeed(asset=asset, copies=None)]),
            *(AccessNeed(asset=one.asset, copies=asset) for one in visible if not one.opens),
        ],
    )


def _copied_from(one: CopiedTable) -> CopiedFrom:
    return CopiedFrom(
        asset=one.asset,
        columns=None if one.columns is None else list(one.columns),
        readable=one.readable,
        releases=list(one.releases),
        opens=one.opens,
    )


def _visible(ctx: Context, asset: str) -> bool:
    return ctx.principal.access.allows(READ_ASSET, asset_securable(ctx.platform, asset))
