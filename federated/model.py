"""The local model: logistic regression in numpy, and the aggregates that may leave a client.

Arrays are float64. `x` is `[examples, features]`, `y` is `[examples]` of 0.0 and 1.0, missing features are NaN until
`Scaling.apply` replaces them by the mean over all clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Arrays = dict[str, Vector]

HISTOGRAM_BINS = 2000
"""Bins of equal width over the predicted probability; bounds the error of a pooled AUC by the ties inside a bin."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows of one client: features `x` `[n, d]` and labels `y` `[n]`."""

    x: Vector
    y: Vector

    def __len__(self) -> int:
        return len(self.y)


def initial_weights(features: int) -> Arrays:
    """All zeros: the loss is convex, so a random start would only add noise."""
    return {"weights": np.zeros(features), "bias": np.zeros(1)}


def moments(x: Vector) -> Arrays:
    """Per feature: how many values are present, their sum and the sum of their squares, each `[d]`."""
    present = ~np.isnan(x)
    filled = np.where(present, x, 0.0)
    return {
        "count": present.sum(axis=0).astype(np.float64),
        "sum": filled.sum(axis=0),
        "square": np.square(filled).sum(axis=0),
    }


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and standard deviation per feature over the rows of all clients, each `[d]`."""

    mean: Vector
    scale: Vector

    @classmethod
    def from_moments(cls, parts: list[Arrays]) -> Scaling:
        """Adds up the clients' moments. A constant or absent feature gets scale 1, so that it becomes zero."""
        count, total, square = (sum(part[key] for part in parts) for key in ("count", "sum", "square"))
        mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
        variance = np.divide(square, count, out=np.zeros_like(square), where=count > 0) - np.square(mean)
        # Below this, what is left of the subtraction is rounding.
        constant = variance <= 1e-12 * np.maximum(np.square(mean), 1.0)
        return cls(mean, np.sqrt(np.where(constant, 1.0, variance)))

    def apply(self, x: Vector) -> Vector:
        """Standardises; missing values become 0, the mean."""
        return np.nan_to_num((x - self.mean) / self.scale, nan=0.0)


def probabilities(arrays: Mapping[str, Vector], x: Vector) -> Vector:
    """Probability of the positive class `[n]` for standardised `x`."""
    with np.errstate(over="ignore"):  # exp of a large number is inf, and 1 / (1 + inf) is the right 0
        result: Vector = 1.0 / (1.0 + np.exp(-(x @ arrays["weights"] + arrays["bias"][0])))
    return result


def log_loss(arrays: Mapping[str, Vector], examples: Examples) -> float:
    """Mean negative log-likelihood, from the logits so that certainty does not overflow."""
    logits = examples.x @ arrays["weights"] + arrays["bias"][0]
    return float(np.mean(np.logaddexp(0.0, logits) - examples.y * logits))


@dataclass(frozen=True, slots=True)
class Descent:
    """How a client trains between two exchanges."""

    epochs: int
    learning_rate: float
    batch_size: int
    l2: float = 0.0
    proximal_mu: float = 0.0


def train(start: Mapping[str, Vector], examples: Examples, descent: Descent, rng: np.random.Generator) -> Arrays:
    """Descends from `start` by (mini-batch) gradient steps, shuffled by `rng`; returns new weights.

    With `proximal_mu` the gradient of `mu / 2 * ||w - start||^2` is added, as FedProx asks of its clients.
    """
    weights, bias = start["weights"].copy(), start["bias"].copy()
    count = len(examples)
    size = descent.batch_size or count
    for _ in range(descent.epochs):
        order = rng.permutation(count) if size < count else None
        for first in range(0, count, size):
            x, y = (
                (examples.x, examples.y)
                if order is None
                else (examples.x[order[first : first + size]], examples.y[order[first : first + size]])
            )
            error = probabilities({"weights": weights, "bias": bias}, x) - y
            gradient = x.T @ error / len(y) + descent.l2 * weights
            gradient += descent.proximal_mu * (weights - start["weights"])
            bias_gradient = error.mean() + descent.proximal_mu * (bias - start["bias"])
            weights -= descent.learning_rate * gradient
            bias -= descent.learning_rate * bias_gradient
    return {"weights": weights, "bias": bias}


def score_histogram(probability: Vector, y: Vector) -> Vector:
    """Counts of predicted probabilities `[2, HISTOGRAM_BINS]`: negatives in row 0, positives in row 1."""
    bins = np.minimum((probability * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
    rows = [np.bincount(bins[y == label], minlength=HISTOGRAM_BINS) for label in (0.0, 1.0)]
    return np.stack(rows).astype(np.float64)


def auc(histogram: Vector) -> float | None:
    """Area under the ROC curve from a score histogram, ties counted half; None if a class is missing."""
    negatives, positives = histogram
    pairs = negatives.sum() * positives.sum()
    if pairs == 0:
        return None
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + 0.5 * negatives)).sum() / pairs)
