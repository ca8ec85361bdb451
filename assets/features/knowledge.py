"""What was known at an instant, and the proof by forgetting: features must not change when the future is taken away."""

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
    """Features as stored against features computed from what was known at `instant`."""

    instant: datetime
    row_count: int
    """Entities whose prediction was due by then, within the look-back."""
    changed: dict[str, int]
    """Per feature, the number of those rows in which it differs. Empty when nothing does."""


def forget(view: FeatureView, frames: Mapping[str, pl.DataFrame], instant: datetime) -> dict[str, pl.DataFrame]:
    """Returns the sources as they were known at `instant`: later facts missing, later rows gone."""
    import polars as pl

    remembered = {}
    for name, source in view.sources.items():
        frame = frames[name]
        if source.known_at is not None:
            frame = frame.filter(pl.sql_expr(source.known_at) <= instant)
        remembered[name] = frame.with_columns(
            pl.when(pl.col(at) <= instant).then(pl.col(column)).alias(column)
            for at, revealed in source.facts.items()
            for column in (at, *revealed)
        )
    return remembered


def compare_without_future(
    view: FeatureView,
    frames: Mapping[str, pl.DataFrame],
    features: pl.DataFrame,
    instant: datetime,
    *,
    look_back: timedelta = timedelta(days=1),
) -> Comparison:
    """Recomputes the newest predictions due by `instant` from what was known then, and compares them with `features`.

    Sharpest where predictions were due exactly at `instant`: for them, anything later is forgotten.

    Args:
        view: the declaration.
        frames: the sources that `features` was computed from.
        features: the computed view, all of it.
        instant: from when on everything is forgotten.
        look_back: how long before `instant` predictions are compared.
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
    """Columns of the feature table that no fact enters: they order its rows alike in any state of knowledge."""
    import polars as pl

    unknown = set(view.sources[view.entity.source].fact_columns)
    return [
        name
        for name, expression in view.entity.columns.items()
        if not unknown & set(pl.sql_expr(expression).meta.root_names())
    ]
