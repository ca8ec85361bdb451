"""Gradient-boosted trees of scikit-learn: fit with early stopping, and export to ONNX."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assets.models.data import Part

_OPSETS = {"": 21, "ai.onnx.ml": 3}


class BoostingParameters(dg.Model):
    """Parameters of the trees, named as in scikit-learn's `HistGradientBoostingClassifier`."""

    learning_rate: float = Field(0.1, gt=0, le=1)
    max_iter: int = Field(
        300, ge=1, le=5000, description="Maximum number of trees. Fewer if the tuning rows stop improving."
    )
    max_leaf_nodes: int = Field(31, ge=2, le=1024)
    min_samples_leaf: int = Field(20, ge=1)
    l2_regularization: float = Field(0.0, ge=0)
    max_features: float = Field(1.0, gt=0, le=1, description="Share of the inputs that each split considers.")
    patience: int = Field(10, ge=1, description="Number of trees without improvement on the tuning rows before a stop.")
    threads: int = Field(1, ge=1, le=1024, description="Number of threads. More than one is slower on a busy machine.")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model that is fitted on all training rows."""

    estimator: Any
    trees: int
    tuning_probabilities: NDArray[Any]
    """Probabilities of the tuning rows, by a model that was not fitted on them."""
    threads: int

    def probabilities(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """Returns the probability of the target per row, computed by scikit-learn."""
        with threadpool_limits(self.threads):
            return self.estimator.predict_proba(inputs)[:, 1]  # type: ignore[no-any-return]


def fit(train: Part, tuning: NDArray[Any], parameters: BoostingParameters, seed: int) -> Fitted:
    """Fits trees: determines their number on the tuning rows, then fits as many on all training rows.

    The same rows, parameters, and seed result in the same model for any number of threads.
    """
    import sklearn.ensemble  # noqa: F401 - the limit below applies only to libraries that are already loaded

    early, late = train.where(~tuning), train.where(tuning)
    with threadpool_limits(parameters.threads):
        trial = _classifier(parameters, seed, early_stopping=True, n_iter_no_change=parameters.patience, tol=1e-5)
        trial.fit(early.inputs, early.target, X_val=late.inputs, y_val=late.target)
        trees = int(trial.n_iter_)
        final = _classifier(parameters, seed, early_stopping=False, max_iter=trees)
        final.fit(train.inputs, train.target)
        return Fitted(final, trees, trial.predict_proba(late.inputs)[:, 1], parameters.threads)


def to_onnx(estimator: Any, inputs: int) -> bytes:
    """Exports a fitted estimator to ONNX: input `features` (float32, n x inputs), outputs `label` and `probabilities`.

    Decisions on 32-bit inputs do not change: thresholds are rounded down, not to the nearest 32-bit float, which could
    move a threshold past the value that it separates.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    _round_thresholds_down(estimator)
    with warnings.catch_warnings():
        # skl2onnx writes booleans where protobuf expects integers; the values are the same.
        warnings.filterwarnings("ignore", message=".*Expected an int, got a boolean.*")
        model = convert_sklearn(
            estimator,
            name="headwater",
            initial_types=[("features", FloatTensorType([None, inputs]))],
            options={id(estimator): {"zipmap": False}},
            target_opset=_OPSETS,
        )
    return bytes(model.SerializeToString())


def _round_thresholds_down(estimator: Any) -> None:
    import numpy as np

    for trees in estimator._predictors:
        for tree in trees:
            exact = tree.nodes["num_threshold"]
            nearest = exact.astype(np.float32)
            below = np.nextafter(nearest, np.float32(-np.inf))
            tree.nodes["num_threshold"] = np.where(nearest > exact, below, nearest).astype(np.float64)


def _classifier(parameters: BoostingParameters, seed: int, **options: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    growth = parameters.model_dump(exclude={"patience", "threads"})
    return HistGradientBoostingClassifier(**{**growth, "random_state": seed, **options})
