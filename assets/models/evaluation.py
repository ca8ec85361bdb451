"""Metrics of predicted probabilities, and the base rate that a model must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assets.models.data import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BINS = 10


def probability_metrics(target: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float]:
    """Returns metrics that need no threshold.

    `auc` measures the ranking. `brier` and `log_loss` also penalize false confidence. `calibration_error` is the mean
    difference between predicted and observed frequency over ten bins with equal numbers of rows.
    """
    import numpy as np
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    predicted, observed, weight = calibration(target, probabilities)
    return {
        "rows": len(target),
        "positive_share": float(target.mean()),
        "mean_probability": float(probabilities.mean()),
        "auc": float(roc_auc_score(target, probabilities)),
        "brier": float(brier_score_loss(target, probabilities)),
        "log_loss": float(log_loss(target, probabilities)),
        "average_precision": float(average_precision_score(target, probabilities)),
        "calibration_error": float(np.average(np.abs(predicted - observed), weights=weight)),
    }


def label_metrics(target: NDArray[Any], probabilities: NDArray[Any], threshold: float) -> dict[str, float]:
    """Returns metrics of the decision `probability >= threshold`. Precision is 0 if no row is predicted positive."""
    predicted = probabilities >= threshold
    hits = float((predicted & target).sum())
    return {
        "precision": hits / max(float(predicted.sum()), 1.0),
        "recall": hits / max(float(target.sum()), 1.0),
        "accuracy": float((predicted == target).mean()),
        "predicted_share": float(predicted.mean()),
    }


def base_rate(train: Part, test: Part) -> NDArray[Any]:
    """Returns, per test row, the share of positives among the training rows of its group, or of all for a new group."""
    import polars as pl

    rates = (
        pl.DataFrame({"group": train.groups, "target": train.target})
        .group_by("group")
        .agg(rate=pl.col("target").mean())
    )
    joined = pl.DataFrame({"group": test.groups}).join(rates, on="group", how="left", maintain_order="left")
    return joined["rate"].fill_null(float(train.target.mean())).to_numpy()


def best_threshold(target: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Returns the threshold with the largest difference of true and false positive rate (Youden's J)."""
    from sklearn.metrics import roc_curve

    false_positives, true_positives, thresholds = roc_curve(target, probabilities)
    return float(thresholds[1:][(true_positives - false_positives)[1:].argmax()])


def calibration(target: NDArray[Any], probabilities: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Returns mean probability, observed frequency, and number of rows of each bin; bins have equal numbers of rows."""
    import numpy as np

    order = np.argsort(probabilities, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    return (
        np.array([probabilities[part].mean() for part in bins]),
        np.array([target[part].mean() for part in bins]),
        np.array([len(part) for part in bins]),
    )


def permutation_importance(
    predict: Callable[[NDArray[Any]], NDArray[Any]], part: Part, *, rows: int, repeats: int, seed: int
) -> list[tuple[float, float]]:
    """Returns the loss of AUC when one input is shuffled: mean and standard deviation per input, on a sample of rows.

    Correlated inputs replace one another, so each of them may seem unimportant.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(seed)
    sample = random.permutation(len(part))[:rows]
    inputs, target = part.inputs[sample], part.target[sample]
    reference = roc_auc_score(target, predict(inputs))
    importances = []
    for column in range(inputs.shape[1]):
        losses = []
        for _ in range(repeats):
            shuffled = inputs.copy()
            shuffled[:, column] = random.permutation(shuffled[:, column])
            losses.append(reference - roc_auc_score(target, predict(shuffled)))
        importances.append((float(np.mean(losses)), float(np.std(losses))))
    return importances
