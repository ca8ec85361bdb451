"""Reads rows of PostgreSQL as Arrow, all of one snapshot.

The server writes each value as text (COPY), which has every value exactly. A type of Arrow that has all the values of a
type of PostgreSQL takes its place. A value that is an exception, such as `infinity`, is refused by its column. All
other types stay texts, in the notation of PostgreSQL.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.connector import Failed, Reading, Selection
from connectors.read_only_transaction import HARMLESS, HIDING, REFUSED, called

if TYPE_CHECKING:
    import psycopg
    import pyarrow as pa

_CHUNK_BYTES = 8 << 20

_NUMERIC, _BYTES = 1700, 17
_TYPES = {
    16: "bool",
    17: "binary",
    20: "int64",
    21: "int16",
    23: "int32",
    26: "int64",
    700: "float32",
    701: "float64",
    1082: "date32",
}
"""Arrow types by the OID of the type. Times, decimals, and texts are added by `_arrow_type`."""

_TIMESTAMP, _TIMESTAMP_UTC = 1114, 1184
_CURSORS = {20, 21, 23, 26, _NUMERIC, 1082, _TIMESTAMP, _TIMESTAMP_UTC}
"""OIDs of types that have one order, in the database and in a table."""

_NOTATION = (
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'iso_8601'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
)
_VERSION = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text"


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    oid: int
    modifier: int
    kind: str
    """The type as PostgreSQL writes it."""


def read(connection: psycopg.Connection[Any], selection: Selection) -> Reading:
    """Returns rows of the snapshot that this call takes. The connection is in use until all are read.

    Raises:
        Failed: there are no such rows, or a value can't be stored. Also raised while the rows are read.
    """
    import psycopg

    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    with _explained():
        for setting in _NOTATION:
            connection.execute(setting)
        row = connection.execute(_VERSION).fetchone()
        statement = _statement(connection, selection)
        columns = _columns(connection, statement)
        if selection.cursor:
            statement = _since(connection, statement, columns, selection)
    if selection.limit:
        statement = f"{statement} LIMIT {selection.limit:d}"
    schema = _schema(columns)
    return Reading(
        schema,
        {column.name: column.kind for column in columns},
        f"lsn:{row[0] if row else ''}",
        _batches(connection, statement, columns, schema),
    )


def _statement(connection: psycopg.Connection[Any], selection: Selection) -> str:
    """Returns the SELECT of a table or query, to which conditions can be added."""
    from psycopg import sql

    if selection.table:
        name = sql.Identifier(*selection.table).as_string(connection)
        return f"SELECT * FROM {name} AS source"  # noqa: S608 - the name is quoted
    query = selection.query.strip().rstrip(";")
    if HIDING.search(query):
        raise Failed("INVALID_QUERY", "Leave out comments (`--`, `/*`) and names or texts with `U&`.")
    # Parsed alone, it is one complete statement, so that it can't end the parentheses around it.
    _describe(connection, query)
    _refuse_functions(connection, query)
    return f"SELECT * FROM (\n{query}\n) AS source"  # noqa: S608 - its author may read through the connection


def _refuse_functions(connection: psycopg.Connection[Any], query: str) -> None:
    """Refuses functions as `ReadOnlyTransaction` does. A table or view has only those that its database gives it."""
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN (VERBOSE TRUE, COSTS FALSE) {query}"))
    names = sorted(called(query) | called(plan))
    asked = REFUSED.replace("$1", "%s").replace("$2", "%s")
    if refused := [name for (name,) in connection.execute(asked, (names, list(HARMLESS)))]:
        raise Failed(
            "FUNCTION_DENIED",
            f"The functions {', '.join(refused)} may not run here. Use built-in functions without side effects.",
        )


def _describe(connection: psycopg.Connection[Any], statement: str) -> Any:
    import psycopg
    from psycopg.pq import ExecStatus

    server = connection.pgconn
    for result in (server.prepare(b"", statement.encode()), server.describe_prepared(b"")):
        if result.status != ExecStatus.COMMAND_OK:
            raise psycopg.errors.lookup((result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"XX000").decode())(
                result.get_error_message()
            )
    if result.nparams:
        raise Failed("INVALID_QUERY", "The query has parameters such as $1. Write values into it.")
    return result


def _columns(connection: psycopg.Connection[Any], statement: str) -> list[_Column]:
    result = _describe(connection, statement)
    numbers = range(result.nfields)
    names = [(result.fname(number) or b"").decode() for number in numbers]
    types, modifiers = [result.ftype(number) for number in numbers], [result.fmod(number) for number in numbers]
    if not names:
        raise Failed("NO_COLUMNS", "The table or query has no columns.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise Failed("DUPLICATE_COLUMN", f"The query returns {repeated[0]} twice. Give one of them another name.")
    described = connection.execute(
        "SELECT format_type(kind, modifier) FROM unnest(%s::oid[], %s::int[]) WITH ORDINALITY AS t(kind, modifier, n)"
        " ORDER BY n",
        (types, modifiers),
    )
    kinds = [kind for (kind,) in described]
    return [_Column(*column) for column in zip(names, types, modifiers, kinds, strict=True)]


def _since(
    connection: psycopg.Connection[Any], statement: str, columns: Sequence[_Column], selection: Selection
) -> str:
    """Returns the statement for rows from a value of the cursor on, after the check that it is never null."""
    from psycopg import sql

    cursor = next((column for column in columns if column.name == selection.cursor), None)
    if cursor is None:
        known = ", ".join(column.name for column in columns)
        raise Failed("UNKNOWN_CURSOR", f"There is no column {selection.cursor}. There are {known}.")
    if cursor.oid not in _CURSORS or (cursor.oid == _NUMERIC and _decimal(cursor.modifier) is None):
        raise Failed(
            "UNORDERED_CURSOR",
            f"{cursor.name} has the type {cursor.kind}. A cursor is an integer, a numeric with precision and scale, a "
            "date, or a timestamp.",
        )
    name = sql.Identifier(cursor.name).as_string(connection)
    without = f"SELECT EXISTS (SELECT FROM ({statement}) AS rows WHERE {name} IS NULL)"  # noqa: S608 - as above
    if connection.execute(without).fetchone() == (True,):
        raise Failed(
            "NULL_CURSOR",
            f"{cursor.name} is null in some rows, so they would never be loaded. Use a query that leaves them out or "
            "gives them a value.",
        )
    if not selection.since:
        return statement
    literal = sql.Literal(selection.since).as_string(connection)
    return f"{statement} WHERE {name} >= {literal}::{cursor.kind}"


def _schema(columns: Sequence[_Column]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(column.name, _arrow_type(column)) for column in columns])


def _arrow_type(column: _Column) -> pa.DataType:
    import pyarrow as pa

    if column.oid == _TIMESTAMP:
        return pa.timestamp("us")
    if column.oid == _TIMESTAMP_UTC:
        return pa.timestamp("us", tz="UTC")
    if column.oid == _NUMERIC and (size := _decimal(column.modifier)):
        return pa.decimal128(*size)
    return pa.type_for_alias(_TYPES.get(column.oid, "string"))


def _decimal(modifier: int) -> tuple[int, int] | None:
    """Returns precision and scale of a numeric, or `None` if it has none that a table can have."""
    if modifier < 0:
        return None
    packed = modifier - 4
    precision, scale = packed >> 16 & 0xFFFF, (packed & 0x7FF ^ 0x400) - 0x400
    return (precision, scale) if 0 <= scale <= precision <= 38 else None


def _batches(
    connection: psycopg.Connection[Any], statement: str, columns: Sequence[_Column], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    copy = f"COPY ({statement}) TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')"
    with _explained(), connection.cursor() as cursor, cursor.copy(copy) as rows:
        chunk = bytearray()
        for row in rows:
            chunk += row
            if len(chunk) >= _CHUNK_BYTES:
                yield from _parsed(chunk, columns, schema)
                chunk = bytearray()
        if chunk:
            yield from _parsed(chunk, columns, schema)


def _parsed(chunk: bytearray, columns: Sequence[_Column], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Returns complete lines as rows."""
    import pyarrow as pa
    from pyarrow import csv

    read = {column.name: _read_type(column, schema) for column in columns}
    try:
        table = csv.read_csv(
            io.BytesIO(chunk),
            csv.ReadOptions(column_names=schema.names, block_size=len(chunk) + 1, use_threads=False),
            csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            csv.ConvertOptions(
                column_types=read,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
                timestamp_parsers=[csv.ISO8601],
            ),
        )
    except pa.ArrowInvalid as error:
        raise _unstorable(str(error), columns, schema) from error
    for column in columns:
        if column.oid == _BYTES:
            position = schema.get_field_index(column.name)
            table = table.set_column(position, schema.field(position), _decoded(table.column(position)))
    yield from table.to_batches()


