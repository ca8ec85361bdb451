"""Forgetting the future: honest features survive it, leaking ones are caught."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from assets.features.knowledge import compare_without_future, forget
from assets.features.point_in_time import build
from assets.features.view import FeatureView
from tests import sample

INSTANT = datetime(2013, 7, 10, 20, 0, tzinfo=UTC)  # predictions for 17:00 in New York, an afternoon of thunderstorms


def sample_view(*groups: dict[str, Any]) -> FeatureView:
    given = sample.attributes("features")
    declared = {name: given[name] for name in FeatureView.model_fields if name in given}
    return FeatureView.model_validate(declared | ({"groups": groups} if groups else {}))


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    """The three weeks around the instant."""
    since, until = INSTANT - timedelta(days=14), INSTANT + timedelta(days=7)
    return {
        "flights": sample.flights().filter(pl.col("scheduled_departure_at").is_between(since, until)),
        "weather": sample.weather().filter(pl.col("observed_at").is_between(since, until)),
    }


class TestForget:
    def test_later_facts_are_missing_and_later_rows_gone(self, frames: dict[str, pl.DataFrame]) -> None:
        known = forget(sample_view(), frames, INSTANT)
        before, after = frames["flights"], known["flights"]
        assert after.height == before.height  # the schedule was published ahead
        in_the_air = (before["departed_at"] <= INSTANT) & (before["arrived_at"] > INSTANT)
        assert in_the_air.sum() > 50
        assert after.filter(in_the_air)["dep_delay"].null_count() == 0
        assert after.filter(in_the_air).select("arrived_at", "arr_delay").null_count().row(0) == (in_the_air.sum(),) * 2
        not_gone = before["departed_at"] > INSTANT
        assert after.filter(not_gone)["dep_delay"].null_count() == not_gone.sum()
        # The observation of 19:00 may have been made until 20:00; that of 20:00 was not yet known.
        assert known["weather"]["observed_at"].max() == INSTANT - timedelta(hours=1)


class TestSampleView:
    def test_nothing_changes_without_the_future(self, frames: dict[str, pl.DataFrame]) -> None:
        view = sample_view()
        comparison = compare_without_future(view, frames, build(view, frames), INSTANT, look_back=timedelta(days=7))
        assert comparison.row_count > 6000
        assert comparison.changed == {}

    def test_nothing_changes_whatever_the_future_brings(self, frames: dict[str, pl.DataFrame]) -> None:
        view = sample_view()
        later = pl.col("departed_at").is_null() | (pl.col("departed_at") > INSTANT)
        unknown = pl.col("arrived_at").is_null() | (pl.col("arrived_at") > INSTANT)
        wild = pl.lit(INSTANT) + pl.duration(minutes=pl.int_range(pl.len()) % 5000 + 1)
        otherwise = {
            "flights": frames["flights"].with_columns(
                departed_at=pl.when(later).then(wild).otherwise("departed_at"),
                dep_delay=pl.when(later).then(pl.lit(999)).otherwise("dep_delay"),
                arrived_at=pl.when(unknown).then(wild).otherwise("arrived_at"),
                arr_delay=pl.when(unknown).then(pl.lit(-999)).otherwise("arr_delay"),
            ),
            "weather": frames["weather"].with_columns(
                pl.when(pl.col("observed_at") > INSTANT - timedelta(hours=1)).then(-1.0).otherwise(name).alias(name)
                for name in ("temp", "precip", "visib")
            ),
        }
        due = pl.col("predicted_at") <= INSTANT
        one, other = build(view, frames), build(view, otherwise)
        assert one.filter(due).select(view.features).equals(other.filter(due).select(view.features))
        # The perturbation is no empty gesture: what is predicted later does change.
        assert not one.filter(~due).select(view.features).equals(other.filter(~due).select(view.features))


def flights_window(**changes: Any) -> dict[str, Any]:
    return {"kind": "window", "name": "leak", "source": "flights", "by": ["origin"], "span": "day"} | changes


LEAKS = {
    "delays of flights that have left, by how late they will arrive": flights_window(
        at="departed_at", features={"leak": "AVG(arr_delay)"}
    ),
    "delays counted from the scheduled time on": flights_window(
        at="scheduled_departure_at", features={"leak": "AVG(dep_delay)"}
    ),
    "how many of the scheduled flights will leave at all": flights_window(
        at="scheduled_departure_at", features={"leak": "COUNT(departed_at)"}
    ),
}


class TestLeaks:
    @pytest.mark.parametrize("group", LEAKS.values(), ids=LEAKS)
    def test_a_leak_is_caught(self, group: dict[str, Any], frames: dict[str, pl.DataFrame]) -> None:
        view = sample_view(group)
        comparison = compare_without_future(view, frames, build(view, frames), INSTANT)
        assert comparison.changed["leak"] > 0

    def test_what_is_open_may_be_counted_by_facts(self, frames: dict[str, pl.DataFrame]) -> None:
        in_the_air = {
            "kind": "backlog",
            "name": "air",
            "source": "flights",
            "opened": "departed_at",
            "closed": "arrived_at",
            "by": ["origin"],
            "count": "in_the_air",
            "age_minutes": "airborne_minutes",
        }
        view = sample_view(in_the_air)
        features = build(view, frames)
        assert features["in_the_air"].max() > 50
        assert compare_without_future(view, frames, features, INSTANT).changed == {}

    def test_an_aggregate_over_all_rows_is_caught(self, frames: dict[str, pl.DataFrame]) -> None:
        group = {"kind": "row", "name": "leak", "features": {"leak": "COUNT(*) OVER (PARTITION BY origin)"}}
        view = sample_view(group)
        entities = build(view, frames)
        # The entities within the look-back are other entities than all: such a feature never reproduces.
        assert compare_without_future(view, frames, entities, INSTANT).changed["leak"] > 0
