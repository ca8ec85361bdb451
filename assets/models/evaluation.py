"""How good probabilities are, and the base rate they have to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assets.models.data import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BINS = 10


def judge(target: NDArray[Any], probabilities: NDArray[Any]) -> dict[str, float]:
    """Threshold-free measures of probabilities: `auc` ranks them; `brier` and `log_loss` also punish false confidence.

    `calibration_error` is the mean distance between promised and observed frequency over ten equally large bins.
    """
    import numpy as np
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    promised, observed, weight = calibration(target, probabilities)
    return {
        "rows": len(target),
        "positive_share": float(target.mean()),
        "mean_probability": float(probabilities.mean()),
        "auc": float(roc_auc_score(target, probabilities)),
        "brier": float(brier_score_loss(target, probabilities)),
        "log_loss": float(log_loss(target, probabilities)),
        "average_precision": float(average_precision_score(target, probabilities)),
        "calibration_error": float(np.average(np.abs(promised - observed), weights=weight)),
    }


def judge_labels(target: NDArray[Any], probabilities: NDArray[Any], threshold: float) -> dict[str, float]:
    """Measures of the decision `probability >= threshold`; precision is 0 if nothing is predicted positive."""
    predicted = probabilities >= threshold
    hits = float((predicted & target).sum())
    return {
        "precision": hits / max(float(predicted.sum()), 1.0),
        "recall": hits / max(float(target.sum()), 1.0),
        "accuracy": float((predicted == target).mean()),
        "predicted_share": float(predicted.mean()),
    }


def base_rate(train: Part, test: Part) -> NDArray[Any]:
    """Share of positives among the training rows of the same group, per test row; of all where a group is new."""
    import polars as pl

    rates = (
        pl.DataFrame({"group": train.groups, "target": train.target})
        .group_by("group")
        .agg(rate=pl.col("target").mean())
    )
    joined = pl.DataFrame({"group": test.groups}).join(rates, on="group", how="left", maintain_order="left")
    return joined["rate"].fill_null(float(train.target.mean())).to_numpy()


def best_threshold(target: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """Where the true positive rate exceeds the false positive rate most (Youden's J)."""
    from sklearn.metrics import roc_curve

    false_positives, true_positives, thresholds = roc_curve(target, probabilities)
    return float(thresholds[1:][(true_positives - false_positives)[1:].argmax()])


def calibration(target: NDArray[Any], probabilities: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Mean probability, observed frequency and number of rows, per bin of (nearly) equally many rows."""
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
    """How much AUC is lost when one input is shuffled: mean and standard deviation per input, on a sample of rows.

    Inputs that say the same stand in for one another, so each of them may seem unimportant.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(seed)
    chosen = random.permutation(len(part))[:rows]
    inputs, target = part.inputs[chosen], part.target[chosen]
    whole = roc_auc_score(target, predict(inputs))
    found = []
    for column in range(inputs.shape[1]):
        losses = []
        for _ in range(repeats):
            shuffled = inputs.copy()
            shuffled[:, column] = random.permutation(shuffled[:, column])
            losses.append(whole - roc_auc_score(target, predict(shuffled)))
        found.append((float(np.mean(losses)), float(np.std(losses))))
    return found
