"""Computes a feature view: every feature from nothing but what was known when its prediction was due.

All aggregates come from running totals over events in the order in which they became known: the total at the end of
a window less the total at its start. Reading a running total at an instant is a backward as-of join, so a later
event cannot enter. Each group also records the newest instant it used, as evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from assets.features.view import (
    AsOfGroup,
    BacklogGroup,
    FeatureView,
    RowGroup,
    WindowGroup,
    aggregate,
    duration,
    evidence_column,
)
from core.errors import SchemaMismatch

if TYPE_CHECKING:
    import polars as pl

_TICK = timedelta(microseconds=1)


def build(
    view: FeatureView,
    frames: Mapping[str, pl.DataFrame],
    *,
    predicted_from: datetime | None = None,
    predicted_until: datetime | None = None,
) -> pl.DataFrame:
    """Computes the view.

    Args:
        view: the declaration.
        frames: the rows of each source, by the source's name.
        predicted_from: leaves out entities whose prediction was due earlier.
        predicted_until: leaves out entities whose prediction was due later.

    Returns:
        One row per entity, ordered by time of prediction and then by the columns known ahead: the entity's columns,
        `predicted_at` (UTC), all features (float32, missing where nothing was known) and per group `<group>_seen_at`,
        the newest instant it used.

    Raises:
        SchemaMismatch: an expression does not fit the columns of its source.
    """
    import polars as pl

    try:
        entities, described = _entities(view, frames[view.entity.source], predicted_from, predicted_until)
        parts = [_group(view, group, entities, frames) for group in view.groups]
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"A feature cannot be computed: {error}") from error
    return pl.concat([described, *parts], how="horizontal")


def _entities(
    view: FeatureView, rows: pl.DataFrame, since: datetime | None, until: datetime | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    import polars as pl

    entity, source = view.entity, view.sources[view.entity.source]
    timestamp = pl.col(entity.timestamp)
    predicted_at = timestamp - duration(entity.offset) if entity.offset else timestamp
    local_midnight = predicted_at.dt.convert_time_zone(view.time_zone).dt.truncate("1d")
    rows = (
        rows.with_columns(
            predicted_at=predicted_at,
            day_start=local_midnight.dt.convert_time_zone("UTC"),
            day=local_midnight.dt.date(),
            local_time=timestamp.dt.convert_time_zone(view.time_zone).dt.replace_time_zone(None),
        )
        .filter(
            pl.lit(value=True) if since is None else pl.col("predicted_at") >= since,
            pl.lit(value=True) if until is None else pl.col("predicted_at") <= until,
        )
        .sort("predicted_at", *source.columns)  # the same rows in the same order, however the source lies
        .with_row_index("row")
    )
    described = rows.select(
        *(pl.sql_expr(expression).alias(name) for name, expression in entity.columns.items()), "predicted_at"
    )
    # What is only known later stays out of the groups' reach.
    known = rows.select("row", "predicted_at", "day_start", "day", "local_time", *source.columns)
    return known, described


def _group(
    view: FeatureView,
    group: RowGroup | AsOfGroup | WindowGroup | BacklogGroup,
    entities: pl.DataFrame,
    frames: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    match group:
        case RowGroup():
            return entities.select(_features(group.features))
        case AsOfGroup():
            return _as_of(view, group, entities, frames[group.source])
        case WindowGroup():
            return _window(view, group, entities, frames[group.source])
        case BacklogGroup():
            return _backlog(view, group, entities, frames[group.source])


def _as_of(view: FeatureView, group: AsOfGroup, entities: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    instant = pl.sql_expr(str(view.sources[group.source].known_at))
    known = rows.select(*group.by, *_features(group.features), instant=instant).drop_nulls("instant")
    found = _latest(entities, known.sort("instant", maintain_order=True), group.by, "predicted_at")
    if group.max_age:
        fresh = found["instant"] >= entities["predicted_at"] - duration(group.max_age)
        found = found.with_columns(pl.when(fresh).then(pl.all()))
    return found.select(*group.features, pl.col("instant").alias(evidence_column(group.name)))


def _window(view: FeatureView, group: WindowGroup, entities: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    instant = pl.col(group.at) if group.at else pl.sql_expr(str(view.sources[group.source].known_at))
    aggregates = {name: aggregate(text) for name, text in group.features.items()}
    values = {expression: pl.sql_expr(expression) for _, expression in aggregates.values()}
    totals = _running_totals(rows, group.by, instant, values)
    until = pl.col("predicted_at") if group.until == "prediction" else pl.col("day_start") - _TICK
    entities = entities.with_columns(until=until)
    end = _latest(entities, totals, group.by, "until")
    difference = end
    if group.span is not None:
        start = pl.col("day_start") - _TICK if group.span == "day" else pl.col("until") - duration(group.span)
        before = _latest(entities.with_columns(start=start), totals, group.by, "start")
        difference = end.select(pl.col(column) - before[column] for column in end.columns if column != "instant")
    features = [_aggregated(name, function, expression) for name, (function, expression) in aggregates.items()]
    return difference.select(features).with_columns(end["instant"].alias(evidence_column(group.name)))


def _aggregated(name: str, function: str, expression: str) -> pl.Expr:
    import polars as pl

    total, count = pl.col(f"sum {expression}"), pl.col(f"count {expression}")
    known = {
        "COUNT": count,
        "SUM": pl.when(count > 0).then(total),
        "AVG": pl.when(count > 0).then(total / count),
    }
    return known[function].cast(pl.Float32).alias(name)


def _backlog(view: FeatureView, group: BacklogGroup, entities: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    opened, closed = pl.col(group.opened), pl.col(group.closed)
    rows = rows.with_columns(day=opened.dt.convert_time_zone(view.time_zone).dt.date())
    by = [*group.by, "day"]
    minute = {"minute": opened.dt.timestamp("us") / 60e6}
    # What ends before it begins (a flight that leaves early) was never open.
    ended = rows.filter(closed.is_not_null())
    begun = _latest(entities, _running_totals(rows, by, opened, minute), by, "predicted_at")
    done = _latest(entities, _running_totals(ended, by, pl.max_horizontal(opened, closed), minute), by, "predicted_at")
    count = begun["count minute"] - done["count minute"]
    mean_minute = (begun["sum minute"] - done["sum minute"]) / count
    now = entities["predicted_at"].dt.timestamp("us") / 60e6
    seen = pl.max_horizontal(begun["instant"], done["instant"])
    return pl.select(
        count.cast(pl.Float32).alias(group.count),
        pl.when(count > 0).then(now - mean_minute).cast(pl.Float32).alias(group.age_minutes),
        seen.alias(evidence_column(group.name)),
    )


def _features(features: Mapping[str, str]) -> list[pl.Expr]:
    import polars as pl

    return [pl.sql_expr(text).cast(pl.Float32).fill_nan(None).alias(name) for name, text in features.items()]


def _running_totals(
    rows: pl.DataFrame, by: Sequence[str], instant: pl.Expr, values: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """Per event, in order of `instant`: sum and count of each value over all events so far that share `by`."""
    import polars as pl

    events = (
        rows.select(*by, *(value.cast(pl.Float64).alias(name) for name, value in values.items()), instant=instant)
        .drop_nulls("instant")
        .sort("instant", maintain_order=True)
    )
    totals = []
    for name in values:
        totals.append(pl.col(name).fill_null(0.0).cum_sum().over(by).alias(f"sum {name}"))
        totals.append(pl.col(name).is_not_null().cast(pl.Float64).cum_sum().over(by).alias(f"count {name}"))
    return events.select(*by, "instant", *totals)


def _latest(entities: pl.DataFrame, known: pl.DataFrame, by: Sequence[str], bound: str) -> pl.DataFrame:
    """For each entity, in its order, the newest row of `known` at or before `bound`; totals of nothing are zero."""
    import polars as pl

    found = (
        entities.select("row", *by, bound)
        .sort(bound, maintain_order=True)
        .join_asof(
            known, left_on=bound, right_on="instant", by=list(by), coalesce=False, check_sortedness=False
        )  # both sides are sorted above; Polars cannot check that per group
        .sort("row")
    )
    totals = [column for column in known.columns if column.startswith(("sum ", "count "))]
    return found.select(pl.exclude("row", *by, bound)).with_columns(pl.col(totals).fill_null(0.0))
