"""Fitting, stopping and exporting: the exported model decides exactly as the trained one, also without values."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from assets.models.boosting import BoostingParameters, fit, to_onnx
from assets.models.data import Part

PARAMETERS = BoostingParameters(max_iter=80, max_leaf_nodes=8, min_samples_leaf=20, patience=5)


def rows(count: int = 4000, seed: int = 0) -> Part:
    """Whether a value is missing decides as much as what it is."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(count, 4)).astype(np.float32)
    missing = random.random(count) < 0.4
    odds = inputs[:, 1] + np.where(missing, 2.0, inputs[:, 0])
    inputs[missing, 0] = np.nan
    target = random.random(count) < 1 / (1 + np.exp(-odds))
    return Part(inputs, target, pl.Series(["all"] * count))


def exported(artifact: bytes, inputs: Any) -> Any:
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"features": inputs})[0][:, 1]


class TestFit:
    def test_stops_when_the_tuning_rows_no_longer_improve(self) -> None:
        train = rows()
        fitted = fit(train, np.arange(4000) >= 3000, PARAMETERS, seed=1)
        assert 5 <= fitted.trees < 80
        assert fitted.estimator.n_iter_ == fitted.trees
        assert len(fitted.tuning_probabilities) == 1000

    def test_tuning_probabilities_are_of_rows_not_seen(self) -> None:
        train = rows(2000)
        noise = Part(train.inputs, np.random.default_rng(4).random(2000) < 0.5, train.groups)
        tuning = np.arange(2000) >= 1000
        fitted = fit(noise, tuning, BoostingParameters(max_iter=50, min_samples_leaf=5, patience=50), seed=1)
        right = (fitted.tuning_probabilities > 0.5) == noise.target[tuning]
        assert right.mean() == pytest.approx(0.5, abs=0.06)

    def test_the_same_rows_give_the_same_bytes_on_any_number_of_threads(self) -> None:
        train, tuning = rows(), np.arange(4000) >= 3000
        one = fit(train, tuning, PARAMETERS, seed=1)
        two = fit(train, tuning, PARAMETERS.model_copy(update={"threads": 2}), seed=1)
        assert to_onnx(one.estimator, 4) == to_onnx(two.estimator, 4)


class TestToOnnx:
    def test_probabilities_are_those_of_the_trained_model(self) -> None:
        fitted = fit(rows(), np.arange(4000) >= 3000, PARAMETERS, seed=1)
        unseen = rows(3000, seed=9).inputs
        unseen[::7] = np.nan  # rows without any value
        trained = fitted.probabilities(unseen)
        assert np.abs(exported(to_onnx(fitted.estimator, 4), unseen) - trained).max() < 1e-6

    def test_a_missing_value_is_not_a_zero(self) -> None:
        fitted = fit(rows(), np.arange(4000) >= 3000, PARAMETERS, seed=1)
        artifact = to_onnx(fitted.estimator, 4)
        missing = np.array([[np.nan, 0, 0, 0]], dtype=np.float32)
        zero = np.zeros((1, 4), dtype=np.float32)
        assert exported(artifact, missing)[0] > exported(artifact, zero)[0] + 0.2

    def test_no_threshold_passes_the_value_it_separates(self) -> None:
        # Neighbouring 32-bit floats: the threshold between them is a 64-bit float that rounds to one of the two.
        first = np.float32(1.0)
        values = [first]
        for _ in range(63):
            values.append(np.nextafter(values[-1], np.float32(2)))
        inputs = np.repeat(np.array(values, dtype=np.float32), 50)[:, None]
        target = np.repeat(np.arange(64) % 2 == 0, 50)
        estimator = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=64, min_samples_leaf=1, learning_rate=0.5, early_stopping=False
        ).fit(inputs, target)
        before = estimator.predict_proba(inputs)[:, 1]
        assert (before[target].min(), before[~target].max()) == (pytest.approx(1, abs=0.05), pytest.approx(0, abs=0.05))
        assert np.abs(exported(to_onnx(estimator, 1), inputs) - before).max() < 1e-6
