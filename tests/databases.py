"""Databases for tests, and what all engines of a process share."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.util import LRUCache

from core.db import METADATA, Database


def with_tables(url: str) -> Database:
    """Returns an open database that has all tables.

    To create a hundred tables takes as long as most tests, so a new file of SQLite is a copy of one that has them.
    """
    file = sa.make_url(url).database if url.startswith("sqlite:///") else None
    if file and not Path(file).exists():
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_bytes(_with_tables(frozenset(METADATA.tables)))
        return Database(url)
    database = Database(url)
    METADATA.create_all(database.engine)
    return database


@cache
def _with_tables(names: frozenset[str]) -> bytes:
    """The file of an empty database. More tables may be declared later, by modules that are not imported yet."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "metadata.db")
        database = Database(f"sqlite:///{file}")
        METADATA.create_all(database.engine)
        database.close()
        return file.read_bytes()


@contextmanager
def administration(server: str | sa.URL) -> Iterator[sa.Connection]:
    """A connection that creates and drops databases of this PostgreSQL server."""
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """An empty database of this PostgreSQL server, dropped in the end; yields its SQLAlchemy URL."""
    name = f"test_{uuid.uuid4().hex}"
    with administration(server) as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield sa.make_url(server).set(database=name).render_as_string(hide_password=False)
    with administration(server) as connection:
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@contextmanager
def alone(url: sa.URL) -> Iterator[psycopg.Connection]:
    """A connection, in one transaction, to a PostgreSQL database from which all others are cut off.

    An earlier test may have left some. It goes without an engine, which would ask the server for its properties first.
    """
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        connection.execute(others, [url.database])
        connection.commit()
        yield connection


class SharedStatements(MutableMapping[Any, Any]):
    """Compiled statements of engines that are configured alike.

    An engine keeps what it compiled, by its dialect object and the statement. Without the first part of the key, the
    engines of all tests of a process share it.
    """

    def __init__(self) -> None:
        self._compiled: LRUCache[Any, Any] = LRUCache(4000)

    def __getitem__(self, key: Any) -> Any:
        return self._compiled[key[1:]]

    def __setitem__(self, key: Any, compiled: Any) -> None:
        self._compiled[key[1:]] = compiled

    def __delitem__(self, key: Any) -> None:
        del self._compiled[key[1:]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._compiled)

    def __len__(self) -> int:
        return len(self._compiled)


def compiled_statements(dialect: Any) -> SharedStatements:
    """The shared statements of this sort of engine. A compiled statement converts JSON as its engine was told to."""
    return _compiled_statements(dialect.name, dialect._json_serializer, dialect._json_deserializer)


@cache
def _compiled_statements(*_configuration: Any) -> SharedStatements:
    return SharedStatements()
