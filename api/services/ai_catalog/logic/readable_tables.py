"""The right to read the rows of a table, which everything that is computed from them needs.

All doors to rows ask here, so that a rule about rows has one place. A door that applies the restrictions of policies
says so (`partly`); any other refuses a caller whom a policy restricts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake.copies import Source, may_read_copy, may_read_rows
from api.kernel.lake.row_access import is_restricted
from api.kernel.lookup import unknown_asset
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, READ_ROWS, asset_securable
from api.kernel.platform import Platform
from core.errors import PermissionDenied, Unavailable
from core.ids import is_asset_id


def may_read(
    platform: Platform, access: Access, asset: str, version: str | None = None, also: frozenset[Source] = frozenset()
) -> bool:
    """Returns whether an access allows to see an asset and to read all its rows and values.

    That depends on its grants, the rule for copies, and the policies that restrict it.

    Runs in a worker thread.

    Args:
        platform: what the process shares.
        access: the rights.
        asset: id of the asset.
        version: data version that is read. None if it may be any.
        also: versions from which it was copied in a branch.
    """
    readable = may_read_rows(platform, access, asset) and may_read_copy(platform, access, asset, version, also)
    return readable and not is_restricted(platform, access, asset)


def reads_everything(access: Access) -> bool:
    """Returns whether an access allows to read the rows of all assets, so that no asset needs a check."""
    return access.unrestricted(READ_ASSET) and access.unrestricted(READ_ROWS) and not access.reader.policies


def readable_names(platform: Platform, access: Access, assets: Iterable[str]) -> set[str]:
    """Returns the ids of assets of which an access allows to read all rows and values."""
    if reads_everything(access):
        return {id for id in assets if is_asset_id(id)}
    return {id for id in assets if is_asset_id(id) and may_read(platform, access, id)}


def may_read_messages(platform: Platform, access: Access, assets: Collection[str]) -> bool:
    """Returns whether an access allows to read what runs that make some assets can write in errors and logs.

    They can contain values of these assets and of their inputs. What the inputs are must be known: the messages of runs
    that made other assets, such as those of a branch only, are for those who read everything.
    """
    if reads_everything(access):
        return True
    try:
        nodes = platform.orchestrator.view().nodes
    except Unavailable:
        return False
    if not assets or not nodes.keys() >= set(assets):
        return False
    named = {*assets, *(source for asset in assets for source in nodes[asset].upstream)}
    return readable_names(platform, access, named) == named


def require_visible(ctx: Context, asset: str) -> None:
    """Requires the permission to see a table.

    Raises:
        UnknownAsset: The caller can't see the table.
    """
    if not ctx.principal.access.allows(READ_ASSET, asset_securable(ctx.platform, asset)):
        raise unknown_asset(ctx.view(), asset)


def require_readable(
    ctx: Context,
    asset: str,
    version: str | None = None,
    also: frozenset[Source] = frozenset(),
    *,
    partly: bool = False,
) -> None:
    """Requires the right to read a table. One that the caller can't see is refused as if it did not exist.

    Runs in a worker thread. The other arguments are those of `may_read`.

    Args:
        ctx: the request.
        asset: id of the asset.
        version: data version that is read.
        also: versions from which it was copied in a branch.
        partly: whether the operation applies the restrictions of policies itself.

    Raises:
        UnknownAsset: The caller can't see the table.
        PermissionDenied: The caller can't read it, or a policy restricts what they read of it.
    """
    require_visible(ctx, asset)
    access = ctx.principal.access
    if not may_read_rows(ctx.platform, access, asset):
        raise rows_denied()
    if not partly and is_restricted(ctx.platform, access, asset):
        raise restricted(asset)
    if not may_read_copy(ctx.platform, access, asset, version, also):
        raise rows_denied()


def require_rows(unit: Unit, asset: str, *, partly: bool = False) -> None:
    """Requires the permission to read a table, by the rights that the caller holds in this transaction.

    Args:
        unit: the transaction.
        asset: id of the asset.
        partly: whether the operation applies the restrictions of policies itself.

    Raises:
        PermissionDenied: The caller can't read it, or a policy restricts what they read of it.
    """
    access = escalation.rights_of_caller(unit)
    if not may_read_rows(unit.platform, access, asset):
        raise rows_denied()
    if not partly and is_restricted(unit.platform, access, asset, unit.connection):
        raise restricted(asset)
    if not may_read_copy(unit.platform, access, asset):
        raise rows_denied()


def rows_denied() -> PermissionDenied:
    """Returns the error for a table that the caller may not read. It names no table."""
    return PermissionDenied(
        f"This needs the permission {READ_ROWS}, which you do not hold here: on the table, or on a table that it was "
        "copied from, and no policy may restrict what you read of them. `GET /assets/{id}/access` says what is missing."
    )


def restricted(asset: str) -> PermissionDenied:
    """Returns the error for an operation that can't apply the policies that restrict the caller."""
    return PermissionDenied(
        f"A policy restricts what you read of {asset}, and this operation needs all rows and values. See the asset's "
        "`policies`. `preview`, `profile`, `diff`, and queries show what you may read."
    )
