"""Messages of runs in operations: errors and log lines of steps can contain values of the rows that they read."""

from __future__ import annotations

from collections.abc import Callable, Collection

from api.kernel.kinds.context import Context
from api.kernel.operations.store import Executor, OperationRow
from api.kernel.permissions.access import Access
from api.kernel.platform import Platform
from core.errors import Unavailable

RowReader = Callable[[Platform, Access, Collection[str]], set[str]]
"""Returns those of some assets of which an access allows to read all rows."""


def open_row_reader(platform: Platform) -> RowReader:
    """Returns what decides whether a caller can read the rows of assets. The composition provides it.

    Raises:
        Unavailable: this process can't decide that.
    """
    raise Unavailable("This process can't decide who reads the rows of an asset.")


async def gets_messages(ctx: Context, row: OperationRow) -> bool:
    """Returns whether the caller gets what the runs of an operation wrote. Errors of sagas contain no rows."""
    if row.executor is not Executor.LAUNCH:
        return True
    reader = ctx.platform.part(open_row_reader)
    assets = {*row.assets, *(version.asset for version in row.produced)}
    return await ctx.compute(reader, ctx.platform, ctx.principal.access, assets) == assets
