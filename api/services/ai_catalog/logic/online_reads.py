"""Reads of the online store: on the event loop if they are short, and never of rows of a former table."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from api.kernel.platform import Platform, open_tables
from api.services.ai_catalog.logic.feature_views import BoundView, open_online_store
from core.errors import Conflict, HeadwaterError, Unavailable, UnknownTable

if TYPE_CHECKING:
    from features.online import OnlineStore

_FEW = 200
"""Number of rows that are read on the event loop."""

_CHECK_SECONDS = 1.0
"""Time after which it is checked again that the table of a view is the one that its online rows come from."""

_MAX_CHECKED = 10_000

T = TypeVar("T")


class OnlineReads:
    """Reads of the online store, on the event loop or in a worker thread."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._at_once: OnlineStore | None = None
        self._checked_at: dict[tuple[str, str | None], float] = {}

    async def run(self, views: Sequence[BoundView], entities: int, read: Callable[[OnlineStore], T]) -> T:
        """Calls a function with the store.

        Args:
            views: the views whose rows the function reads.
            entities: number of entities of each view. Few are read on the event loop, because a switch of threads
                takes longer than that.
            read: the function. It is called again if it would have to wait.

        Raises:
            Conflict: the table of a view was deleted or created again, so its online rows are no longer valid.
        """
        if self._at_once is not None and entities * len(views) <= _FEW and all(map(self._is_short, views)):
            with suppress(Unavailable):
                return read(self._at_once)
        return await self._platform.workers.compute.run(self._run, views, read)

    def close(self) -> None:
        """Closes the connections."""
        if self._at_once is not None:
            self._at_once.close()

    def _run(self, views: Sequence[BoundView], read: Callable[[OnlineStore], T]) -> T:
        store = self._platform.part(open_online_store)
        if self._at_once is None:
            self._at_once = store.at_once()
        for view in views:
            if not self._is_checked(view):
                self._check(store, view)
        return read(store)

    def _is_short(self, view: BoundView) -> bool:
        return view.restriction is None and self._is_checked(view)

    def _is_checked(self, view: BoundView) -> bool:
        return time.monotonic() - self._checked_at.get((view.asset, view.online_asset), float("-inf")) < _CHECK_SECONDS

    def _check(self, store: OnlineStore, view: BoundView) -> None:
        """Refuses rows of a former table. If the table can't be read now, the rows are served, and checked again."""
        now = time.monotonic()
        served = store.served(view.online_asset) if view.online_asset else None
        if served is not None and served.table == view.asset:
            try:
                table_id = self._platform.part(open_tables).snapshot(view.asset).table_id
            except UnknownTable:
                table_id = None
            except HeadwaterError:
                return
            if table_id != served.table_id:
                raise Conflict(
                    f"{view.asset} was deleted or created again since {view.online_asset} was materialized. "
                    f"Materialize {view.online_asset}."
                )
        if len(self._checked_at) >= _MAX_CHECKED:
            self._checked_at.clear()
        self._checked_at[view.asset, view.online_asset] = now
