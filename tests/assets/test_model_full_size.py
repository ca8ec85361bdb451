"""The sample at full size: all flights of 2013, trained on January to September, judged on October to December."""

from __future__ import annotations

import polars as pl
import pytest

from assets.features.component import FeatureViewComponent
from assets.features.knowledge import compare_without_future
from assets.features.point_in_time import build
from assets.models import data, training
from assets.models.component import ModelTrainingComponent
from tests import sample

pytestmark = pytest.mark.slow

VIEW = FeatureViewComponent.model_validate(sample.attributes("features"))
MODEL = ModelTrainingComponent.model_validate(sample.attributes("models"))


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    return {"flights": sample.flights(), "weather": sample.weather()}


@pytest.fixture(scope="module")
def features(frames: dict[str, pl.DataFrame]) -> pl.DataFrame:
    return build(VIEW, frames)


@pytest.fixture(scope="module")
def trained(features: pl.DataFrame) -> training.Training:
    inputs = VIEW.features
    columns = data.columns_used(inputs, MODEL.target, MODEL.splits(), MODEL.base_rate)
    rows = data.prepare(features.select(columns), inputs, MODEL.target, MODEL.splits(), MODEL.base_rate)
    return training.train(rows, MODEL.parameters, MODEL.requirements, seed=MODEL.seed, threshold=MODEL.threshold)


class TestFeatures:
    def test_every_flight_has_its_row(self, features: pl.DataFrame) -> None:
        assert features.height == 336_776
        assert features["flight_id"].n_unique() == 336_776
        late = features.drop_nulls("late")
        assert late.filter(pl.col("month") <= 9)["late"].mean() == pytest.approx(0.242, abs=0.001)
        assert late.filter(pl.col("month") >= 10)["late"].mean() == pytest.approx(0.221, abs=0.001)

    @pytest.mark.parametrize("share", [0.05, 0.35, 0.52, 0.9])
    def test_the_future_is_not_in_them(
        self, share: float, frames: dict[str, pl.DataFrame], features: pl.DataFrame
    ) -> None:
        instant = features["predicted_at"][int(share * features.height)]
        comparison = compare_without_future(VIEW, frames, features, instant)
        assert comparison.row_count > 500
        assert comparison.changed == {}


class TestModel:
    def test_reaches_the_goal(self, trained: training.Training) -> None:
        assert trained.metrics["rows"] == 82_609
        assert trained.metrics["auc"] >= 0.745
        assert trained.metrics["brier"] <= 0.1435
        assert all(verdict.passed for verdict in trained.verdicts)

    def test_the_base_rate_is_the_known_one(self, trained: training.Training) -> None:
        assert trained.baseline["auc"] == pytest.approx(0.631, abs=0.0005)
        assert trained.baseline["brier"] == pytest.approx(0.1671, abs=0.00005)

    def test_is_not_too_good_to_be_true(self, trained: training.Training) -> None:
        # A flight's own departure delay alone ranks with an AUC of 0.88: one that sees the future is far above this.
        assert trained.metrics["auc"] < 0.77

    def test_promises_what_it_keeps(self, trained: training.Training) -> None:
        assert trained.metrics["calibration_error"] < 0.03
