"""Restricted reading: rows of a snapshot without the rows and values that policies hide.

Conditions see true values. What is left is masked, so that everything that reads the result sees masked values only. An
expression that fails for a row hides the row, or its value: an error would disclose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from core.errors import PermissionDenied
from core.row_policies import MaskMethod, RoundUnit
from lakehouse.duckdb_connection import open_connection
from lakehouse.schemas import require_columns
from lakehouse.snapshot import Snapshot

if TYPE_CHECKING:
    import duckdb
    import polars as pl
    import pyarrow as pa

_KEY = "headwater_mask_key"
"""Variable of the connection with the key of hashes, so that no statement contains it. Users can't read variables."""

_BATCH_ROWS = 10_000
_NUMBER_NAMES = "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT FLOAT DOUBLE"
_NUMBERS = frozenset(_NUMBER_NAMES.split())
_TIMES = ("DATE", "TIMESTAMP")


@dataclass(frozen=True, slots=True)
class ColumnMask:
    """A mask of a column. A method that doesn't fit the type of the column masks with null."""

    method: MaskMethod
    constant: str = ""
    """For CONSTANT: the value as text."""
    first: int = 0
    """For PARTIAL: how many characters stay at the beginning."""
    last: int = 0
    """For PARTIAL: how many characters stay at the end."""
    digits: int = 0
    """For ROUND of numbers: digits after the point. Negative for tens, hundreds, and so on."""
    unit: RoundUnit = RoundUnit.YEAR
    """For ROUND of dates and times."""
    expression: str = ""
    """For EXPRESSION: SQL that `PolicyExpression.sql` returned."""
    reads: frozenset[str] = frozenset()
    """For EXPRESSION: columns that it reads, in lower case."""


