"""One training: fit, export, and evaluation of the exported model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from assets.models.boosting import BoostingParameters, fit, to_onnx
from assets.models.checks import Requirements, Verdict, verdicts
from assets.models.data import Data
from assets.models.evaluation import (
    base_rate,
    best_threshold,
    label_metrics,
    permutation_importance,
    probability_metrics,
)
from assets.models.plots import calibration_plot, importance_plot, roc_plot

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IMPORTANCE_ROWS = 10_000
_IMPORTANCE_REPEATS = 2
_LIBRARIES = ("scikit-learn", "skl2onnx", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Training:
    """A trained and evaluated model."""

    artifact: bytes
    trees: int
    threshold: float
    metrics: Mapping[str, float]
    """Metrics of the exported model on the test rows."""
    baseline: Mapping[str, float]
    """Metrics of the base rate on the same rows."""
    verdicts: list[Verdict]
    importances: Mapping[str, float]
    """Loss of AUC when an input is shuffled, largest first."""
    plots: Mapping[str, str]
    """Markdown with an embedded image, by name."""


def train(
    data: Data, parameters: BoostingParameters, requirements: Requirements, *, seed: int, threshold: float | None
) -> Training:
    """Trains and evaluates a model. The same arguments result in the same artifact, byte for byte.

    Args:
        data: rows for training, tuning, and evaluation.
        parameters: parameters of the trees.
        requirements: metrics that the model must reach on the test rows.
        seed: seed of the trees and of the shuffling for importances.
        threshold: minimum probability of a positive prediction; `None` to determine it on the tuning rows.
    """
    import numpy as np

    fitted = fit(data.train, data.tuning, parameters, seed)
    trained = fitted.probabilities(data.test.inputs)
    artifact = to_onnx(fitted.estimator, len(data.features))
    predict = _predictor(artifact)
    if threshold is None:
        threshold = best_threshold(data.train.target[data.tuning], fitted.tuning_probabilities)
    target, exported = data.test.target, predict(data.test.inputs)
    baseline = base_rate(data.train, data.test)
    metrics = probability_metrics(target, exported) | label_metrics(target, exported, threshold)
    baseline_metrics = probability_metrics(target, baseline)
    importances = permutation_importance(
        predict, data.test, rows=_IMPORTANCE_ROWS, repeats=_IMPORTANCE_REPEATS, seed=seed
    )
    names = [feature.name for feature in data.features]
    ranked = sorted(zip(importances, names, strict=True), reverse=True)
    return Training(
        artifact=artifact,
        trees=fitted.trees,
        threshold=threshold,
        metrics=metrics,
        baseline=baseline_metrics,
        verdicts=verdicts(metrics, baseline_metrics, requirements, float(np.abs(exported - trained).max())),
        importances={name: round(mean, 6) for (mean, _), name in ranked},
        plots={
            "calibration": calibration_plot(target, exported, baseline),
            "roc": roc_plot(target, exported, baseline),
            "importance": importance_plot(names, importances),
        },
    )


def libraries() -> dict[str, str]:
    """Returns the versions of the libraries that determine the result."""
    return {name: version(name) for name in _LIBRARIES}


def _predictor(artifact: bytes) -> Callable[[NDArray[Any]], NDArray[Any]]:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])

    def predict(inputs: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(session.run(["probabilities"], {"features": inputs})[0][:, 1], dtype=np.float64)

    return predict
