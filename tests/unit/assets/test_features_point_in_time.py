"""Every kind of feature group, against values worked out by hand and against a slow, obvious computation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from assets.features.point_in_time import build
from assets.features.view import AsOfGroup, BacklogGroup, FeatureView, WindowGroup, aggregate, duration
from core.errors import SchemaMismatch
from tests import sample


def at(clock: str, day: int = 10) -> datetime:
    return datetime(2024, 3, day, int(clock[:2]), int(clock[3:]), tzinfo=UTC)


# Planned, left and came back. Trip `e` never left; trip `g` left before its time.
TRIPS = pl.DataFrame(
    [
        ("y", "A", at("08:00", 9), at("08:10", 9), 10, at("09:00", 9)),
        ("z", "A", at("20:00", 9), at("20:30", 9), 30, at("02:00")),  # known only after midnight
        ("a", "A", at("06:00"), at("06:20"), 20, at("07:00")),
        ("b", "A", at("07:00"), at("09:30"), 150, at("11:00")),
        ("c", "B", at("07:30"), at("07:40"), 10, at("08:30")),
        ("e", "A", at("08:00"), None, None, None),
        ("g", "A", at("08:30"), at("08:15"), -15, at("08:59")),
        ("q", "A", at("10:00"), at("10:05"), 5, at("10:50")),
        ("r", "B", at("10:00"), at("10:00"), 0, at("10:45")),
        ("s", "C", at("10:00"), at("10:00"), 0, at("10:45")),
    ],
    schema=["trip", "depot", "planned_at", "left_at", "delay", "back_at"],
    orient="row",
)
SKY = pl.DataFrame(
    [("A", at("07:00"), 1.0), ("A", at("08:59"), 2.0), ("A", at("09:01"), 3.0), ("B", at("03:00"), 4.0)],
    schema=["depot", "seen_at", "rain"],
    orient="row",
)
SOURCES = {
    "trips": {
        "table": "yard.silver.trips",
        "columns": ["trip", "depot", "planned_at"],
        "facts": {"left_at": ["delay"], "back_at": []},
    },
    "sky": {"table": "yard.silver.sky", "columns": ["depot", "seen_at", "rain"], "known_at": "seen_at"},
}


def computed(*groups: dict[str, Any], trip: str = "q", **view: Any) -> dict[str, Any]:
    """The features of one trip; predictions are due an hour before it is planned, so at 09:00 for q, r and s."""
    declared = FeatureView.model_validate(
        {
            "sources": SOURCES,
            "entity": {
                "source": "trips",
                "timestamp": "planned_at",
                "offset": "1h",
                "columns": {"trip": "trip", "late": "delay > 15"},
            },
            "groups": groups,
            **view,
        }
    )
    return build(declared, {"trips": TRIPS, "sky": SKY}).row(by_predicate=pl.col("trip") == trip, named=True)


def departures(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "window",
        "name": "left",
        "source": "trips",
        "at": "left_at",
        "by": ["depot"],
        "span": "day",
        "features": {"n": "COUNT(*)", "mean": "AVG(delay)", "total": "SUM(delay)"},
        **changes,
    }


class TestRow:
    def test_local_time_is_that_of_the_event(self) -> None:
        group = {"kind": "row", "name": "plan", "features": {"hour": "date_part('hour', local_time)"}}
        assert computed(group, time_zone="America/New_York")["hour"] == 6  # 10:00 UTC, after the change of 10 March
        assert computed(group, trip="y", time_zone="America/New_York")["hour"] == 3  # the day before it

    def test_facts_of_the_row_are_out_of_reach(self) -> None:
        group = {"kind": "row", "name": "plan", "features": {"cheat": "delay"}}
        with pytest.raises(SchemaMismatch, match="delay"):
            computed(group)

    def test_a_broken_expression_is_named(self) -> None:
        with pytest.raises(SchemaMismatch, match="depot ="):
            computed({"kind": "row", "name": "plan", "features": {"x": "depot = "}})


class TestWindow:
    def test_counts_what_left_today_before_the_prediction(self) -> None:
        features = computed(departures())
        assert (features["n"], features["mean"], features["total"]) == (2, 2.5, 5)  # a and g; b left half an hour late
        assert features["left_seen_at"] == at("08:15")

    def test_an_event_at_the_very_instant_counts(self) -> None:
        assert computed(departures(), trip="e")["n"] == 1  # due 07:00: a left at 06:20
        assert computed(departures(at="back_at"), trip="e")["n"] == 2  # z at 02:00, and a back at exactly 07:00

    def test_yesterday_is_not_today(self) -> None:
        assert computed(departures(), trip="a")["n"] == 0
        assert computed(departures(), trip="a")["mean"] is None

    def test_a_span_is_a_length_of_time(self) -> None:
        assert computed(departures(span="1h"))["n"] == 1  # g at 08:15
        assert computed(departures(span="45m"))["n"] == 0  # open at its start: 08:15 is outside
        assert computed(departures(span="46m"))["n"] == 1

    def test_history_ends_at_local_midnight(self) -> None:
        history = departures(at="back_at", until="day_start", span=None)
        assert computed(history)["n"] == 1  # y; z came back after midnight
        assert computed(history)["left_seen_at"] == at("09:00", 9)
        # In New York, where it still was the 9th at 02:00 UTC, z counts as well.
        assert computed(history, time_zone="America/New_York")["n"] == 2

    def test_depots_are_apart(self) -> None:
        assert computed(departures(), trip="r")["n"] == 1
        assert computed(departures(), trip="s")["n"] == 0
        assert computed(departures(), trip="s")["left_seen_at"] is None
        assert (computed(departures(), trip="s")["total"], computed(departures(), trip="s")["mean"]) == (None, None)

    def test_missing_values_are_left_out_of_means(self) -> None:
        features = computed(departures(at="planned_at", features={"all": "COUNT(*)", "known": "COUNT(delay)"}))
        assert (features["all"], features["known"]) == (4, 3)  # a, b, e, g; e has no delay


class TestAsOf:
    GROUP = {"kind": "asof", "name": "sky", "source": "sky", "by": ["depot"], "features": {"rain": "rain"}}

    def test_a_row_that_nobody_knows_when_was_known_counts_for_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        unknown = pl.DataFrame([("A", None, 9.0), ("C", None, 8.0)], schema=SKY.schema, orient="row")
        group = self.GROUP | {"max_age": "5h"}
        expected = [computed(self.GROUP), computed(group), computed(self.GROUP, trip="s")]
        for rows in (pl.concat([unknown, SKY]), pl.concat([SKY, unknown])):
            monkeypatch.setattr(f"{__name__}.SKY", rows)
            assert [computed(self.GROUP), computed(group), computed(self.GROUP, trip="s")] == expected

    def test_takes_the_newest_row_known(self) -> None:
        assert computed(self.GROUP)["rain"] == 2
        assert computed(self.GROUP)["sky_seen_at"] == at("08:59")

    def test_a_row_known_later_is_not_known(self) -> None:
        delayed = SOURCES["sky"] | {"known_at": "seen_at + INTERVAL '2 minutes'"}
        assert computed(self.GROUP, sources=SOURCES | {"sky": delayed})["rain"] == 1

    def test_an_old_row_counts_as_missing(self) -> None:
        assert computed(self.GROUP | {"max_age": "6h"}, trip="r")["rain"] == 4
        assert computed(self.GROUP | {"max_age": "5h"}, trip="r")["rain"] is None

    def test_without_a_row_the_feature_is_missing(self) -> None:
        assert computed(self.GROUP, trip="s")["rain"] is None


class TestBacklog:
    GROUP = {
        "kind": "backlog",
        "name": "waiting",
        "source": "trips",
        "opened": "planned_at",
        "closed": "left_at",
        "by": ["depot"],
        "count": "waiting",
        "age_minutes": "minutes",
    }

    def test_counts_what_should_have_left_and_has_not(self) -> None:
        features = computed(self.GROUP)  # b planned 07:00, e planned 08:00 and never to leave; g left early
        assert (features["waiting"], features["minutes"]) == (2, 90)

    def test_nothing_waits_where_nothing_was_planned(self) -> None:
        features = computed(self.GROUP, trip="s")
        assert (features["waiting"], features["minutes"]) == (0, None)


class TestSampleView:
    """The sample's features of some real flights, by filtering the tables again for each flight."""

    def test_features_equal_a_plain_recomputation(self) -> None:
        given = sample.attributes("features")
        view = FeatureView.model_validate({name: given[name] for name in FeatureView.model_fields if name in given})
        until = datetime(2013, 3, 20, tzinfo=UTC)  # past the change of clocks
        frames = {
            "flights": sample.flights().filter(pl.col("scheduled_departure_at") < until),
            "weather": sample.weather().filter(pl.col("observed_at") < until),
        }
        features = build(view, frames)
        chosen = features.filter(pl.col("predicted_at") > datetime(2013, 2, 20, tzinfo=UTC)).sample(30, seed=5)
        flights = {row["flight_id"]: row for row in frames["flights"].iter_rows(named=True)}
        for row in chosen.iter_rows(named=True):
            expected = slowly(view, frames, flights[row["flight_id"]])
            assert len(expected) == 39
            for name, value in expected.items():
                assert row[name] == (None if value is None else pytest.approx(value, rel=1e-5, abs=1e-5)), name


