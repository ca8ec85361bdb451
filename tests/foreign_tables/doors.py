"""Every way to the rows of a table, as functions of the same shape."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.query import Query
from lakehouse.stored_types import canonical
from lakehouse.tables import Tables

DIFF = "diff with the empty table"
Door = Callable[[Tables, str], pa.Table]


def _cloned(tables: Tables, name: str) -> pa.Table:
    target = f"{name}_clone_{uuid4().hex[:8]}"
    tables.clone(name, target)
    return tables.snapshot(target).to_arrow()


def _differing(tables: Tables, name: str) -> pa.Table:
    # Against the table when it was empty: everything in it has been added.
    snapshot = tables.snapshot(name)
    return tables.diff(name, 0, snapshot.version).added


def _paged(tables: Tables, name: str) -> pa.Table:
    snapshot = tables.snapshot(name)
    size = max(snapshot.row_count // 3, 1)
    pages = [snapshot.to_arrow(limit=size, offset=start) for start in range(0, snapshot.row_count + size, size)]
    return pa.concat_tables(pages)


def _selected_in_polars(tables: Tables, name: str) -> pa.Table:
    frame = tables.snapshot(name).scan()
    names = frame.collect_schema().names()
    return pa.table(frame.filter(pl.col(names[0]).is_not_null()).select(names).collect())


DOORS: dict[str, Door] = {
    "arrow": lambda tables, name: tables.snapshot(name).to_arrow(),
    "arrow, pages": _paged,
    "arrow, streamed": lambda tables, name: tables.snapshot(name).batches().read_all(),
    "polars": lambda tables, name: pa.table(tables.snapshot(name).scan().collect()),
    "polars, filtered": _selected_in_polars,
    "sql": lambda tables, name: Query(tables).sql(f"SELECT * FROM {name}").table,
    "sql, filtered": lambda tables, name: Query(tables).sql(f"SELECT * FROM {name} WHERE 1 = 1 OR 1 IS NULL").table,
    "clone": _cloned,
    DIFF: _differing,
}


def texts_of(rows: pa.Table, schema: pa.Schema, key: str) -> list[str]:
    """Rows in a form in which two engines' answers can be compared: in the types of `schema`, in order of `key`."""
    alike = pa.table({field.name: _column(rows[field.name], field.type) for field in schema})
    ordered = alike.take(pc.sort_indices(alike[key]))
    return [str(row) for row in zip(*(map(str, column) for column in ordered.columns), strict=True)]


def _column(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    spelled = canonical(kind)
    column = column if column.type.equals(spelled) else column.cast(spelled)
    if pa.types.is_temporal(spelled):
        return column.cast(pa.int64() if pa.types.is_timestamp(spelled) else pa.int32())
    return column
