"""What one API process shares between requests: settings, database, threads, the orchestrator and engines."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from api.kernel.roles import Role
from api.kernel.storage.reads import SharedReads
from api.kernel.storage.row_loader import RowLoader
from api.kernel.workers import Workers
from core.db import Database
from core.ports import Mailer, Orchestrator, Publisher
from core.settings import Settings

if TYPE_CHECKING:
    from api.kernel.kinds.kind import Kind
    from lakehouse.lineage import Lineage
    from lakehouse.tables import Tables

T = TypeVar("T")


class Platform:
    """Made once by `api.main`, closed at shutdown."""

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
        """Every permission there is, with the least built-in role that includes it; filled by the application."""
        self.kinds: dict[str, Kind] = {}
        """Every kind by its full name; filled by the application."""
        self._parts: dict[Callable[[Platform], Any], Any] = {}
        self._opening = threading.RLock()

    def part(self, opens: Callable[[Platform], T]) -> T:
        """The one object that `opens` makes, made on first use and then kept.

        Engines are opened this way: their libraries are imported when first needed, not when the API starts. Call it
        in a worker thread, since a first use may take seconds.
        """
        if opens not in self._parts:
            with self._opening:
                if opens not in self._parts:
                    self._parts[opens] = opens(self)
        return cast("T", self._parts[opens])

    def provide(self, opens: Callable[[Platform], T], part: T) -> None:
        """Puts `part` in the place of what `opens` would make. For tests and other compositions."""
        self._parts[opens] = part

    def close(self) -> None:
        """Stops the threads, closes what was opened, newest first, and then the database."""
        self.workers.close()
        for part in reversed(self._parts.values()):
            if callable(close := getattr(part, "close", None)):
                close()
        self.database.close()


def open_tables(platform: Platform) -> Tables:
    """The process's Delta tables: handles are kept, so that a second read of a table is cheap."""
    from lakehouse.tables import Tables

    return Tables.from_settings(platform.settings, platform.database)


def open_lineage(platform: Platform) -> Lineage:
    """The process's lineage graph."""
    from lakehouse.lineage import Lineage

    return Lineage(platform.database)
