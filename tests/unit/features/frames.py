"""Tables in memory, which the engine reads like a version of a Delta table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from features.online import OnlineStore, serving
from features.rows import ViewColumns, ViewRows, read_rows

ASSET = "shop.online.customers"
TABLE = "shop.features.customers"
START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Frame:
    content: pa.Table
    table: str = TABLE

    @property
    def schema(self) -> pa.Schema:
        return self.content.schema

    def to_arrow(self, *, columns: Sequence[str] | None = None) -> pa.Table:
        return self.content if columns is None else self.content.select(list(columns))


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def rows_of(content: pa.Table, columns: ViewColumns) -> ViewRows:
    return read_rows(Frame(content), columns)  # type: ignore[arg-type]


def write(store: OnlineStore, rows: ViewRows, as_of: int, version: int = 1, table_id: str = "t") -> bool:
    made = serving(rows, table=TABLE, table_id=table_id, table_version=version, as_of=as_of)
    return store.write(ASSET, made.served, made.batches)


def plain(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Values that can be compared, NaN included."""
    return [repr(value) for value in column.to_pylist()]


def customers(*rows: tuple[Any, int | None, Any]) -> pa.Table:
    """Customer, minutes of the event time, and spending."""
    return pa.table(
        {
            "customer": pa.array([row[0] for row in rows], pa.int64()),
            "seen_at": pa.array([None if row[1] is None else at(row[1]) for row in rows], pa.timestamp("us", "UTC")),
            "spent": pa.array([row[2] for row in rows], pa.float64()),
        }
    )


def interrupted(batches: Iterator[Any], after: int) -> Iterator[Any]:
    for number, batch in enumerate(batches):
        if number == after:
            raise KeyboardInterrupt
        yield batch