def _read_type(column: _Column, schema: pa.Schema) -> pa.DataType:
    import pyarrow as pa

    return pa.string() if column.oid == _BYTES else schema.field(column.name).type


def _decoded(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Returns the bytes of texts such as `\\x00ff`."""
    import polars as pl
    import pyarrow as pa

    series = pl.Series(texts)
    return pa.chunked_array([series.str.slice(2).str.decode("hex").to_arrow().cast(pa.binary())])


def _unstorable(text: str, columns: Sequence[_Column], schema: pa.Schema) -> Failed:
    found = re.search(r"column #(\d+)", text)
    if found is None:
        return Failed("UNREADABLE_ROWS", "The server sent rows that could not be read.")
    column = columns[int(found[1])]
    return Failed(
        "VALUE_NOT_STORABLE",
        f"{column.name} ({column.kind}) has a value that {schema.field(column.name).type} can't hold, such as "
        "infinity, NaN, or a year before 1 or after 9999. Use a query that leaves it out or selects it as text.",
    )


@contextmanager
def _explained() -> Iterator[None]:
    """Raises errors of the driver as reasons that a user can act on."""
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or ""
        text = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        if state == "42501":
            raise Failed("PERMISSION_DENIED", f"The role of the connection may not read this: {text}") from error
        if state in ("42P01", "3F000"):
            raise Failed("UNKNOWN_TABLE", f"The database has no such table: {text}") from error
        if state.startswith("42") or state in ("0A000", "25006"):
            raise Failed("INVALID_QUERY", f"The database refused the query: {text}") from error
        raise Failed("READ_FAILED", f"The database ended the reading: {text}") from error
