"""Rows by id or name: requests that ask at the same time share their selects."""

from __future__ import annotations

import asyncio
from functools import partial

from api.kernel.storage import store
from api.kernel.storage.reads import SharedReads
from api.kernel.storage.store import Stored, Wanted

_MOST = 200


class RowLoader:
    """Gathers what is wanted while a select runs and asks for all of it with the next. Lives on one event loop."""

    def __init__(self, reads: SharedReads) -> None:
        self._reads = reads
        self._wanted: list[tuple[Wanted, asyncio.Future[Stored | None]]] = []
        self._loading: asyncio.Task[None] | None = None

    async def row(self, kind: str, id: str, *, named: bool) -> Stored | None:
        """The resource with this id, or with this name if it is `named`, as `store.find` finds it now.

        Raises:
            Unavailable: too many callers wait already, or the database does not answer.
        """
        future: asyncio.Future[Stored | None] = asyncio.get_running_loop().create_future()
        self._wanted.append((Wanted(kind, id, named), future))
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
        return await future

    async def _load(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted[:_MOST], self._wanted[_MOST:]
            try:
                rows = await self._reads.run(partial(store.find_all, wanted=[one for one, _ in wanted]))
            except Exception as error:  # noqa: BLE001 - it is the callers' to handle
                for _, future in wanted:
                    if not future.done():
                        future.set_exception(error)
                continue
            for one, future in wanted:
                if not future.done():
                    future.set_result(rows.get(one))
