"""Dagster's embedded storage on SQLite with connections that stay open.

Dagster opens and closes a connection per statement, and closing the last one checkpoints the write-ahead log: a run
of one trivial asset spends 95 % of its time there. Kept connections, and WAL commits that wait for the checkpoint to
reach the disk, give the same tables in a twentieth of the time. A killed process loses nothing; a power cut may lose
the last moments of Dagster's log, never its consistency. The lakehouse and the metadata database do not rely on it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

import dagster as dg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from dagster_project.internals import (
    ConfigurableClassData,
    ConsolidatedSqliteEventLogStorage,
    SqliteRunStorage,
    SqliteScheduleStorage,
)

_BUSY_SECONDS = 30
_ENGINES: dict[tuple[int, str], sa.Engine] = {}
_STATEMENTS: sa.util.LRUCache[Any, Any] = sa.util.LRUCache(1000)
"""Compiled SQL, shared by all engines: compiling is most of the time of a short statement."""
_Storage = TypeVar("_Storage", bound="SqliteRunStorage | SqliteScheduleStorage")


class EmbeddedRunStorage(SqliteRunStorage):
    """Runs, their tags and snapshots, in `runs.db`."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Opens the store, creating it first if it is not there."""
        return _open(cls, config_value["base_dir"], "runs", inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yields a pooled connection in a transaction."""
        with _transaction(self._conn_string) as connection:
            yield connection


class EmbeddedScheduleStorage(SqliteScheduleStorage):
    """Ticks and states of schedules and sensors, in `schedules.db`."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Opens the store, creating it first if it is not there."""
        return _open(cls, config_value["base_dir"], "schedules", inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Yields a pooled connection in a transaction."""
        with _transaction(self._conn_string) as connection:
            yield connection


class EmbeddedEventLogStorage(ConsolidatedSqliteEventLogStorage):
    """All events of all runs in one file, `event_log.db`: no file, hence no migration, per run."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._known_tables: set[str] = set()
        with _creating(base_dir):
            super().__init__(base_dir, inst_data)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with _transaction(self._conn_string) as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        """Whether the table exists; asked for every asset event, and tables do not go away."""
        if table_name not in self._known_tables:
            if not sa.inspect(_engine(self._conn_string)).has_table(table_name):
                return False
            self._known_tables.add(table_name)
        return True


def _open(kind: type[_Storage], base_dir: str, name: str, inst_data: ConfigurableClassData | None) -> _Storage:
    """Opens a store. Comparing its schema revision costs 40 ms, so it is done once per version of Dagster."""
    ready = Path(base_dir) / f"{name}.ready"
    if not ready.exists() or ready.read_text() != dg.__version__:
        with _creating(base_dir):
            kind.from_local(base_dir)
            ready.write_text(dg.__version__)
    return kind(f"sqlite:///{Path(base_dir).absolute() / f'{name}.db'}", inst_data)


@contextmanager
def _creating(base_dir: str) -> Iterator[None]:
    """Holds the lock of creation: several processes start at once, and only one may create tables."""
    Path(base_dir).mkdir(parents=True, exist_ok=True)
    with (Path(base_dir) / "create.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    with _engine(url).connect() as connection, connection.begin():
        yield connection


def close() -> None:
    """Closes every connection of this process. What was learnt about statements stays, also for forked children."""
    for engine in _ENGINES.values():
        engine.dispose()
    _ENGINES.clear()


def _engine(url: str) -> sa.Engine:
    """The engine of this process: a connection must not cross a fork."""
    key = (os.getpid(), url)
    if key not in _ENGINES:
        _ENGINES[key] = _new_engine(url)
    return _ENGINES[key]


def _new_engine(url: str) -> sa.Engine:
    database = sa.make_url(url)

    def connect() -> Any:
        connection = sqlite3.connect(database.database or "", timeout=_BUSY_SECONDS, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    pool = sa.QueuePool(connect, pool_size=10, max_overflow=-1)
    return sa.Engine(pool, _dialect(), database, execution_options={"compiled_cache": _STATEMENTS})


@cache
def _dialect() -> sa.Dialect:
    """One for all engines, because compiled statements are kept per dialect."""
    with sa.create_engine("sqlite://").connect() as connection:
        return connection.dialect
