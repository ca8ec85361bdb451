"""The right to read the rows of a table, which everything that is computed from them needs.

All doors to rows ask here, so that a rule about rows has one place.
"""

from __future__ import annotations

from collections.abc import Iterable

from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.unit import Unit
from api.kernel.lookup import unknown_asset
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import Platform
from core.errors import PermissionDenied
from core.ids import is_asset_id

_READ_ROWS = "ai_catalog.asset.preview"
"""Permission to read the rows of an asset."""


def may_read(platform: Platform, access: Access, asset: str) -> bool:
    """Returns whether an access allows to see an asset and to read its rows."""
    place = asset_securable(platform, asset)
    return access.allows(READ_ASSET, place) and access.allows(_READ_ROWS, place)


def reads_everything(access: Access) -> bool:
    """Returns whether an access allows to read the rows of all assets, so that no asset needs a check."""
    return access.unrestricted(READ_ASSET) and access.unrestricted(_READ_ROWS)


def readable_names(platform: Platform, access: Access, assets: Iterable[str]) -> set[str]:
    """Returns the ids of assets whose rows an access allows to read."""
    return {id for id in assets if is_asset_id(id) and may_read(platform, access, id)}


def require_readable(ctx: Context, asset: str) -> None:
    """Requires the permission to read a table. One that the caller can't see is refused as if it did not exist.

    Raises:
        UnknownAsset: The caller can't see the table.
        PermissionDenied: The caller can't read it.
    """
    if not ctx.principal.access.allows(READ_ASSET, asset_securable(ctx.platform, asset)):
        raise unknown_asset(ctx.view(), asset)
    if not may_read(ctx.platform, ctx.principal.access, asset):
        raise rows_denied()


def require_rows(unit: Unit, asset: str) -> None:
    """Requires the permission to read a table, by the rights that the caller holds in this transaction.

    Raises:
        PermissionDenied: The caller can't read it.
    """
    if not may_read(unit.platform, escalation.rights_of_caller(unit), asset):
        raise rows_denied()


def rows_denied() -> PermissionDenied:
    """Returns the error for a table that the caller may not read. It doesn't name the table."""
    return denied(_READ_ROWS)
