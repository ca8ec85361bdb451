"""Windows over hostile values equal a brute-force computation.

The kind of fault: an aggregate of a window that depends on rows outside it. Totals that are subtracted carry every
earlier NaN, infinity and rounding error into all later windows, and both proofs of a feature table repeat the fault.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.features.point_in_time import build
from assets.features.totals import RangeTotals
from assets.features.view import FeatureView
from core.errors import SchemaMismatch

START = datetime(2024, 3, 9, tzinfo=UTC)
HOSTILE = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 1e16, -1e16, 1.0, 0.1, -0.0, 1e308, -1e308, 5e-324, 2.0**53 + 2]),
    st.floats(width=64),
    st.integers(-1000, 1000).map(float),
    st.none(),
)


def exact(values: list[float]) -> float:
    """The sum that IEEE 754 asks for, rounded once."""
    special = sum(value for value in values if not math.isfinite(value))
    if not math.isfinite(special):
        return special
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf if sum(value / 2**60 for value in values) > 0 else -math.inf


@given(st.lists(HOSTILE, max_size=40), st.data())
def test_ranges_of_hostile_values_sum_exactly(values: list[float | None], data: st.DataObject) -> None:
    stop = data.draw(st.integers(0, len(values)))
    begin = data.draw(st.integers(0, stop))
    present = np.array([value is not None for value in values], dtype=bool)
    totals = RangeTotals(np.array([math.nan if v is None else v for v in values], dtype=np.float64), present)
    inside = [value for value in values[begin:stop] if value is not None]
    ranges = np.array([begin]), np.array([stop])
    assert totals.count(*ranges)[0] == len(inside)
    found, expected = totals.sum(*ranges)[0], exact(inside)
    if math.isfinite(expected):
        assert abs(found - expected) <= 2 * np.spacing(abs(expected))
    else:
        assert found == pytest.approx(expected, nan_ok=True)


EVENTS = st.lists(st.tuples(st.integers(0, 2 * 86_400), st.sampled_from(["A", "B"]), HOSTILE), min_size=1, max_size=30)


@given(EVENTS, st.sampled_from([None, "day", "30m", "7h"]), st.sampled_from(["prediction", "day_start"]))
def test_windows_over_hostile_values_equal_brute_force(
    events: list[tuple[int, str, float | None]], span: str | None, until: str
) -> None:
    span = "5h" if until == "day_start" and span == "day" else span
    rows = pl.DataFrame(
        [(n, key, START + timedelta(seconds=at), value) for n, (at, key, value) in enumerate(events)],
        schema={"id": pl.Int64, "key": pl.String, "at": pl.Datetime("us", "UTC"), "value": pl.Float64},
        orient="row",
    )
    features = {"n": "COUNT(value)", "total": "SUM(value)", "mean": "AVG(value)"}
    group = {"kind": "window", "name": "w", "source": "events", "by": ["key"], "features": features}
    view = FeatureView.model_validate(
        {
            "sources": {"events": {"table": "a.b.c", "columns": ["id", "key", "at", "value"], "known_at": "at"}},
            "entity": {"source": "events", "timestamp": "at", "columns": {"id": "id"}},
            "groups": [group | {"until": until} | ({"span": span} if span else {})],
        }
    )
    for row in build(view, {"events": rows}).iter_rows(named=True):
        values = inside(rows.row(by_predicate=pl.col("id") == row["id"], named=True), rows, span, until)
        total = exact(values)
        assert row["n"] == len(values)
        assert_feature(row["total"], total if values else math.nan)
        assert_feature(row["mean"], total / len(values) if values else math.nan)


def inside(entity: dict[str, Any], rows: pl.DataFrame, span: str | None, until: str) -> list[float]:
    """The known values of the entity's window, found by looking at every event."""
    midnight = entity["at"].replace(hour=0, minute=0, second=0, microsecond=0)
    end = entity["at"] if until == "prediction" else midnight - timedelta(microseconds=1)
    begin = {None: datetime.min.replace(tzinfo=UTC), "day": midnight - timedelta(microseconds=1)}.get(span)
    if begin is None:
        begin = end - timedelta(**{{"m": "minutes", "h": "hours"}[str(span)[-1]]: int(str(span)[:-1])})
    return [
        event["value"]
        for event in rows.iter_rows(named=True)
        if event["key"] == entity["key"] and begin < event["at"] <= end and event["value"] is not None
    ]


