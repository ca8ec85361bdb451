"""SQL over the lakehouse: DuckDB on snapshots, read-only, without access to files or the network."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import DeadlineExceeded, HeadwaterError, InvalidArgument, PermissionDenied, UnknownColumn, UnknownTable
from lakehouse.duckdb_connection import open_connection
from lakehouse.restrictions import Restriction, applicable
from lakehouse.snapshot import Snapshot
from lakehouse.sql_functions import SESSION_KEYWORDS
from lakehouse.statements import Statement, check_statement
from lakehouse.tables import Tables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_BATCH_ROWS = 122_880
"""Number of rows in a batch of DuckDB."""

_NO_COLUMN = re.compile(r'(?:Referenced column|have a column named) "([^"]+)"')
_SESSION = re.compile(rf'Macro "?({"|".join(SESSION_KEYWORDS)})"?\(\) does not support')
_CANDIDATES = re.compile(r"Candidate bindings: :?\s*(.+)")


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of a query, and the exact versions that it read."""

    table: pa.Table
    inputs: Mapping[str, Snapshot]
    truncated: bool
    """Whether the query has more rows than `limit`."""


class Query:
    """SQL queries. Statements name tables by their ids, such as `flights.silver.flights`. Thread-safe."""

    def __init__(
        self,
        tables: Tables,
        *,
        timeout_seconds: float = 60.0,
        threads: int = 2,
        memory_limit: str = "2GB",
        result_bytes: int | None = None,
        visible: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """Configures the queries. Each query opens its own connection.

        Args:
            tables: the lakehouse.
            timeout_seconds: time after which a query is stopped.
            threads: number of threads of one query.
            memory_limit: memory limit of DuckDB for one query.
            result_bytes: size limit of a result; half of the machine's available memory by default.
            visible: returns whether SHOW TABLES lists a table. The caller must check the tables that a statement reads.
        """
        self._tables = tables
        self._result_bytes = result_bytes
        self._visible = visible
        self._timeout_seconds = timeout_seconds
        self._threads = threads
        self._memory_limit = memory_limit

    def check(self, statement: str) -> Statement:
        """Checks a statement, and returns it with the tables that it reads. The caller must check access to the tables.

        Raises:
            InvalidArgument, PermissionDenied, UnknownTable: as for `sql`.
        """
        with self._connection() as connection, _translated():
            return check_statement(connection, statement)

    def tables(self, statement: str) -> list[str]:
        """Returns the ids of the tables that a statement reads, sorted. Raises the errors of `check`."""
        return self.check(statement).tables

    def bind(self, statement: str, schemas: Mapping[str, pa.Schema]) -> pa.Schema:
        """Returns the columns of a statement's result without running the statement.

        Args:
            statement: as for `sql`.
            schemas: columns of every table that the statement reads, by id.

        Raises:
            InvalidArgument, PermissionDenied, UnknownTable, UnknownColumn: as for `sql`.
        """
        with self._connection() as connection, _translated():
            checked = check_statement(connection, statement)
            for number, name in enumerate(checked.tables):
                _register(connection, number, name, schemas[name].empty_table())
            _seal(connection)
            # The Arrow schema, as for `sql`, not DuckDB's.
            return connection.sql(f"SELECT * FROM ({checked.text}) LIMIT 0").to_arrow_table().schema  # noqa: S608 - checked

    def sql(
        self,
        statement: str,
        *,
        limit: int | None = None,
        versions: Mapping[str, int] = {},
        inputs: Mapping[str, Snapshot] = {},
        restrictions: Mapping[str, Restriction] = {},
    ) -> QueryResult:
        """Runs one SELECT, WITH, SHOW, or DESCRIBE. Filters and columns are pushed down to the files.

        Args:
            statement: the SQL statement.
            limit: maximum number of returned rows.
            versions: versions of tables to read instead of the newest ones.
            inputs: snapshots of tables to read instead of resolving their versions.
            restrictions: restrictions of tables, by id. The statement reads what they leave.

        Raises:
            InvalidArgument: the statement isn't valid SQL, or doesn't only read.
            UnknownTable, UnknownColumn, UnknownVersion: the statement uses a name or version that doesn't exist.
            PermissionDenied: the statement uses files, the network, or settings.
            DeadlineExceeded: the query took longer than the timeout.
        """
        with self._connection() as connection, _translated():
            checked = check_statement(connection, statement)
            if checked.lists_tables:
                return self._show_tables(limit)
            names = checked.tables
            if unused := sorted(set(versions) - set(names)):
                raise InvalidArgument(
                    f"`versions` names {', '.join(unused)}, which the statement doesn't read. Remove it."
                )
            snapshots = {
                name: inputs.get(name) or self._tables.snapshot(name, version=versions.get(name)) for name in names
            }
            for number, (name, snapshot) in enumerate(snapshots.items()):
                _register(connection, number, name, snapshot.dataset(), restrictions.get(name))
            _seal(connection)
            table = self._run(connection, checked.text, limit)
        truncated = limit is not None and table.num_rows > limit
        return QueryResult(table.slice(0, limit) if truncated else table, snapshots, truncated)

    def _run(self, connection: duckdb.DuckDBPyConnection, statement: str, limit: int | None) -> pa.Table:
        import duckdb

        if limit is not None:
            statement = f"SELECT * FROM ({statement}) LIMIT {int(limit) + 1}"  # noqa: S608 - generated from a checked tree
        timer = threading.Timer(self._timeout_seconds, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return self._collect(connection, statement)
        except duckdb.InterruptException as error:
            raise DeadlineExceeded(
                f"The query took longer than {self._timeout_seconds:g} seconds and was stopped. Filter earlier, "
                "aggregate, or make it an asset that a run computes."
            ) from error
        finally:
            timer.cancel()

    def _collect(self, connection: duckdb.DuckDBPyConnection, statement: str) -> pa.Table:
        """Returns all rows, up to the size limit. DuckDB's memory limit doesn't count them."""
        import psutil
        import pyarrow as pa

        limit = self._result_bytes or psutil.virtual_memory().available // 2
        with connection.sql(statement).to_arrow_reader(_BATCH_ROWS) as reader:
            batches, size = [], 0
            for batch in reader:
                batches.append(batch)
                size += batch.nbytes
                if size > limit:
                    raise InvalidArgument(
                        f"The result is larger than {limit / 1e6:,.0f} MB, the limit of one query. Select fewer "
                        "columns or rows, or aggregate."
                    )
            return pa.Table.from_batches(batches, reader.schema)

    def _show_tables(self, limit: int | None) -> QueryResult:
        import pyarrow as pa

        names = [name for name in self._tables.list() if self._visible(name)]
        listed = names if limit is None else names[:limit]
        table = pa.table({"name": pa.array(listed, pa.string())})
        return QueryResult(table, {}, truncated=len(listed) < len(names))

    def _connection(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        return open_connection(threads=self._threads, memory_limit=self._memory_limit)


def _register(
    connection: duckdb.DuckDBPyConnection, number: int, name: str, rows: Any, restriction: Restriction | None = None
) -> None:
    project, schema, table = (f'"{part}"' for part in name.split("."))
    connection.register(f"input_{number}", rows)
    connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {project}")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {project}.{schema}")
    # `is_asset_id` checked the name: it contains only lower-case letters, digits, and underscores.
    source = f"temp.main.input_{number}"
    view = f"CREATE VIEW {project}.{schema}.{table} AS"
    if restriction is None:
        connection.execute(f"{view} FROM {source}")
        return
    with applicable(name):
        connection.execute(f"{view} {restriction.select(connection, source)}")


def _seal(connection: duckdb.DuckDBPyConnection) -> None:
    # If no column has the name of such a keyword, DuckDB calls the function of that name. A macro with an argument
    # replaces the function, so that the keyword alone is an error.
    for name in SESSION_KEYWORDS:
        connection.execute(f'CREATE MACRO "{name}"(argument) AS argument')
    connection.execute("SET disabled_filesystems = 'LocalFileSystem'; SET lock_configuration = true")


@contextmanager
def _translated() -> Iterator[None]:
    import duckdb

    try:
        yield
    except HeadwaterError:
        raise
    except duckdb.PermissionException as error:
        raise PermissionDenied(
            "Queries can only read tables. They can't use files, the network, or settings."
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise InvalidArgument(
            "The query needs more memory than one query can have. Filter earlier, aggregate, or make it an asset."
        ) from error
    except duckdb.Error as error:
        raise _explain(str(error)) from error


def _explain(message: str) -> HeadwaterError:
    text = message.strip()
    if column := _NO_COLUMN.search(text):
        candidates = _CANDIDATES.search(text)
        existing = [name.strip().strip('"') for name in candidates.group(1).split(",")] if candidates else []
        hint = f" It has, for example, {', '.join(existing)}." if existing else ""
        return UnknownColumn(
            f"The query uses a column that does not exist: {column.group(1)}.{hint}",
            metadata={"column": column.group(1), "existing": existing},
        )
    if keyword := _SESSION.search(text):
        name = keyword.group(1)
        return UnknownColumn(f"The query uses a column that does not exist: {name}.", metadata={"column": name})
    if "Table with name" in text:
        return UnknownTable(f"{text.splitlines()[0]} Name tables by id: project.schema.table.")
    return InvalidArgument(f"The query failed: {text}")
