"""Knowledge at an instant: sources without their future, and features recomputed from them for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from assets.features.point_in_time import build
from assets.features.view import FeatureView

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Comparison:
    """Stored features compared with features computed from what was known at `instant`."""

    instant: datetime
    row_count: int
    """Number of entities whose prediction was due by then, within the look-back."""
    changed: dict[str, int]
    """Number of these rows that differ, by feature. Empty if no row differs."""


def forget(view: FeatureView, frames: Mapping[str, pl.DataFrame], instant: datetime) -> dict[str, pl.DataFrame]:
    """Returns the sources as they were known at `instant`: without later facts and without later rows."""
    import polars as pl

    from lakehouse.expressions import row_expression

    sources = {}
    for name, source in view.sources.items():
        frame = frames[name]
        if source.known_at is not None:
            frame = frame.filter(row_expression(source.known_at) <= instant)
        sources[name] = frame.with_columns(
            pl.when(pl.col(at) <= instant).then(pl.col(column)).alias(column)
            for at, revealed in source.facts.items()
            for column in (at, *revealed)
        )
    return sources


def compare_without_future(
    view: FeatureView,
    frames: Mapping[str, pl.DataFrame],
    features: pl.DataFrame,
    instant: datetime,
    *,
    look_back: timedelta = timedelta(days=1),
) -> Comparison:
    """Recomputes the newest predictions due by `instant` from what was known then, and compares them with `features`.

    The comparison is strictest for predictions that were due exactly at `instant`, which lose everything later.

    Args:
        view: the declaration.
        frames: the sources that `features` was computed from.
        features: all rows of the computed view.
        instant: the instant after which everything is removed.
        look_back: the time before `instant` whose predictions are compared.
    """
    import polars as pl

    since = instant - look_back
    stored = features.filter(pl.col("predicted_at").is_between(since, instant)).sort(
        "predicted_at", *key_columns(view), maintain_order=True
    )
    known = build(view, forget(view, frames, instant), predicted_from=since, predicted_until=instant).sort(
        "predicted_at", *key_columns(view), maintain_order=True
    )
    if stored.height != known.height:
        return Comparison(instant, stored.height, {"row_count": abs(stored.height - known.height)})
    counts = {name: int((stored[name].ne_missing(known[name])).sum()) for name in view.features}
    return Comparison(instant, stored.height, {name: count for name, count in counts.items() if count})


def key_columns(view: FeatureView) -> list[str]:
    """Returns the columns of the feature table that depend on no fact, so that they order its rows at any instant."""
    from lakehouse.expressions import row_expression

    unknown = set(view.sources[view.entity.source].fact_columns)
    return [
        name
        for name, expression in view.entity.columns.items()
        if not unknown & set(row_expression(expression).meta.root_names())
    ]
