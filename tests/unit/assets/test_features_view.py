"""What a feature view may declare, and what it is told when it may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from assets.features.view import FeatureView, aggregate, duration
from tests import sample


def declaration(**changes: Any) -> dict[str, Any]:
    return {
        "sources": {
            "visits": {
                "table": "shop.silver.visits",
                "columns": ["visit", "store", "planned_at"],
                "facts": {"ended_at": ["spent"]},
            }
        },
        "entity": {"source": "visits", "timestamp": "planned_at", "columns": {"visit": "visit"}},
        "groups": [
            {
                "kind": "window",
                "name": "so_far",
                "source": "visits",
                "at": "ended_at",
                "by": ["store"],
                "features": {"spent": "AVG(spent)"},
            }
        ],
    } | changes


def window(**changes: Any) -> dict[str, Any]:
    return {**declaration()["groups"][0], **changes}


class TestDuration:
    def test_minutes_hours_and_days(self) -> None:
        assert [duration(text) for text in ("30m", "2h", "28d")] == [
            timedelta(minutes=30),
            timedelta(hours=2),
            timedelta(days=28),
        ]

    @pytest.mark.parametrize("text", ["", "0h", "2", "2w", "-1h", "1.5h"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a duration"):
            duration(text)


class TestAggregate:
    def test_splits_function_and_expression(self) -> None:
        assert aggregate("avg( arr_delay > 15 )") == ("AVG", "arr_delay > 15")
        assert aggregate("SUM(a * (b + c))") == ("SUM", "a * (b + c)")

    def test_counting_rows_counts_a_constant(self) -> None:
        assert aggregate("COUNT(*)") == ("COUNT", "1")

    @pytest.mark.parametrize("text", ["dep_delay", "MEDIAN(x)", "AVG()", "AVG(*)", "AVG(x) + 1"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not an aggregate"):
            aggregate(text)


class TestFeatureView:
    def test_the_sample_is_valid(self) -> None:
        given = sample.attributes("features")
        view = FeatureView.model_validate({name: given[name] for name in FeatureView.model_fields if name in given})
        assert len(view.features) == len(set(view.features)) == 47

    def test_a_view_knows_its_features(self) -> None:
        assert FeatureView.model_validate(declaration()).features == ["spent"]

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"groups": [window(features={"visit": "COUNT(*)"})]}, "'visit' is declared twice"),
            ({"groups": [window(), window()]}, "declared twice"),
            ({"groups": [window(source="weather")]}, "'weather' is not declared; declared: visits"),
            ({"groups": [window(at="begun_at")]}, "'begun_at' is not a column of its source"),
            ({"groups": [window(at=None)]}, "needs `known_at`"),
            ({"groups": [window(by=["city"])]}, "'city' is not a column of its source"),
            # A fact of the entity itself is not known when its prediction is due.
            ({"groups": [window(by=["spent"])]}, "'spent' is not a column"),
            ({"groups": [window(until="day_start", span="day")]}, "cannot span that day"),
            ({"groups": [window(span="2 hours")]}, "is not a duration"),
            ({"groups": [window(kind="lead")]}, "does not match any of the expected tags"),
            (
                {"entity": {"source": "visits", "timestamp": "ended_at", "columns": {"visit": "visit"}}},
                "known in advance",
            ),
        ],
    )
    def test_a_mistake_is_named(self, changes: dict[str, Any], complaint: str) -> None:
        with pytest.raises(ValidationError, match=complaint):
            FeatureView.model_validate(declaration(**changes))
