"""The metadata database: SQLite on a laptop, PostgreSQL at scale, SQLAlchemy Core on both.

Tables register themselves on `METADATA` from the module that owns them; `migrations/` creates them.
One unit of work is one transaction: `with database.write() as connection: ...`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect

from core.errors import Unavailable

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_TELLS = "headwater_tells"


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A timezone-aware instant; SQLite would otherwise drop the zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses a naive value: the caller forgot the zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: use core.clock.now()")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Returns the instant in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """Connections to the metadata database. Thread-safe; create it after a fork, never before."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        self.after_commit: list[Callable[[], None]] = []
        """Called, in its thread, after each transaction that was committed and has something to tell."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yields a connection for queries; a consistent snapshot, rolled back at the end."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yields a connection in one write transaction: committed on success, rolled back on any error."""
        connect = self.engine.connect().execution_options(headwater_write=True)
        with _translated(), connect as connection:
            connection.info.pop(_TELLS, None)  # of one that was rolled back
            with connection.begin():
                yield connection
            tells = connection.info.pop(_TELLS, False)
        for then in self.after_commit if tells else ():
            then()

    def close(self) -> None:
        """Closes pooled connections."""
        self.engine.dispose()


class Prepared:
    """An insert or update that goes to the driver as it was compiled: for the few that every change runs.

    SQLAlchemy writes the statement and its types convert the values. What is left out is what it makes anew for each
    run, a context and a result, which takes longer than the statement itself.
    """

    def __init__(self, statement: sa.Insert | sa.Update) -> None:
        self.statement = statement
        self._forms: WeakKeyDictionary[Dialect, _Form] = WeakKeyDictionary()

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Runs it with each of these parameters, and returns how many rows of the table that concerned."""
        form = self._forms.get(connection.dialect)
        if form is None:
            form = self._forms[connection.dialect] = _form(self.statement, connection.dialect)
        parameters: Any = [form.parameters(row) for row in rows]
        return connection.exec_driver_sql(form.sql, parameters if len(rows) > 1 else parameters[0]).rowcount


class _Form(NamedTuple):
    """A statement as one database takes it."""

    sql: str
    converters: dict[str, Callable[[Any], Any] | None]
    """Of each parameter, in the order of the statement."""
    positional: bool

    def parameters(self, row: Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        if self.positional:
            return tuple([convert(row[name]) if convert else row[name] for name, convert in self.converters.items()])
        return {name: convert(row[name]) if convert else row[name] for name, convert in self.converters.items()}


def _form(statement: sa.Insert | sa.Update, dialect: Dialect) -> _Form:
    compiled: Any = statement.compile(dialect=dialect)
    converters = {
        name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
        for name in compiled.positiontup or compiled.binds
    }
    return _Form(compiled.string, converters, bool(compiled.positiontup))


def insert(connection: Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that may say what happens if the row is there already, also if another process is about to make it."""
    return (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table)


def put(connection: Connection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Sets values in the row with this primary key, or makes it."""
    row = insert(connection, table).values(**key, **values)
    connection.execute(row.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


def tell(connection: Connection) -> None:
    """Says that others wait for what this transaction does: they are called once it is committed."""
    connection.info[_TELLS] = True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        # The driver's message only: SQLAlchemy's own text repeats the statement and its parameters.
        raise Unavailable(
            f"The metadata database did not answer ({str(error.orig).strip()}). Retry in a moment; "
            "if it persists, run `headwater doctor`.",
            retry_after_seconds=1,
        ) from error
    except sa.exc.TimeoutError as error:
        raise Unavailable("Too many requests wait for the metadata database.", retry_after_seconds=1) from error


def _engine(url: str) -> sa.Engine:
    common: dict[str, Any] = {
        # Parameters stay out of errors, and so out of logs: one may be a secret.
        "hide_parameters": True,
        "json_serializer": lambda value: msgspec.json.encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
        "pool_size": 10,
    }
    if not url.startswith("sqlite"):
        return sa.create_engine(url, max_overflow=10, pool_pre_ping=True, **common)
    engine = sa.create_engine(url, connect_args={"timeout": 15, "check_same_thread": False}, **common)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy, not the driver, begins transactions: see _begin
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A write lock taken at the start cannot fail half-way with "database is locked".
        write = connection.get_execution_options().get("headwater_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
