"""Point-in-time computation of a feature view: every feature only from what was known when its prediction was due.

Events are ordered by the instant at which they became known. A backward as-of join finds the first and the last event
of each window, so it excludes later events. The aggregates are exact sums over that range of events, so events outside
a window have no influence on it. Each group also records the newest instant that it used, as evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from assets.features.events import latest, ordered, totals_of
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
from core.errors import InvalidArgument, SchemaMismatch

if TYPE_CHECKING:
    import polars as pl

    from assets.features.totals import Integers, RangeTotals

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
        predicted_from: excludes entities whose prediction was due earlier.
        predicted_until: excludes entities whose prediction was due later.

    Returns:
        One row per entity, ordered by prediction time and then by the columns known in advance: the columns of the
        entity, `predicted_at` (UTC), all features (float32, missing where no value was known), and `<group>_seen_at`
        per group, the newest instant that it used.

    Raises:
        SchemaMismatch: an expression does not fit the columns of its source.
    """
    import polars as pl

    entities, described = known_entities(view, frames[view.entity.source], predicted_from, predicted_until)
    parts = [computed(view, group, entities, frames) for group in view.groups]
    return pl.concat([described, *parts], how="horizontal")


@contextmanager
def _translated() -> Iterator[None]:
    import polars as pl

    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise SchemaMismatch(f"A feature cannot be computed: {str(error).splitlines()[0]}") from error
    except SchemaMismatch:
        raise
    except InvalidArgument as error:
        raise SchemaMismatch(f"A feature cannot be computed: {error}") from error


