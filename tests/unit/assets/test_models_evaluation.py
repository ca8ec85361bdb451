"""Measures of probabilities, against values worked out by hand."""

from __future__ import annotations

import base64

import numpy as np
import polars as pl
import pytest

from assets.models.checks import BEATS_BASE_RATE, EXPORT_IS_EXACT, MEETS_REQUIREMENTS, Requirements, verdicts
from assets.models.data import Part
from assets.models.evaluation import (
    base_rate,
    best_threshold,
    calibration,
    label_metrics,
    permutation_importance,
    probability_metrics,
)
from assets.models.plots import calibration_plot, importance_plot, roc_plot

TARGET = np.array([False, False, True, True])
PROMISED = np.array([0.1, 0.4, 0.35, 0.8])


def part(target: list[bool], groups: list[str]) -> Part:
    return Part(np.zeros((len(target), 1), dtype=np.float32), np.array(target), pl.Series(groups))


class TestJudge:
    def test_of_four_rows(self) -> None:
        measures = probability_metrics(TARGET, PROMISED)
        assert measures["auc"] == 0.75  # three of the four pairs are in order
        assert measures["brier"] == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4)
        assert measures["rows"] == 4
        assert measures["positive_share"] == 0.5

    def test_labels(self) -> None:
        measures = label_metrics(TARGET, PROMISED, 0.35)
        assert (measures["precision"], measures["recall"], measures["accuracy"]) == (pytest.approx(2 / 3), 1, 0.75)
        assert label_metrics(TARGET, PROMISED, 0.9)["precision"] == 0

    def test_a_perfectly_calibrated_forecast_has_no_calibration_error(self) -> None:
        random = np.random.default_rng(0)
        promised = random.random(200_000)
        target = random.random(200_000) < promised
        assert probability_metrics(target, promised)["calibration_error"] < 0.005
        assert probability_metrics(target, promised**3)["calibration_error"] > 0.1

    def test_bins_hold_equally_many(self) -> None:
        promised, observed, sizes = calibration(np.arange(25) % 2 == 0, np.linspace(0, 1, 25))
        assert sizes.sum() == 25
        assert set(sizes) == {2, 3}
        assert len(promised) == len(observed) == 10


class TestBaseRate:
    def test_is_the_share_of_the_group_and_of_all_for_a_new_one(self) -> None:
        train = part([True, False, False, True], ["a", "a", "a", "b"])
        test = part([True, True, True], ["b", "a", "new"])
        assert base_rate(train, test).tolist() == [1.0, pytest.approx(1 / 3), 0.5]


class TestBestThreshold:
    def test_separates_what_can_be_separated(self) -> None:
        assert best_threshold(TARGET, np.array([0.1, 0.2, 0.6, 0.9])) == 0.6


class TestPermutationImportance:
    def test_only_what_decides_matters(self) -> None:
        random = np.random.default_rng(1)
        inputs = random.normal(size=(4000, 2)).astype(np.float32)
        rows = Part(inputs, inputs[:, 0] > 0, pl.Series(["all"] * 4000))
        decides, noise = permutation_importance(lambda x: x[:, 0], rows, rows=2000, repeats=3, seed=0)
        assert decides[0] == pytest.approx(0.5, abs=0.05)
        assert noise == (0, 0)


class TestVerdicts:
    BASE = {"auc": 0.63, "brier": 0.167, "rows": 100.0}

    @pytest.mark.parametrize(
        ("metrics", "difference", "failing"),
        [
            ({"auc": 0.75, "brier": 0.14, "rows": 100.0}, 1e-7, set()),
            ({"auc": 0.62, "brier": 0.14, "rows": 100.0}, 1e-7, {BEATS_BASE_RATE, MEETS_REQUIREMENTS}),
            ({"auc": 0.75, "brier": 0.17, "rows": 100.0}, 1e-7, {BEATS_BASE_RATE, MEETS_REQUIREMENTS}),
            ({"auc": 0.70, "brier": 0.14, "rows": 100.0}, 1e-7, {MEETS_REQUIREMENTS}),
            ({"auc": 0.75, "brier": 0.14, "rows": 100.0}, 1e-4, {EXPORT_IS_EXACT}),
            ({"auc": 0.63, "brier": 0.167, "rows": 100.0}, 0.0, {BEATS_BASE_RATE, MEETS_REQUIREMENTS}),
        ],
    )
    def test_each_has_its_bar(self, metrics: dict[str, float], difference: float, failing: set[str]) -> None:
        found = verdicts(metrics, self.BASE, Requirements(min_auc=0.722, max_brier=0.1485), difference)
        assert {verdict.name for verdict in found if not verdict.passed} == failing


class TestPlots:
    def test_are_small_pictures_inside_markdown(self) -> None:
        random = np.random.default_rng(0)
        promised = random.random(3000)
        target = random.random(3000) < promised
        pictures = [
            calibration_plot(target, promised, np.full(3000, 0.5) + promised / 10),
            roc_plot(target, promised, np.full(3000, 0.5)),
            importance_plot([f"x{n}" for n in range(30)], [(n / 100, 0.001) for n in range(30)]),
        ]
        for picture in pictures:
            assert picture.startswith("![")
            content = base64.b64decode(picture.partition("base64,")[2].rstrip(")"))
            assert content.startswith(b"\x89PNG")
            assert len(content) < 40_000
