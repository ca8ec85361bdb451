"""SQL over the lakehouse: DuckDB on snapshots, read-only, without files or network."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import DeadlineExceeded, HeadwaterError, InvalidArgument, PermissionDenied, UnknownColumn, UnknownTable
from core.ids import is_asset_id
from lakehouse.snapshot import Snapshot
from lakehouse.tables import Tables

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_SHOW_TABLES = re.compile(r"\s*show\s+(all\s+)?tables\s*;?\s*", re.IGNORECASE)
_NO_COLUMN = re.compile(r'(?:Referenced column|have a column named) "([^"]+)"')
_CANDIDATES = re.compile(r"Candidate bindings: :?\s*(.+)")


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Rows of a query and the exact versions they came from."""

    table: pa.Table
    inputs: Mapping[str, Snapshot]
    truncated: bool
    """Whether there were more rows than `limit`."""


class Query:
    """Runs SQL. A table is named by its id, `flights.silver.flights`. Thread-safe; each query is on its own."""

    def __init__(
        self, tables: Tables, *, timeout_seconds: float = 60.0, threads: int = 2, memory_limit: str = "2GB"
    ) -> None:
        self._tables = tables
        self._timeout_seconds = timeout_seconds
        self._threads = threads
        self._memory_limit = memory_limit

    def tables(self, statement: str) -> list[str]:
        """Names of the tables a statement reads, sorted: what the caller must be allowed to read.

        Raises:
            InvalidArgument: it is not one valid SELECT, WITH, SHOW or DESCRIBE.
        """
        if _SHOW_TABLES.fullmatch(statement):
            return []
        with self._connection() as connection:
            return _tables_in(connection, statement)

    def sql(
        self,
        statement: str,
        *,
        limit: int | None = None,
        versions: Mapping[str, int] = {},
        inputs: Mapping[str, Snapshot] = {},
    ) -> QueryResult:
        """Runs one SELECT, WITH, SHOW or DESCRIBE. Filters and columns are pushed down to the files.

        Args:
            limit: most rows returned.
            versions: versions of tables to read instead of the newest.
            inputs: snapshots to read instead of resolving versions here.

        Raises:
            InvalidArgument: not valid SQL, or more than reading.
            UnknownTable, UnknownColumn, UnknownVersion: say what exists instead.
            PermissionDenied: it reaches for files, the network or settings.
            DeadlineExceeded: it took longer than the timeout.
        """
        if _SHOW_TABLES.fullmatch(statement):
            return self._show_tables(limit)
        with self._connection() as connection, _translated():
            names = _tables_in(connection, statement)
            if unused := sorted(set(versions) - set(names)):
                raise InvalidArgument(f"The statement does not read {', '.join(unused)}, of which a version was given.")
            snapshots = {
                name: inputs.get(name) or self._tables.snapshot(name, version=versions.get(name)) for name in names
            }
            for number, (name, snapshot) in enumerate(snapshots.items()):
                _expose(connection, number, name, snapshot)
            _seal(connection)
            table = self._run(connection, statement, limit)
        truncated = limit is not None and table.num_rows > limit
        return QueryResult(table.slice(0, limit) if truncated else table, snapshots, truncated)

    def _run(self, connection: duckdb.DuckDBPyConnection, statement: str, limit: int | None) -> pa.Table:
        import duckdb

        bounded = statement.strip().rstrip(";")
        if limit is not None:
            bounded = f"SELECT * FROM (\n{bounded}\n) LIMIT {int(limit) + 1}"  # noqa: S608 - running SQL is the purpose
        timer = threading.Timer(self._timeout_seconds, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return connection.sql(bounded).to_arrow_table()
        except duckdb.InterruptException as error:
            raise DeadlineExceeded(
                f"The query took longer than {self._timeout_seconds:g} seconds and was stopped. Filter earlier, "
                "aggregate, or make it an asset that a run computes."
            ) from error
        finally:
            timer.cancel()

    def _show_tables(self, limit: int | None) -> QueryResult:
        import pyarrow as pa

        names = self._tables.list()
        shown = names if limit is None else names[:limit]
        table = pa.table({"name": pa.array(shown, pa.string())})
        return QueryResult(table, {}, truncated=len(shown) < len(names))

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        config: dict[str, Any] = {
            "threads": self._threads,
            "memory_limit": self._memory_limit,
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": "",
        }
        with duckdb.connect(":memory:", config=config) as connection:
            # Else days and hours of instants would be those of whatever machine runs the query.
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def _tables_in(connection: duckdb.DuckDBPyConnection, statement: str) -> list[str]:
    ((serialized,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [statement]).fetchall()
    tree = json.loads(serialized)
    if tree.get("error_type") == "not implemented":
        raise InvalidArgument("Only SELECT, WITH, SHOW and DESCRIBE are allowed: queries read, steps write.")
    if tree.get("error"):
        raise InvalidArgument(f"The statement is not valid SQL: {tree.get('error_message')}.")
    if len(tree["statements"]) != 1:
        raise InvalidArgument("Send one statement at a time.")
    found = {
        ".".join(str(node[part]).lower() for part in ("catalog_name", "schema_name", "table_name"))
        for node in _nodes(tree)
        if node.get("type") == "BASE_TABLE" and node.get("catalog_name")
    }
    return sorted(name for name in found if is_asset_id(name) and not name.startswith(("system.", "temp.", "memory.")))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield node
            pending += node.values()
        elif isinstance(node, list):
            pending += node


def _expose(connection: duckdb.DuckDBPyConnection, number: int, name: str, snapshot: Snapshot) -> None:
    project, schema, table = (f'"{part}"' for part in name.split("."))
    connection.register(f"input_{number}", snapshot.dataset())
    connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {project}")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {project}.{schema}")
    # The name was checked by is_asset_id: lower-case letters, digits and underscores.
    connection.execute(f"CREATE VIEW {project}.{schema}.{table} AS FROM temp.main.input_{number}")


def _seal(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET lock_configuration = true")


@contextmanager
def _translated() -> Iterator[None]:
    import duckdb

    try:
        yield
    except HeadwaterError:
        raise
    except duckdb.PermissionException as error:
        raise PermissionDenied("Queries read tables only: no files, no network, no settings.") from error
    except duckdb.OutOfMemoryException as error:
        raise InvalidArgument(
            "The query needs more memory than one query may have. Filter earlier, aggregate, or make it an asset."
        ) from error
    except duckdb.Error as error:
        raise _explained(str(error)) from error


def _explained(message: str) -> HeadwaterError:
    text = message.strip()
    if column := _NO_COLUMN.search(text):
        candidates = _CANDIDATES.search(text)
        existing = [name.strip().strip('"') for name in candidates.group(1).split(",")] if candidates else []
        hint = f" It has, for example, {', '.join(existing)}." if existing else ""
        return UnknownColumn(
            f"The query names a column that does not exist: {column.group(1)}.{hint}",
            metadata={"column": column.group(1), "existing": existing},
        )
    if "Table with name" in text:
        return UnknownTable(f"{text.splitlines()[0]} Name tables by id: project.schema.table.")
    return InvalidArgument(f"The query failed: {text}")
