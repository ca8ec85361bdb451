"""The right to read the rows of a table, which everything that is computed from them needs."""

from __future__ import annotations

from api.kernel.kinds.context import Context
from api.kernel.kinds.refusals import denied
from api.kernel.lookup import unknown_asset
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import Platform

READ_ROWS = "ai_catalog.asset.preview"
"""Permission to read the rows of an asset."""


def may_read(platform: Platform, access: Access, asset: str) -> bool:
    """Returns whether an access allows to see an asset and to read its rows."""
    place = asset_securable(platform, asset)
    return access.allows(READ_ASSET, place) and access.allows(READ_ROWS, place)


def require_readable(ctx: Context, asset: str) -> None:
    """Requires the permission to read a table. One that the caller can't see is refused as if it did not exist.

    Raises:
        UnknownAsset: The caller can't see the table.
        PermissionDenied: The caller can't read it.
    """
    place = asset_securable(ctx.platform, asset)
    if not ctx.principal.access.allows(READ_ASSET, place):
        raise unknown_asset(ctx.view(), asset)
    if not ctx.principal.access.allows(READ_ROWS, place):
        raise denied(READ_ROWS)
