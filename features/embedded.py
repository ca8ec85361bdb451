"""The embedded online store: one SQLite file for each project, with a write-ahead log."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import msgspec

from core.errors import Unavailable
from features.online import Found, OnlineRow, Served, served_of, superseded

_BUSY_SECONDS = 20.0
_CACHE_KIB = 16_384
"""Memory for pages of a file, for each thread that reads it."""

_KEYS = 512
"""Number of keys in one statement."""

_TABLES = """
CREATE TABLE IF NOT EXISTS generation (
  id INTEGER PRIMARY KEY AUTOINCREMENT, asset TEXT NOT NULL, served BLOB NOT NULL, current INTEGER NOT NULL,
  pushed_until INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS generation_asset ON generation (asset, current);
CREATE TABLE IF NOT EXISTS online_row (
  generation INTEGER NOT NULL, key BLOB NOT NULL, event_at INTEGER NOT NULL, "values" BLOB NOT NULL,
  PRIMARY KEY (generation, key, event_at)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pushed (
  asset TEXT NOT NULL, key BLOB NOT NULL, event_at INTEGER NOT NULL, "values" BLOB NOT NULL, source TEXT NOT NULL,
  number INTEGER NOT NULL, PRIMARY KEY (asset, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pushed_number ON pushed (asset, number);
"""


class EmbeddedStore:
    """Online rows in `<folder>/<project>.db`. Threads and processes can use it at the same time."""

    def __init__(self, folder: Path, *, waits: bool = True) -> None:
        """Opens the store.

        Args:
            folder: where the files are.
            waits: whether calls wait while another process has locked a file, instead of failing.
        """
        self._folder = folder
        self._busy_seconds = _BUSY_SECONDS if waits else 0.0
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def at_once(self) -> EmbeddedStore:
        """Returns the same store, whose reads fail instead of waiting."""
        return EmbeddedStore(self._folder, waits=False)

    def served(self, asset: str) -> Served | None:
        """Returns the version that is served, or `None` before the first write."""
        found = self.read(asset, [])
        return found.served if found else None

    def read(self, asset: str, keys: Sequence[bytes]) -> Found | None:
        """Returns the rows of entities, all from one version, or `None` before the first write."""
        if not _inode(self._path(asset)):
            return None
        served: Served | None = None
        rows: dict[bytes, list[OnlineRow]] = {}
        unique = list(dict.fromkeys(keys))
        # A statement reads from one snapshot. Several need a transaction for that.
        with self._transaction(asset, "BEGIN" if len(unique) > _KEYS else "") as connection:
            for start in range(0, len(unique) or 1, _KEYS):
                part = unique[start : start + _KEYS]
                for version, key, event_at, values, source in connection.execute(_reading(len(part)), (asset, *part)):
                    if version is not None:
                        served = served_of(version)
                    elif key in rows:
                        rows[key].append(OnlineRow(event_at, values, source))
                    else:
                        rows[key] = [OnlineRow(event_at, values, source)]
        return Found(served, rows) if served else None

    def write(self, asset: str, served: Served, batches: Iterator[list[tuple[bytes, OnlineRow]]]) -> bool:
        """Replaces the rows by those of a version, all at once. Raises and returns as `OnlineStore.write`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._transaction(asset, "BEGIN IMMEDIATE") as connection:
            newest = connection.execute("SELECT max(number) FROM pushed WHERE asset = ?", (asset,)).fetchone()[0]
            generation = connection.execute(
                "INSERT INTO generation (asset, served, current, pushed_until) VALUES (?, ?, 0, ?)",
                (asset, msgspec.msgpack.encode(served), newest or 0),
            ).lastrowid
            # Those of earlier writes, which were interrupted or are overtaken by this one.
            self._drop(connection, asset, "id < ? AND current = 0", generation)
        for batch in batches:
            with self._transaction(asset, "BEGIN IMMEDIATE") as connection:
                connection.executemany(
                    "INSERT INTO online_row VALUES (?, ?, ?, ?)",
                    ((generation, key, row.event_at, row.values) for key, row in batch),
                )
        return self._switch(asset, served, generation)

    def push(self, asset: str, rows: Sequence[tuple[bytes, OnlineRow]]) -> int:
        """Adds rows to what is served. Of each entity, the newest counts. Returns the number of stored rows."""
        with self._transaction(asset, "BEGIN IMMEDIATE") as connection:
            number = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM pushed").fetchone()[0]
            until = connection.execute("SELECT coalesce(max(pushed_until), 0) FROM generation").fetchone()[0]
            before = connection.total_changes
            connection.executemany(
                'INSERT INTO pushed VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (asset, key) DO UPDATE SET "values" = '
                'excluded."values", event_at = excluded.event_at, source = excluded.source, number = excluded.number '
                "WHERE excluded.event_at >= pushed.event_at",
                ((asset, key, row.event_at, row.values, row.source, max(number, until + 1)) for key, row in rows),
            )
            return connection.total_changes - before

    def assets(self) -> list[str]:
        """Returns the ids of the assets of which rows are stored."""
        found: set[str] = set()
        for file in self._folder.glob("*.db"):
            with self._transaction(file.stem, "BEGIN") as connection:
                rows = connection.execute("SELECT asset FROM generation UNION SELECT asset FROM pushed")
                found.update(asset for (asset,) in rows)
        return sorted(found)

    def remove(self, asset: str, served: Served) -> bool:
        """Removes all rows of an asset, if this version is still served. Returns whether it was."""
        with self._transaction(asset, "BEGIN IMMEDIATE") as connection:
            if _current(connection, asset) != served:
                return False
            self._drop(connection, asset, "current = ?", 1)  # not a write in progress, which would leave its rows
            connection.execute("DELETE FROM pushed WHERE asset = ?", (asset,))
        return True

    def expire(self, asset: str, before: int) -> int:
        """Deletes rows whose event time is before a moment. Returns their number, with pushed rows."""
        with self._transaction(asset, "BEGIN IMMEDIATE") as connection:
            changes = connection.total_changes
            written = "SELECT id FROM generation WHERE asset = ?"
            connection.execute(
                f"DELETE FROM online_row WHERE event_at < ? AND generation IN ({written})",  # noqa: S608 - a constant
                (before, asset),
            )
            connection.execute("DELETE FROM pushed WHERE event_at < ? AND asset = ?", (before, asset))
            return connection.total_changes - changes

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()
        self._local = threading.local()

    def _switch(self, asset: str, served: Served, generation: int | None) -> bool:
        """Makes a written version the one that is served."""
        with self._transaction(asset, "BEGIN IMMEDIATE") as connection:
            own = connection.execute("SELECT pushed_until FROM generation WHERE id = ?", (generation,)).fetchone()
            if own is None:
                raise superseded(asset)
            before = _current(connection, asset)
            if before and before.table_id == served.table_id and before.table_version > served.table_version:
                self._drop(connection, asset, "id = ?", generation)
                return False
            connection.execute("UPDATE generation SET current = 0 WHERE asset = ?", (asset,))
            connection.execute("UPDATE generation SET current = 1 WHERE id = ?", (generation,))
            connection.execute("DELETE FROM pushed WHERE asset = ? AND number <= ?", (asset, own[0]))
            self._drop(connection, asset, "id < ?", generation)
        return True

    def _drop(self, connection: sqlite3.Connection, asset: str, condition: str, generation: int | None) -> None:
        chosen = f"SELECT id FROM generation WHERE asset = ? AND {condition}"  # noqa: S608 - a constant
        connection.execute(f"DELETE FROM online_row WHERE generation IN ({chosen})", (asset, generation))  # noqa: S608
        connection.execute(f"DELETE FROM generation WHERE id IN ({chosen})", (asset, generation))  # noqa: S608

    def _path(self, asset: str) -> str:
        return f"{self._folder}/{_project(asset)}.db"

    @contextmanager
    def _transaction(self, asset: str, begin: str) -> Iterator[sqlite3.Connection]:
        connection: sqlite3.Connection | None = None
        try:
            connection = self._connection(asset)
            if begin:
                connection.execute(begin)
            yield connection
            if begin:
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise Unavailable(f"The online store of {asset} does not respond: {error}. Try again.") from error
        except sqlite3.DatabaseError as error:
            raise Unavailable(
                f"The file of the online store of {asset} is damaged: {error}. Move it out of the home folder, and "
                "materialize the online assets of the project."
            ) from error
        finally:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")

    def _connection(self, asset: str) -> sqlite3.Connection:
        """Returns the connection of this thread to the file of a project. A file that was replaced is opened again."""
        files: dict[str, tuple[int, sqlite3.Connection]] = self._local.__dict__.setdefault("files", {})
        path = self._path(asset)
        if path in files and files[path][0] == _inode(path):
            return files[path][1]
        connection = sqlite3.connect(path, isolation_level=None, timeout=self._busy_seconds, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.executescript(_TABLES)
        with self._lock:
            if path in files:
                self._open.remove(files[path][1])
                files[path][1].close()
            self._open.append(connection)
        files[path] = _inode(path), connection
        return connection


def _inode(path: str) -> int:
    """Returns the number of a file, or 0 if there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - faster than pathlib, and before each read
    except FileNotFoundError:
        return 0


def _project(asset: str) -> str:
    return asset.partition(".")[0]


def _current(connection: sqlite3.Connection, asset: str) -> Served | None:
    """Returns the version that is served."""
    select = "SELECT served FROM generation WHERE asset = ? AND current = 1"
    row = connection.execute(select, (asset,)).fetchone()
    return served_of(row[0]) if row else None


@cache
def _reading(keys: int) -> str:
    """Returns the statement that reads what is served of an asset, and the rows of so many keys."""
    marks = ",".join(f"?{n + 2}" for n in range(keys))
    return f"""
SELECT served, NULL, NULL, NULL, NULL FROM generation WHERE asset = ?1 AND current = 1
UNION ALL SELECT NULL, key, event_at, "values", '' FROM online_row WHERE key IN ({marks})
  AND generation = (SELECT id FROM generation WHERE asset = ?1 AND current = 1)
UNION ALL SELECT NULL, key, event_at, "values", source FROM pushed WHERE key IN ({marks}) AND asset = ?1
  AND EXISTS (SELECT 1 FROM pushed WHERE asset = ?1)
"""  # noqa: S608 - numbers of parameters
