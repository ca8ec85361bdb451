"""Lookups of rows by id or name. Concurrent requests share their selects."""

from __future__ import annotations

import asyncio
from functools import partial

from api.kernel.storage import store
from api.kernel.storage.reads import SharedReads
from api.kernel.storage.store import RowKey, Stored

_BATCH_SIZE = 200


class RowLoader:
    """A batcher of lookups: those that arrive while a select runs share the next one. Use it on one event loop."""

    def __init__(self, reads: SharedReads) -> None:
        self._reads = reads
        self._queue: list[tuple[RowKey, asyncio.Future[Stored | None]]] = []
        self._loading: asyncio.Task[None] | None = None

    async def row(self, kind: str, id: str, *, within: str | None) -> Stored | None:
        """Returns the current row that `store.find` returns for these arguments.

        Raises:
            Unavailable: the queue is full, or the database does not respond.
        """
        future: asyncio.Future[Stored | None] = asyncio.get_running_loop().create_future()
        self._queue.append((RowKey(kind, id, within), future))
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
        return await future

    async def _load(self) -> None:
        while self._queue:
            batch, self._queue = self._queue[:_BATCH_SIZE], self._queue[_BATCH_SIZE:]
            try:
                rows = await self._reads.run(partial(store.find_all, keys=[key for key, _ in batch]))
            except Exception as error:  # noqa: BLE001 - the callers handle it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for key, future in batch:
                if not future.done():
                    future.set_result(rows.get(key))
