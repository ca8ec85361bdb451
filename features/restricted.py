"""Features as a restricted reader gets them: the newest row of an entity is found first, and then hidden or masked.

So the past and the present answer alike, and features are never those of an older row than the newest one. An entity
whose newest row is hidden has no features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import PermissionDenied
from features.encoding import restored, schema_of, storable
from features.online import OnlineRow, Served, decoded, features_of
from features.rows import ViewColumns, ViewRows
from lakehouse.restrictions import seen_rows

if TYPE_CHECKING:
    from lakehouse.restrictions import Restriction
    from lakehouse.snapshot import Snapshot


def restricted_rows(rows: ViewRows, snapshot: Snapshot, restriction: Restriction) -> ViewRows:
    """Returns rows of a view, masked. Hidden rows stay in the index, without a position.

    Args:
        rows: the rows that `read_rows` returned.
        snapshot: the version that they are from.
        restriction: what policies hide of it.

    Raises:
        PermissionDenied: a key or the event time is masked, or the restriction doesn't fit the columns.
    """
    import polars as pl

    require_unmasked(snapshot.table, rows.columns, restriction)
    names, needed = rows.table.column_names, restriction.needs(rows.table.column_names)
    complete = snapshot.to_arrow(columns=[name for name in snapshot.schema.names if name.lower() in needed])
    seen = seen_rows(snapshot.table, complete, restriction, names)
    place = pl.DataFrame({"row": seen.positions}, schema={"row": rows.index.schema["row"]}).with_row_index("place")
    index = rows.index.join(place, on="row", how="left", maintain_order="left")
    return ViewRows(rows.columns, seen.table, index.with_columns(row="place").drop("place"))


def restricted_values(
    restriction: Restriction, served: Served, keys: Sequence[bytes | None], rows: Sequence[OnlineRow | None]
) -> list[list[Any] | None]:
    """Returns the stored values of online rows, masked. `None` for hidden rows, and where there is no row.

    Args:
        restriction: what policies hide of the columns that are served.
        served: the version that the rows are from.
        keys: the key of each row.
        rows: the rows.

    Raises:
        PermissionDenied: a key or the event time is masked, or the restriction doesn't fit the columns.
    """
    import pyarrow as pa

    schema = schema_of(served.schema)
    features = features_of(schema, served)
    require_unmasked(served.table, ViewColumns(served.keys, served.timestamp, tuple(features)), restriction)
    values: list[list[Any] | None] = [None] * len(rows)
    stored_rows = [(number, key, row) for number, (key, row) in enumerate(zip(keys, rows, strict=True)) if key and row]
    if not stored_rows:
        return values
    stored = [[*msgspec.msgpack.decode(key), *decoded(row)] for _, key, row in stored_rows]
    named = zip((*served.keys, *features), zip(*stored, strict=True), strict=True)
    columns = {name: restored(list(column), schema.field(name).type) for name, column in named}
    columns[served.timestamp] = pa.array([row.event_at for _, _, row in stored_rows], pa.timestamp("us", "UTC"))
    seen = seen_rows(served.table, pa.table(columns), restriction, features)
    masked = (
        zip(*(storable(seen.table[name]) for name in features), strict=True) if features else ((),) * len(stored_rows)
    )
    for position, one in zip(seen.positions, masked, strict=bool(features)):
        values[stored_rows[position][0]] = list(one)
    return values


def require_unmasked(table: str, columns: ViewColumns, restriction: Restriction) -> None:
    """Requires that a reader sees the keys and the event time, by which features are found.

    Raises:
        PermissionDenied: one is masked.
    """
    for name in (*columns.keys, columns.timestamp):
        if name in restriction.masks:
            raise PermissionDenied(
                f"A policy restricts what you read of {table}: it masks {name}, by which features are found. See the "
                "asset's `policies`."
            )