NULL_MASK = ColumnMask(MaskMethod.NULL)


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a reader gets of a table."""

    masks: Mapping[str, ColumnMask]
    """Masks by column."""
    conditions: tuple[str, ...] = ()
    """SQL that `PolicyExpression.sql` returned. Only rows for which all are true are left."""
    key: str = field(default="", repr=False)
    """Key of hashes. Equal values of a tenant have equal hashes, in all tables."""
    reads: frozenset[str] = frozenset()
    """Columns that the conditions read, in lower case."""

    def needs(self, columns: Iterable[str]) -> frozenset[str]:
        """Returns the columns, in lower case, that are read to return these columns."""
        names = list(columns)
        masks = (self.masks[name].reads for name in names if name in self.masks)
        return frozenset(name.lower() for name in names).union(self.reads, *masks)

    def select(self, connection: duckdb.DuckDBPyConnection, source: str, columns: Sequence[str] | None = None) -> str:
        """Returns the statement that reads columns of a relation, by default all, restricted.

        An engine may evaluate conditions of a user's statement before those of the policy. Therefore hidden rows also
        have no values, so that no error of such a condition discloses one.
        """
        connection.execute(f"SET VARIABLE {_KEY} = ?", [self.key])
        described = connection.execute(f"DESCRIBE FROM {source}").fetchall()
        types = {str(name): str(kind) for name, kind, *_ in described}
        holds = " AND ".join(f"coalesce(TRY(CAST({one} AS BOOLEAN)), false)" for one in self.conditions) or "true"
        items = []
        for name in types if columns is None else columns:
            value = self._masked(name, types[name]) if name in self.masks else _quoted(name)
            items.append(f"{f'CASE WHEN {holds} THEN {value} END' if self.conditions else value} AS {_quoted(name)}")
        return f"SELECT {', '.join(items) or 'true'} FROM {source} WHERE {holds}"  # noqa: S608 - checked expressions

    def _masked(self, name: str, type: str) -> str:
        mask, column = self.masks[name], _quoted(name)
        value = "NULL"
        if mask.method is MaskMethod.CONSTANT:
            value = _text(mask.constant)
        elif mask.method is MaskMethod.EXPRESSION:
            value = mask.expression
        elif mask.method is MaskMethod.HASH and type in ("VARCHAR", "BIGINT"):
            inner = f"sha256(concat(getvariable('{_KEY}'), 'inner', CAST({column} AS VARCHAR)))"
            digest = f"CASE WHEN {column} IS NOT NULL THEN sha256(concat(getvariable('{_KEY}'), 'outer', {inner})) END"
            value = digest if type == "VARCHAR" else f"CAST('0x' || substr({digest}, 1, 15) AS BIGINT)"
        elif mask.method is MaskMethod.PARTIAL and type == "VARCHAR":
            first, last = f"left({column}, {int(mask.first)})", f"right({column}, {int(mask.last)})"
            enough = f"length({column}) > {int(mask.first) + int(mask.last)}"
            value = f"CASE WHEN {enough} THEN {first} || '***' || {last} WHEN {column} IS NOT NULL THEN '***' END"
        elif mask.method is MaskMethod.ROUND and (type in _NUMBERS or type.startswith("DECIMAL")):
            value = f"round({column}, {int(mask.digits)})"
        elif mask.method is MaskMethod.ROUND and type.startswith(_TIMES):
            value = f"date_trunc('{mask.unit.value}', {column})"
        return f"TRY(TRY_CAST({value} AS {type}))"


def combined(restrictions: Sequence[Restriction]) -> Restriction | None:
    """Returns what is left to a reader under all of these restrictions of one table. Different masks hide a column."""
    if not restrictions:
        return None
    masks: dict[str, ColumnMask] = {}
    for one in restrictions:
        for name, mask in one.masks.items():
            masks[name] = mask if masks.get(name, mask) == mask else NULL_MASK
    conditions = dict.fromkeys(condition for one in restrictions for condition in one.conditions)
    reads = frozenset().union(*(one.reads for one in restrictions))
    return Restriction(masks, tuple(conditions), restrictions[0].key, reads)


class RestrictedSnapshot:
    """A snapshot as a restricted reader gets it: what `Snapshot` offers to read rows, without files."""

    def __init__(self, snapshot: Snapshot, restriction: Restriction) -> None:
        self._snapshot = snapshot
        self._restriction = restriction
        self.table, self.table_id = snapshot.table, snapshot.table_id
        self.version, self.data_version = snapshot.version, snapshot.data_version
        self.schema = snapshot.schema

    @cached_property
    def row_count(self) -> int:
        """Number of rows that are left."""
        if not self._restriction.conditions:
            return self._snapshot.row_count
        return int(self._read([], "SELECT count(*) AS n FROM ({})")["n"][0].as_py())

    def to_arrow(self, *, columns: Sequence[str] | None = None, limit: int | None = None, offset: int = 0) -> pa.Table:
        """Returns rows as an Arrow table, files in log order. Arguments and errors are those of `Snapshot.to_arrow`."""
        import pyarrow as pa

        require_columns(self.table, self.schema.names, list(columns or ()))
        names = list(self.schema.names if columns is None else columns)
        page = f" LIMIT {int(limit)}" if limit is not None else ""
        found = self._read(names, "{}" + page + (f" OFFSET {int(offset)}" if offset else ""))
        return found.cast(pa.schema([self.schema.field(name).with_nullable(True) for name in names]))

    def batches(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """Returns a stream of all rows, files in log order. Arguments and errors are those of `Snapshot.batches`."""
        import pyarrow as pa

        require_columns(self.table, self.schema.names, list(columns or ()))
        names = list(self.schema.names if columns is None else columns)
        schema = pa.schema([self.schema.field(name).with_nullable(True) for name in names])

        def batches() -> Iterator[pa.RecordBatch]:
            with open_connection() as connection, applicable(self.table):
                connection.register("source", self._snapshot.dataset())
                selected = self._restriction.select(connection, "source", names)
                for batch in connection.sql(selected).to_arrow_reader(_BATCH_ROWS):
                    yield batch.cast(schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def scan(self) -> pl.LazyFrame:
        """Returns all rows as a lazy frame."""
        import polars as pl

        return pl.DataFrame(self.to_arrow()).lazy()

    def _read(self, columns: Sequence[str], statement: str) -> pa.Table:
        with open_connection() as connection, applicable(self.table):
            connection.register("source", self._snapshot.dataset())
            selected = self._restriction.select(connection, "source", columns)
            return connection.sql(statement.replace("{}", selected)).to_arrow_table()


@dataclass(frozen=True, slots=True)
class SeenRows:
    """The rows of an Arrow table that a restricted reader sees."""

    table: pa.Table
    """The rows, masked."""
    positions: Sequence[int]
    """Position that each of them has in the Arrow table."""


def seen_rows(table: str, rows: pa.Table, restriction: Restriction, columns: Sequence[str]) -> SeenRows:
    """Returns what a restricted reader sees of rows that are in memory, in their order.

    Args:
        table: id of the table that they are from.
        rows: the rows, with the columns that `Restriction.needs` names.
        restriction: what is hidden.
        columns: columns to return.

    Raises:
        PermissionDenied: the restriction doesn't fit the columns.
    """
    import pyarrow as pa

    place = "position"
    while place in {name.lower() for name in rows.column_names}:
        place += "_"
    numbered = rows.append_column(place, pa.array(range(rows.num_rows), pa.int64()))
    with open_connection() as connection, applicable(table):
        connection.register("source", numbered)
        selected = restriction.select(connection, "source", [*columns, place])
        found = connection.sql(selected).to_arrow_table().sort_by(place)
    schema = pa.schema([rows.schema.field(name).with_nullable(True) for name in columns])
    return SeenRows(found.select(list(columns)).cast(schema), found[place].to_pylist())


@contextmanager
def applicable(table: str) -> Iterator[None]:
    """Refuses to read a table whose columns don't fit the expressions of its policies. The error discloses no value."""
    import duckdb

    try:
        yield
    except duckdb.Error:
        raise PermissionDenied(
            f"A policy that restricts what you read of {table} doesn't fit its columns, so you can't read it. Ask the "
            "policy's author to change it."
        ) from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
