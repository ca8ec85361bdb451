"""The objects that one API process shares between requests: settings, database, threads, orchestrator, and engines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from api.kernel.roles import Role
from api.kernel.storage.reads import SharedReads
from api.kernel.storage.row_loader import RowLoader
from api.kernel.workers import Workers
from core.db import Database
from core.mailer import Mailer
from core.ports import Orchestrator
from core.publisher import Publisher
from core.settings import Settings

if TYPE_CHECKING:
    from lakehouse.lineage import Lineage
    from lakehouse.tables import Tables

T = TypeVar("T")


class Platform:
    """The shared objects of a process. `api.main` creates it once and closes it at shutdown."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        orchestrator: Orchestrator,
        publisher: Publisher | None = None,
        mailer: Mailer | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.orchestrator = orchestrator
        self.publisher = publisher
        self.mailer = mailer
        self.workers = Workers(single_writer=database.url.startswith("sqlite"))
        self.reads = SharedReads(database, self.workers.read)
        self.rows = RowLoader(self.reads)
        self.permissions: dict[str, Role] = {}
        """All permissions, each with the least built-in role that includes it. The application fills it."""
        self._parts: dict[Callable[[Platform], Any], Any] = {}
        self._opening = threading.RLock()

    def part(self, factory: Callable[[Platform], T]) -> T:
        """Returns the object that `factory` creates. It is created on first use and shared after that.

        Engines are opened this way, so that their libraries are imported when they are first needed. The first use may
        take seconds: call it in a worker thread.
        """
        if factory not in self._parts:
            with self._opening:
                if factory not in self._parts:
                    self._parts[factory] = factory(self)
        return cast("T", self._parts[factory])

    def provide(self, factory: Callable[[Platform], T], part: T) -> None:
        """Makes `part(factory)` return this object. For tests and other compositions."""
        self._parts[factory] = part

    def close(self) -> None:
        """Stops the threads, closes the shared objects from newest to oldest, and then the database."""
        self.workers.close()
        for part in reversed(self._parts.values()):
            if callable(close := getattr(part, "close", None)):
                close()
        self.database.close()


def open_tables(platform: Platform) -> Tables:
    """Returns the Delta tables of the process, with cached handles."""
    from lakehouse.tables import Tables

    return Tables.from_settings(platform.settings, platform.database)


def open_lineage(platform: Platform) -> Lineage:
    """Returns the lineage graph of the process."""
    from lakehouse.lineage import Lineage

    return Lineage(platform.database)
