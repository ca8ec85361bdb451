"""Historical retrieval: for each row of a spine, the features that were the newest at its time.

A backward as-of join finds, for each entity and time, the newest row whose event time is not later. So a later row is
never used. A row that is older than the view's limit, or a missing one, is null, and a status says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from core.errors import InvalidArgument, SchemaMismatch
from features.rows import ViewRows, comparable, is_text

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


class FeatureStatus(StrEnum):
    """Whether an entity has a feature at a time. `NULL_VALUE`: its row is there and the value in it is null."""

    PRESENT = "PRESENT"
    NULL_VALUE = "NULL_VALUE"
    NOT_FOUND = "NOT_FOUND"
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"


@dataclass(frozen=True, slots=True)
class JoinedView:
    """A view to join to a spine."""

    name: str
    """Name of the view, for the columns `<name>__event_at` and `<name>__status`."""

    rows: ViewRows
    """The rows of the view at one version."""

    features: Mapping[str, str]
    """Features to return, each with the name of its column in the result."""

    keys: Mapping[str, str]
    """The column of the spine for each key of the view."""


def retrieve(spine: pa.Table, time: str, views: Sequence[JoinedView]) -> pa.Table:
    """Returns the spine with the features of each row at its time, in the order of the spine.

    For each view, `<name>__event_at` is the event time of the row that was found, and `<name>__status` one of
    `PRESENT`, `NOT_FOUND`, and `OUTSIDE_MAX_AGE`.

    Raises:
        InvalidArgument: the spine lacks a column, or two columns of the result have the same name.
        SchemaMismatch: a column of the spine has another type than the view needs.
    """
    import polars as pl
    import pyarrow as pa

    _require(spine, time, views)
    moments = pl.Series("at", pl.Series(spine[time]).dt.timestamp("us"), dtype=pl.Int64)
    result = spine
    for view in views:
        wanted = pl.DataFrame(spine.select(list(dict.fromkeys(view.keys.values()))))
        wanted = wanted.select(pl.col(column).alias(key) for key, column in view.keys.items())
        found = newest(view.rows, comparable(wanted, view.rows.columns.keys), moments)
        present = found["row"].set(found["status"] != FeatureStatus.PRESENT.value, None)
        taken = view.rows.table.take(pa.array(present.to_arrow(), pa.uint32()))
        for feature, column in view.features.items():
            kind = taken.schema.field(feature)
            result = result.append_column(pa.field(column, kind.type), taken[feature])
        event_at = pa.array(found["event_at"].to_arrow(), pa.int64()).cast(pa.timestamp("us", "UTC"))
        result = result.append_column(f"{view.name}__event_at", event_at)
        result = result.append_column(f"{view.name}__status", pa.array(found["status"].to_list(), pa.string()))
    return result


def newest(rows: ViewRows, wanted: pl.DataFrame, moments: pl.Series) -> pl.DataFrame:
    """Returns `row`, `event_at`, and `status` of the newest row of each wanted entity at its moment, in order.

    `row` and `event_at` are null if there is none, or if it is hidden, so that it has no position in the index.
    """
    import polars as pl

    keys = list(rows.columns.keys)
    asked = wanted.select(keys).with_columns(moments.alias("at")).with_row_index("position")
    known = asked.drop_nulls().sort("at", maintain_order=True)
    found = known.join_asof(
        rows.index, left_on="at", right_on="event_at", by=keys, coalesce=False, check_sortedness=False
    ).select("position", "row", "event_at")  # both sides are sorted above; Polars cannot check that per group
    joined = asked.join(found, on="position", how="left", maintain_order="left")
    # The difference of two instants of 64 bits may need more bits.
    age = pl.col("at").cast(pl.Int128) - pl.col("event_at").cast(pl.Int128)
    ttl = rows.columns.ttl_microseconds
    too_old = pl.lit(value=False) if ttl is None else age > ttl
    status = (
        pl.when(pl.col("row").is_null())
        .then(pl.lit(FeatureStatus.NOT_FOUND.value))
        .when(too_old)
        .then(pl.lit(FeatureStatus.OUTSIDE_MAX_AGE.value))
        .otherwise(pl.lit(FeatureStatus.PRESENT.value))
    )
    event_at = pl.when(pl.col("row").is_not_null()).then(pl.col("event_at"))
    return joined.select("row", event_at, status=status)


def _require(spine: pa.Table, time: str, views: Sequence[JoinedView]) -> None:
    import pyarrow as pa

    needed = [time, *(column for view in views for column in view.keys.values())]
    if missing := [name for name in needed if name not in spine.column_names]:
        raise InvalidArgument(f"The spine has no column {missing[0]!r}; it has {', '.join(spine.column_names)}.")
    kind = spine.schema.field(time).type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        raise SchemaMismatch(f"The column {time!r} is of type {kind}; a timestamp with time zone is needed.")
    names = [*spine.column_names]
    for view in views:
        names += [*view.features.values(), f"{view.name}__event_at", f"{view.name}__status"]
        for key, column in view.keys.items():
            wanted, given = view.rows.table.schema.field(key).type, spine.schema.field(column).type
            if _family(wanted) != _family(given):
                raise SchemaMismatch(
                    f"The column {column!r} of the spine is of type {given}; the key {key!r} of {view.name} is "
                    f"{wanted}."
                )
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InvalidArgument(
            f"Two columns of the result would be named {twice[0]!r}. Ask for full feature names, or rename a column."
        )


def _family(kind: pa.DataType) -> str:
    import pyarrow as pa

    return "integer" if pa.types.is_integer(kind) else "text" if is_text(kind) else str(kind)
