"""Rows of a feature view: their entity keys, event times, and values, as one Arrow table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from core.errors import SchemaMismatch
from lakehouse.schemas import require_columns

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from lakehouse.snapshot import Snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ViewColumns:
    """The columns of a table that make a feature view."""

    keys: tuple[str, ...]
    """Columns that identify the entity."""

    timestamp: str
    """Column with the event time: from when on the row is the newest of its entity."""

    features: tuple[str, ...]
    """Columns with the values."""

    ttl: timedelta | None = None
    """Age up to which a row counts. Older rows count as missing. `None`: no limit."""

    @property
    def ttl_microseconds(self) -> int | None:
        """The age in microseconds."""
        return None if self.ttl is None else self.ttl // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ViewRows:
    """Rows of a view at one version of its table, one for each key and event time."""

    columns: ViewColumns
    table: pa.Table
    """Keys, event time, and features, with the types of the table."""

    index: pl.DataFrame
    """Keys, `event_at` (microseconds since 1970), and `row`, the position in `table`. Ordered by event time. A row
    that is hidden from a restricted reader has no position."""


def microseconds(instant: datetime) -> int:
    """Returns microseconds since 1970."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def read_rows(snapshot: Snapshot, columns: ViewColumns) -> ViewRows:
    """Returns the rows of a view at a version of its table.

    Rows without a key or an event time are left out. Among rows of an entity with the same event time, the one with
    the greatest values counts, in the order of the columns of the table.

    Raises:
        UnknownColumn: the table lacks a column.
        SchemaMismatch: a key is not an integer, a text, a boolean, or a date, or the event time is no instant.
    """
    names = list(dict.fromkeys([*columns.keys, columns.timestamp, *columns.features]))
    require_columns(snapshot.table, snapshot.schema.names, names)
    require_types(snapshot.schema, columns, snapshot.table)
    table = snapshot.to_arrow(columns=names)
    index = _index(table, columns)
    if index.select(*columns.keys, "event_at").is_duplicated().any():
        table, index = _resolved(snapshot, columns, names)
    return ViewRows(columns, table, index)


def duplicates(snapshot: Snapshot, columns: ViewColumns) -> int:
    """Returns the number of rows that share their keys and event time with another row."""
    named = list(dict.fromkeys([*columns.keys, columns.timestamp]))
    index = _index(snapshot.to_arrow(columns=named), columns)
    return int(index.select(*columns.keys, "event_at").is_duplicated().sum())


def require_types(schema: pa.Schema, columns: ViewColumns, table: str) -> None:
    """Checks the types of the keys, the event time, and the features.

    Raises:
        SchemaMismatch: a column has a type that it can't have. The message says which types it can have.
    """
    import pyarrow as pa

    types = pa.types
    require_instant(schema, columns.timestamp, table)
    for key in columns.keys:
        kind = schema.field(key).type
        if not (types.is_integer(kind) or is_text(kind) or types.is_boolean(kind) or types.is_date32(kind)):
            raise SchemaMismatch(f"{table}.{key} is of type {kind}. A key is an integer, a text, a boolean, or a date.")
    for name in columns.features:
        kind = schema.field(name).type
        if types.is_struct(kind) or types.is_map(kind) or types.is_interval(kind):
            raise SchemaMismatch(f"{table}.{name} is of type {kind}. A feature is a single value or a list of them.")


def require_instant(schema: pa.Schema, column: str, table: str) -> None:
    """Checks the type of the event time. Raises `SchemaMismatch` unless it is a timestamp with time zone."""
    import pyarrow as pa

    kind = schema.field(column).type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        raise SchemaMismatch(f"{table}.{column} is of type {kind}; a timestamp with time zone is needed.")


def is_text(kind: pa.DataType) -> bool:
    """Returns whether values of a type are text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def comparable(frame: pl.DataFrame, keys: tuple[str, ...]) -> pl.DataFrame:
    """Returns a frame whose keys have the one form that is compared: integers of 64 bits, texts, booleans, days."""
    import polars as pl

    integers = [name for name in keys if frame.schema[name].is_integer()]
    return frame.with_columns(pl.col(integers).cast(pl.Int64))


def _index(table: pa.Table, columns: ViewColumns) -> pl.DataFrame:
    """Returns the keys, event times, and positions of rows, ordered by event time."""
    import polars as pl

    named = list(dict.fromkeys([*columns.keys, columns.timestamp]))
    found = pl.DataFrame(table.select(named)).select(
        *columns.keys, event_at=pl.col(columns.timestamp).dt.timestamp("us")
    )
    return comparable(found, columns.keys).with_row_index("row").drop_nulls().sort("event_at", maintain_order=True)


def _resolved(snapshot: Snapshot, columns: ViewColumns, names: list[str]) -> tuple[pa.Table, pl.DataFrame]:
    """Returns the rows, with only the greatest of each key and event time in the index.

    The order includes all columns of the table that have one, so the choice depends neither on the order of the files
    nor on the features that are read.
    """
    import polars as pl

    complete = snapshot.to_arrow()
    table = complete.select(names)
    index = _index(table, columns)
    tied = index.select(*columns.keys, "event_at").is_duplicated()
    among = index.filter(tied).select("row")["row"]
    frame = pl.DataFrame(complete.take(among.to_arrow()))
    order = [name for name, kind in frame.schema.items() if not kind.is_nested()]
    rank = among.to_frame().with_columns(place=frame.select(pl.struct(order).rank("ordinal")).to_series())
    index = index.join(rank, on="row", how="left", maintain_order="left").sort("event_at", "place", nulls_last=False)
    index = index.unique([*columns.keys, "event_at"], keep="last", maintain_order=True)
    return table, index.drop("place")
