"""The right to read the rows of a table, which everything that is computed from them needs.

All doors to rows ask here, so that a rule about rows has one place.
"""

from __future__ import annotations

from collections.abc import Iterable

from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake.copies import Source, may_read_copy, may_read_rows
from api.kernel.lookup import unknown_asset
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, READ_ROWS, asset_securable
from api.kernel.platform import Platform
from core.errors import PermissionDenied
from core.ids import is_asset_id


def may_read(
    platform: Platform, access: Access, asset: str, version: str | None = None, also: frozenset[Source] = frozenset()
) -> bool:
    """Returns whether an access allows to see an asset and to read its rows, by its grants and the rule for copies.

    Runs in a worker thread.

    Args:
        platform: what the process shares.
        access: the rights.
        asset: id of the asset.
        version: data version that is read. None if it may be any.
        also: versions from which it was copied in a branch.
    """
    return may_read_rows(platform, access, asset) and may_read_copy(platform, access, asset, version, also)


def reads_everything(access: Access) -> bool:
    """Returns whether an access allows to read the rows of all assets, so that no asset needs a check."""
    return access.unrestricted(READ_ASSET) and access.unrestricted(READ_ROWS)


def readable_names(platform: Platform, access: Access, assets: Iterable[str]) -> set[str]:
    """Returns the ids of assets whose rows an access allows to read."""
    return {id for id in assets if is_asset_id(id) and may_read(platform, access, id)}


def require_visible(ctx: Context, asset: str) -> None:
    """Requires the permission to see a table.

    Raises:
        UnknownAsset: The caller can't see the table.
    """
    if not ctx.principal.access.allows(READ_ASSET, asset_securable(ctx.platform, asset)):
        raise unknown_asset(ctx.view(), asset)


def require_readable(
    ctx: Context, asset: str, version: str | None = None, also: frozenset[Source] = frozenset()
) -> None:
    """Requires the right to read a table. One that the caller can't see is refused as if it did not exist.

    Runs in a worker thread. The arguments are those of `may_read`.

    Raises:
        UnknownAsset: The caller can't see the table.
        PermissionDenied: The caller can't read it.
    """
    require_visible(ctx, asset)
    if not may_read(ctx.platform, ctx.principal.access, asset, version, also):
        raise rows_denied()


def require_rows(unit: Unit, asset: str) -> None:
    """Requires the permission to read a table, by the rights that the caller holds in this transaction.

    Raises:
        PermissionDenied: The caller can't read it.
    """
    if not may_read(unit.platform, escalation.rights_of_caller(unit), asset):
        raise rows_denied()


def rows_denied() -> PermissionDenied:
    """Returns the error for a table that the caller may not read. It names no table."""
    return PermissionDenied(
        f"This needs the permission {READ_ROWS}, which you do not hold here: on the table, or on a table that it was "
        "copied from. `GET /assets/{id}/access` says what is missing."
    )