@_translated()
def known_entities(
    view: FeatureView, rows: pl.DataFrame, since: datetime | None = None, until: datetime | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the columns known in advance, numbered by `row`, and the columns of the entity with `predicted_at`.

    Raises:
        SchemaMismatch: an expression does not fit the columns of the source.
    """
    import polars as pl

    from lakehouse.expressions import row_expression

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
        .sort("predicted_at", *source.columns)  # the same order of rows for any order of the source
        .with_row_index("row")
    )
    described = rows.select(
        *(row_expression(expression).alias(name) for name, expression in entity.columns.items()), "predicted_at"
    )
    # Groups get no column that becomes known later.
    known = rows.select("row", "predicted_at", "day_start", "day", "local_time", *source.columns)
    return known, described


@_translated()
def computed(
    view: FeatureView,
    group: RowGroup | AsOfGroup | WindowGroup | BacklogGroup,
    entities: pl.DataFrame,
    frames: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """Returns the features of one group, one row per entity.

    Raises:
        SchemaMismatch: an expression does not fit the columns, or does not result in a number.
    """
    match group:
        case RowGroup():
            return entities.select(_features(group.features, entities))
        case AsOfGroup():
            return _as_of(view, group, entities, frames[group.source])
        case WindowGroup():
            return _window(view, group, entities, frames[group.source])
        case BacklogGroup():
            return _backlog(view, group, entities, frames[group.source])


def _as_of(view: FeatureView, group: AsOfGroup, entities: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    from lakehouse.expressions import row_expression

    instant = row_expression(str(view.sources[group.source].known_at))
    known = rows.select(*group.by, *_features(group.features, rows), instant=instant).drop_nulls("instant")
    newest = latest(entities, known, group.by, "predicted_at")
    if group.max_age:
        fresh = newest["instant"] >= entities["predicted_at"] - duration(group.max_age)
        newest = newest.with_columns(pl.when(fresh).then(pl.all()))
    return newest.select(*group.features, pl.col("instant").alias(evidence_column(group.name)))


def _window(view: FeatureView, group: WindowGroup, entities: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    from lakehouse.expressions import row_expression

    instant = pl.col(group.at) if group.at else row_expression(str(view.sources[group.source].known_at))
    aggregates = {name: aggregate(text) for name, text in group.features.items()}
    expressions = list(dict.fromkeys(expression for _, expression in aggregates.values()))
    summed = {expression for function, expression in aggregates.values() if function != "COUNT"}
    values = [_value(text, rows, summed=text in summed).alias(f"value {n}") for n, text in enumerate(expressions)]
    events = ordered(rows, group.by, instant, values)
    until = pl.col("predicted_at") if group.until == "prediction" else pl.col("day_start") - _TICK
    entities = entities.with_columns(until=until)
    newest = latest(entities, events, group.by, "until")
    begin, stop = newest["first"].fill_null(0), newest["position"].fill_null(-1) + 1
    if group.span is not None:
        start = pl.col("day_start") - _TICK if group.span == "day" else pl.col("until") - duration(group.span)
        before = latest(entities.with_columns(start=start), events, group.by, "start")
        begin = (before["position"] + 1).fill_null(begin)
    totals = {text: totals_of(events, f"value {n}") for n, text in enumerate(expressions)}
    window = begin.to_numpy(), stop.to_numpy()
    features = [
        _aggregated(name, function, totals[expression], *window) for name, (function, expression) in aggregates.items()
    ]
    return pl.DataFrame(features).with_columns(newest["instant"].alias(evidence_column(group.name)))


def _aggregated(name: str, function: str, totals: RangeTotals, begin: Integers, stop: Integers) -> pl.Series:
    """Returns one aggregate per entity, missing where no value is known or the result is NaN."""
    import polars as pl

    count = pl.Series(name, totals.count(begin, stop))
    if function == "COUNT":
        return count.cast(pl.Float32)
    total = pl.Series(name, totals.sum(begin, stop))
    result = total / count if function == "AVG" else total
    return result.set(count == 0, None).cast(pl.Float32).fill_nan(None)


def _backlog(view: FeatureView, group: BacklogGroup, entities: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    opened, closed = pl.col(group.opened), pl.col(group.closed)
    day = opened.dt.convert_time_zone(view.time_zone).dt.date()
    rows = rows.with_columns(day=day)
    by = [*group.by, "day"]
    # Microseconds into the day are integers that a float holds exactly.
    moment = (opened.dt.timestamp("us") - day.cast(pl.Datetime("us")).dt.timestamp("us")).cast(pl.Float64)
    # An event that ends before it begins, such as a flight that leaves early, was never open.
    ended = rows.filter(closed.is_not_null())
    seen, sums = [], []
    for events in (
        ordered(rows, by, opened, [moment.alias("moment")]),
        ordered(ended, by, pl.max_horizontal(opened, closed), [moment.alias("moment")]),
    ):
        newest = latest(entities, events, by, "predicted_at")
        window = newest["first"].fill_null(0).to_numpy(), (newest["position"].fill_null(-1) + 1).to_numpy()
        totals = totals_of(events, "moment")
        sums.append((pl.Series(totals.count(*window)), pl.Series(totals.sum(*window))))
        seen.append(newest["instant"])
    (begun, begun_sum), (done, done_sum) = sums
    count = begun - done
    now = entities["predicted_at"].dt.timestamp("us") - entities["day"].cast(pl.Datetime("us")).dt.timestamp("us")
    age_minutes = (now - (begun_sum - done_sum) / count) / 60e6
    return pl.select(
        count.cast(pl.Float32).alias(group.count),
        age_minutes.set(count == 0, None).cast(pl.Float32).alias(group.age_minutes),
        pl.max_horizontal(seen).alias(evidence_column(group.name)),
    )


def _features(features: Mapping[str, str], rows: pl.DataFrame) -> list[pl.Expr]:
    import polars as pl

    return [_number(text, rows).cast(pl.Float32).fill_nan(None).alias(name) for name, text in features.items()]


def _value(text: str, rows: pl.DataFrame, *, summed: bool) -> pl.Expr:
    """Returns the value that an event adds: its number, or 1 where events are only counted."""
    import polars as pl

    from lakehouse.expressions import row_expression

    if summed:
        return _number(text, rows).cast(pl.Float64)
    return pl.when(row_expression(text).is_not_null()).then(1.0)


def _number(text: str, rows: pl.DataFrame) -> pl.Expr:
    """Returns the expression if its values are numbers. Texts and dates are refused, although Polars casts some.

    Raises:
        SchemaMismatch: its values have another type.
    """
    import polars as pl

    from lakehouse.expressions import row_expression, type_of

    kind = type_of(text, rows)
    if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null, pl.Duration)):
        raise SchemaMismatch(f"{text!r} is of type {kind}; a feature needs numbers or booleans.")
    return row_expression(text)