def slowly(view: FeatureView, frames: dict[str, pl.DataFrame], flight: dict[str, Any]) -> dict[str, float | None]:
    due = flight["scheduled_departure_at"] - timedelta(hours=1)
    zone = pl.Series([due]).dt.convert_time_zone(view.time_zone)
    midnight = zone.dt.truncate("1d").dt.convert_time_zone("UTC")[0]
    found: dict[str, float | None] = {}
    for group in view.groups:
        if group.kind == "row":
            continue
        rows = frames[group.source].filter(*(pl.col(column) == flight[column] for column in group.by))
        source = view.sources[group.source]
        match group:
            case AsOfGroup():
                known = rows.with_columns(k=pl.sql_expr(str(source.known_at))).filter(pl.col("k") <= due).sort("k")
                newest = known.tail(1).filter(pl.col("k") >= due - duration(str(group.max_age)))
                for name, text in group.features.items():
                    found[name] = newest.select(pl.sql_expr(text).cast(pl.Float64)).to_series().first()
            case WindowGroup():
                instant = pl.col(group.at) if group.at else pl.sql_expr(str(source.known_at))
                end = instant <= due if group.until == "prediction" else instant < midnight
                start = pl.lit(value=True)
                if group.span == "day":
                    start = instant >= midnight
                elif group.span and group.until == "prediction":
                    start = instant > due - duration(group.span)
                elif group.span:
                    start = instant >= midnight - duration(group.span)
                inside = rows.filter(end, start)
                for name, text in group.features.items():
                    function, expression = aggregate(text)
                    values = inside.select(x=pl.sql_expr(expression).cast(pl.Float64))["x"].drop_nulls()
                    if expression == "1":
                        values = pl.Series([1.0] * inside.height, dtype=pl.Float64)
                    reduced = {"COUNT": len(values), "SUM": values.sum(), "AVG": values.mean()}[function]
                    found[name] = reduced if len(values) or function == "COUNT" else None
            case BacklogGroup():
                opened, closed = pl.col(group.opened), pl.col(group.closed)
                waiting = rows.filter(opened >= midnight, opened <= due, closed.is_null() | (closed > due))
                ages = [(due - opened).total_seconds() / 60 for opened in waiting[group.opened]]
                found[group.count] = len(ages)
                found[group.age_minutes] = sum(ages) / len(ages) if ages else None
    return found
