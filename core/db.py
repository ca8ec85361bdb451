"""The metadata database: SQLite on a laptop, PostgreSQL at scale, SQLAlchemy Core on both.

Each module that owns tables registers them on `METADATA`; `migrations/` creates them.
One unit of work is one transaction: `with database.write() as connection: ...`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect

from core.errors import Unavailable
from core.private import private_file

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_NOTIFY = "headwater_notify"
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A timezone-aware instant. Without this type, SQLite drops the time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """The type of the values."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Converts the value to UTC; refuses a naive value, because the caller forgot the time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime: use core.clock.now()")
        try:
            return value.astimezone(UTC)
        except OverflowError:
            # A filter may name an instant outside the representable range; clamping keeps its comparisons correct.
            return _FIRST if value.year == 1 else _LAST

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
        """Run, in the committing thread, after the commit of each transaction that called `notify_after_commit`."""

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
            connection.info.pop(_NOTIFY, None)  # left over from a transaction that was rolled back
            with connection.begin():
                yield connection
            notify = connection.info.pop(_NOTIFY, False)
        for callback in self.after_commit if notify else ():
            callback()

    def close(self) -> None:
        """Closes the pooled connections."""
        self.engine.dispose()


class Prepared:
    """An insert or update that is compiled once and passed directly to the driver.

    For the few statements that every change runs. SQLAlchemy still compiles the statement and converts the values. It
    doesn't build an execution context and a result for each run, which takes longer than the statement itself.
    """

    def __init__(self, statement: sa.Insert | sa.Update) -> None:
        self.statement = statement
        self._forms: dict[str, _Form] = {}

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Runs the statement once per row of parameters; returns how many table rows it affected."""
        dialect = connection.dialect
        # By name, because all engines of a system are configured alike. A form refers to the dialect object that it was
        # compiled for: keyed by that object, it would keep the engines of a process alive.
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _form(self.statement, dialect)
        parameters: Any = [form.parameters(row) for row in rows]
        return connection.exec_driver_sql(form.sql, parameters if len(rows) > 1 else parameters[0]).rowcount


class _Form(NamedTuple):
    """The statement in the dialect of one database."""

    sql: str
    converters: dict[str, Callable[[Any], Any] | None]
    """Converter of each parameter, in the order of the statement."""
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
    """Returns an insert that supports `ON CONFLICT`, for rows that another process may create concurrently."""
    return (sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert)(table)


def upsert(connection: Connection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Updates the row with this primary key, or inserts it."""
    row = insert(connection, table).values(**key, **values)
    connection.execute(row.on_conflict_do_update(index_elements=list(key), set_=dict(values)))


def notify_after_commit(connection: Connection) -> None:
    """Requests that the `after_commit` callbacks of the database run once this transaction is committed."""
    connection.info[_NOTIFY] = True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sa.exc.OperationalError as error:
        # Only the driver's message: SQLAlchemy's own text repeats the statement and its parameters.
        raise Unavailable(
            f"The metadata database did not answer ({str(error.orig).strip()}). Retry in a moment; "
            "if the error persists, run `headwater doctor`.",
            retry_after_seconds=1,
        ) from error
    except sa.exc.TimeoutError as error:
        raise Unavailable(
            "Too many requests are waiting for the metadata database. Retry in a moment.", retry_after_seconds=1
        ) from error


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _engine(url: str) -> sa.Engine:
    common: dict[str, Any] = {
        # Keeps parameters out of errors, and therefore out of logs: a parameter can be a secret.
        "hide_parameters": True,
        "json_serializer": _json,
        "json_deserializer": msgspec.json.decode,
        "pool_size": 10,
    }
    if not url.startswith("sqlite"):
        return sa.create_engine(url, max_overflow=10, pool_pre_ping=True, **common)
    engine = sa.create_engine(url, connect_args={"timeout": 15, "check_same_thread": False}, **common)
    file = engine.url.database or ":memory:"

    @sa.event.listens_for(engine, "do_connect")
    def _keep_private(*_: Any) -> None:
        if not file.startswith((":", "file:")):
            # SQLite creates its WAL and shared-memory files with the file mode of the database file.
            with suppress(FileNotFoundError):
                private_file(Path(file))

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver: see _begin
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Taking the write lock at the start avoids a "database is locked" error in the middle of the transaction.
        write = connection.get_execution_options().get("headwater_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