def assert_feature(found: float | None, expected: float) -> None:
    """A feature is the float32 of the exact value; what is not a number is missing."""
    with np.errstate(over="ignore"):
        rounded = np.float32(expected)
    if np.isnan(rounded):
        assert found is None
    elif np.isinf(rounded):
        assert found is not None
        assert math.copysign(math.inf, found) == rounded or abs(found) == np.finfo(np.float32).max
    else:
        assert found is not None
        assert abs(found - float(rounded)) <= 2**-23 * abs(float(rounded)) + 2**-148


@pytest.mark.parametrize(
    "values", [[1e308], [1e308, 7e307], [1.7e308, -1e308], [1.7e308, -1.7e308, 5e-324], [1e308, 1e308]]
)
def test_sums_near_the_largest_float_are_exact(values: list[float]) -> None:
    totals = RangeTotals(np.array(values), np.ones(len(values), dtype=bool))
    assert totals.sum(np.array([0]), np.array([len(values)]))[0] == exact(values)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e16, -1e300])
def test_a_poisonous_value_ends_with_its_window(poison: float) -> None:
    values = np.array([1.0, 2.0, poison, 0.25, 0.5, 0.125])
    totals = RangeTotals(values, np.ones(6, dtype=bool))
    assert totals.sum(np.array([3, 0, 4]), np.array([6, 2, 5])).tolist() == [0.875, 3.0, 0.5]


@pytest.mark.parametrize(
    "values",
    [
        pl.Series("value", ["x", None, "1", "x"]),
        pl.Series("value", [START, None, START, START]),
        pl.Series("value", [[1], None, [], [2]]),
        pl.Series("value", [b"x", None, b"", b"y"]),
    ],
    ids=lambda values: str(values.dtype),
)
def test_values_of_any_type_are_counted_and_only_numbers_are_summed(values: pl.Series) -> None:
    at = pl.Series("at", [START + timedelta(hours=hour) for hour in range(4)], dtype=pl.Datetime("us", "UTC"))
    rows = pl.DataFrame([pl.Series("id", range(4)), at, pl.Series("key", ["A"] * 4), values])

    def view(aggregate: str) -> FeatureView:
        group = {"kind": "window", "name": "w", "source": "events", "at": "at", "by": ["key"]}
        return FeatureView.model_validate(
            {
                "sources": {"events": {"table": "a.b.c", "columns": ["id", "key", "at"], "facts": {"at": ["value"]}}},
                "entity": {"source": "events", "timestamp": "at", "columns": {"id": "id"}},
                "groups": [group | {"features": {"found": aggregate}}],
            }
        )

    assert build(view("COUNT(value)"), {"events": rows})["found"].to_list() == [1, 1, 2, 3]
    for aggregate in ("SUM(value)", "AVG(value)"):
        with pytest.raises(SchemaMismatch, match="numbers"):
            build(view(aggregate), {"events": rows})


@pytest.mark.parametrize("year", [1, 9999])
def test_instants_that_python_does_not_have_are_reported_and_proven(year: int) -> None:
    """The kind: a value that a table can hold meets a type of Python that cannot, and the run fails on it."""
    from assets.features.checks import _moments
    from assets.features.component import _extent

    edge = datetime(year, 1, 1, tzinfo=UTC) if year == 1 else datetime(year, 12, 31, 23, 59, tzinfo=UTC)
    instants = pl.Series("predicted_at", [START, edge, START], dtype=pl.Datetime("us", "UTC"))
    beyond = instants - timedelta(days=1) if year == 1 else instants + timedelta(days=1)
    reported = _extent(beyond)
    assert all(reported.values())
    moments = _moments(beyond.to_frame(), 4)
    assert moments
    assert all(moment - timedelta(days=36_500) < moment for moment in moments)
