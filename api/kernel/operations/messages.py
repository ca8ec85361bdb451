"""Messages of runs in operations: errors and log lines of steps can contain values of rows that they read or wrote."""

from __future__ import annotations

from collections.abc import Callable, Collection

from api.kernel.kinds.context import Context
from api.kernel.operations.store import Executor, OperationRow
from api.kernel.permissions.access import Access
from api.kernel.platform import Platform
from core.errors import Unavailable

MessageReader = Callable[[Platform, Access, Collection[str]], bool]
"""Returns whether an access allows to read what runs that make these assets can write in messages."""


def open_message_reader(platform: Platform) -> MessageReader:
    """Returns what decides who reads the messages of runs. The composition provides it.

    Raises:
        Unavailable: this process can't decide that.
    """
    raise Unavailable("This process can't decide who reads the messages of runs.")


async def gets_messages(ctx: Context, row: OperationRow) -> bool:
    """Returns whether the caller gets what the runs of an operation wrote. Errors of sagas contain no rows."""
    if row.executor is not Executor.LAUNCH:
        return True
    reads, assets = ctx.platform.part(open_message_reader), {*row.assets, *(one.asset for one in row.produced)}
    return await ctx.compute(reads, ctx.platform, ctx.principal.access, assets)
