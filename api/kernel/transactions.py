"""Transactions on the metadata database that run in worker threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import Connection

from api.kernel.platform import Platform

P = ParamSpec("P")
T = TypeVar("T")


class Transactions:
    """A runner of functions that take a connection."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the function in a read transaction and returns its result.

        Raises:
            Unavailable: the queue of reads is full, or the database does not respond.
        """

        def transaction() -> T:
            with self._platform.database.read() as connection:
                return function(connection, *args, **kwargs)

        return await self._platform.workers.read.run(transaction)

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls the function in a write transaction, which is rolled back if it raises, and returns its result.

        Raises:
            Unavailable: the queue of writes is full, or the database does not respond.
        """

        def transaction() -> T:
            with self._platform.database.write() as connection:
                return function(connection, *args, **kwargs)

        return await self._platform.workers.write.run(transaction)
