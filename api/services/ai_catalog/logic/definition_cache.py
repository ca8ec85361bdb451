"""Definitions as a caller may read them, in memory for as long as the definitions and the caller's rights last.

Online features take less time than the queries for the views that they come from. A change of a definition or of rights
ends the epoch (`Unit.forget`), and with it the `Access` of every caller. What is in memory belongs to one `Access`.
What a table was copied from can change with each of its versions. So it is decided again after a second for callers who
can't read everything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from api.kernel.kinds.context import Context
from api.kernel.permissions.access import Access
from api.kernel.platform import Platform
from api.services.ai_catalog.logic.readable_tables import reads_everything
from core import clock

T = TypeVar("T")
_SIZE = 1_000
_COPIES_AGE = timedelta(seconds=1)


class DefinitionCache:
    """What callers found, by their rights and what they asked for. Used on the event loop only."""

    def __init__(self, platform: Platform) -> None:
        self._found: dict[tuple[Access, Hashable], tuple[datetime, Any]] = {}

    async def get(self, ctx: Context, asked: Hashable, find: Callable[[], Awaitable[T]]) -> T:
        """Returns what `find` returned to this caller before, or now. Errors are not remembered.

        Args:
            ctx: the request.
            asked: what the caller asks for. `find` depends on this, on definitions, and on the caller's rights only.
            find: reads the definitions, and checks the caller's rights to them.
        """
        access = ctx.principal.access
        before = self._found.get((access, asked))
        if before is not None and clock.now() < before[0]:
            return cast("T", before[1])
        started = clock.now()
        found = await find()
        if (until := _end(access)) is not None:
            if len(self._found) >= _SIZE:
                self._found.clear()
            self._found[access, asked] = until if reads_everything(access) else min(until, started + _COPIES_AGE), found
        return found


def _end(access: Access) -> datetime | None:
    """Returns when the next of these rights ends, or `None` if they depend on fields of resources."""
    if any(rule.condition for rule in access.rules):
        return None
    ends = [rule.expires_at for rule in access.rules if rule.expires_at is not None and not rule.expired()]
    return min(ends, default=datetime.max.replace(tzinfo=UTC))
