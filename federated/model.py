"""The local model: logistic regression in numpy, and the aggregates that may leave a client.

Arrays are float64. `x` has the shape `[examples, features]`; `y` has the shape `[examples]` with values 0.0 and 1.0.
Missing features are NaN until `Scaling.apply` replaces them with the mean over all clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Arrays = dict[str, Vector]

HISTOGRAM_BINS = 2000
"""Equal-width bins over the predicted probability. The error of a pooled AUC is bounded by the ties within a bin."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows of one client: features `x` with shape `[n, d]` and labels `y` with shape `[n]`."""

    x: Vector
    y: Vector

    def __len__(self) -> int:
        return len(self.y)


def initial_weights(features: int) -> Arrays:
    """Returns zeros: the loss is convex, so a random start has no benefit."""
    return {"weights": np.zeros(features), "bias": np.zeros(1)}


def moments(x: Vector) -> Arrays:
    """Returns the number of present values, their mean, and the sum of their squared distances from it, per feature.

    Each array has the shape `[d]`. Distances are relative to the client's own mean, because squares of large values
    lose the digits of their spread.
    """
    present = ~np.isnan(x)
    count = present.sum(axis=0).astype(np.float64)

    def mean_of(values: Vector) -> Vector:
        total = np.where(present, values, 0.0).sum(axis=0)
        mean: Vector = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
        return mean

    with np.errstate(invalid="ignore", over="ignore"):  # infinite values result in moments that the server refuses
        mean = mean_of(x)
        mean += mean_of(x - mean)
        square = np.where(present, np.square(x - mean), 0.0).sum(axis=0)
    return {"count": count, "mean": mean, "square": square}


@dataclass(frozen=True, slots=True)
class Scaling:
    """Mean and standard deviation of each feature over the rows of all clients, each with shape `[d]`."""

    mean: Vector
    scale: Vector

    @classmethod
    def from_moments(cls, parts: list[Arrays]) -> Scaling:
        """Combines the moments of the clients (parallel variance by Chan, Golub and LeVeque).

        A constant or absent feature gets scale 1, so that its values become zero.
        """
        counts, means, squares = (np.stack([part[key] for part in parts]) for key in ("count", "mean", "square"))
        count = counts.sum(axis=0)
        share = np.divide(counts, count, out=np.zeros_like(counts), where=count > 0)
        # Relative to a mean close to all others, so that rounding in the weighted sum doesn't lose small differences.
        near = means[counts.argmax(axis=0), np.arange(means.shape[1])]
        mean = near + (share * (means - near)).sum(axis=0)
        square = squares.sum(axis=0) + (counts * np.square(means - mean)).sum(axis=0)
        variance = np.divide(square, count, out=np.zeros_like(square), where=count > 0)
        # Differences smaller than the spacing of floats around the values are rounding errors.
        constant = np.sqrt(variance) <= 4 * np.spacing(np.abs(mean))
        return cls(mean, np.sqrt(np.where(constant, 1.0, variance)))

    def apply(self, x: Vector) -> Vector:
        """Standardizes features. Missing values become 0, the mean."""
        return np.nan_to_num((x - self.mean) / self.scale, nan=0.0)


def probabilities(arrays: Mapping[str, Vector], x: Vector) -> Vector:
    """Returns the probability of the positive class, with shape `[n]`, for standardized `x`."""
    with np.errstate(over="ignore"):  # exp overflows to inf, and 1 / (1 + inf) is 0, which is correct
        result: Vector = 1.0 / (1.0 + np.exp(-(x @ arrays["weights"] + arrays["bias"][0])))
    return result


def log_loss(arrays: Mapping[str, Vector], examples: Examples) -> float:
    """Returns the mean negative log-likelihood. Computed from the logits, which avoids an overflow."""
    logits = examples.x @ arrays["weights"] + arrays["bias"][0]
    return float(np.mean(np.logaddexp(0.0, logits) - examples.y * logits))


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """Options of the local training within a round."""

    epochs: int
    learning_rate: float
    batch_size: int
    l2: float = 0.0
    proximal_mu: float = 0.0


def train(
    start: Mapping[str, Vector], examples: Examples, options: TrainingOptions, rng: np.random.Generator
) -> Arrays:
    """Runs (mini-batch) gradient descent from `start`, in an order drawn from `rng`. Returns new weights.

    With `proximal_mu`, adds the gradient of `mu / 2 * ||w - start||^2`, as FedProx defines.
    """
    weights, bias = start["weights"].copy(), start["bias"].copy()
    count = len(examples)
    size = options.batch_size or count
    for _ in range(options.epochs):
        order = rng.permutation(count) if size < count else None
        for first in range(0, count, size):
            x, y = (
                (examples.x, examples.y)
                if order is None
                else (examples.x[order[first : first + size]], examples.y[order[first : first + size]])
            )
            error = probabilities({"weights": weights, "bias": bias}, x) - y
            gradient = x.T @ error / len(y) + options.l2 * weights
            gradient += options.proximal_mu * (weights - start["weights"])
            bias_gradient = error.mean() + options.proximal_mu * (bias - start["bias"])
            weights -= options.learning_rate * gradient
            bias -= options.learning_rate * bias_gradient
    return {"weights": weights, "bias": bias}


def score_histogram(probability: Vector, y: Vector) -> Vector:
    """Counts predicted probabilities per bin, `[2, HISTOGRAM_BINS]`: negatives in row 0, positives in row 1."""
    bins = np.minimum((probability * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
    rows = [np.bincount(bins[y == label], minlength=HISTOGRAM_BINS) for label in (0.0, 1.0)]
    return np.stack(rows).astype(np.float64)


def auc(histogram: Vector) -> float | None:
    """Returns the area under the ROC curve from a score histogram. Ties count half. None if a class is missing."""
    negatives, positives = histogram
    pairs = negatives.sum() * positives.sum()
    if pairs == 0:
        return None
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + 0.5 * negatives)).sum() / pairs)
