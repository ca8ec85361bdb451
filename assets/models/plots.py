"""Plots of a model for its materialization: small PNGs in Markdown."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assets.models.evaluation import calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_MODEL_COLOR, _BASELINE_COLOR, _BAR_COLOR = "#1f4e79", "#9aa5b1", "#2a9d8f"
_MAX_INPUTS = 15


def calibration_plot(target: NDArray[Any], model: NDArray[Any], baseline: NDArray[Any]) -> str:
    """Returns a plot of predicted against observed frequency, of the model and of the base rate."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=_BASELINE_COLOR, linewidth=1)
        for name, probabilities, color in (("base rate", baseline, _BASELINE_COLOR), ("model", model, _MODEL_COLOR)):
            predicted, observed, _ = calibration(target, probabilities)
            axes.plot(predicted, observed, "o-", color=color, label=name, markersize=4)
        axes.set(xlabel="predicted probability", ylabel="observed frequency", title="Calibration")
        top = max(float(calibration(target, model)[0].max()), float(calibration(target, model)[1].max())) * 1.1
        axes.set(xlim=(0, top), ylim=(0, top))
        axes.legend(frameon=False)

    return _markdown("calibration", draw)


def roc_plot(target: NDArray[Any], model: NDArray[Any], baseline: NDArray[Any]) -> str:
    """Returns a plot of true against false positive rate over all thresholds, of the model and of the base rate."""
    from sklearn.metrics import roc_auc_score, roc_curve

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=_BASELINE_COLOR, linewidth=1)
        for name, probabilities, color in (("base rate", baseline, _BASELINE_COLOR), ("model", model, _MODEL_COLOR)):
            false_positives, true_positives, _ = roc_curve(target, probabilities)
            auc = roc_auc_score(target, probabilities)
            axes.plot(false_positives, true_positives, color=color, label=f"{name}, AUC {auc:.3f}")
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC", xlim=(0, 1), ylim=(0, 1))
        axes.legend(frameon=False)

    return _markdown("ROC", draw)


def importance_plot(names: Sequence[str], importances: Sequence[tuple[float, float]]) -> str:
    """Returns a plot of the inputs whose shuffling loses most AUC."""
    strongest = sorted(zip(importances, names, strict=True), reverse=True)[:_MAX_INPUTS][::-1]

    def draw(axes: Axes) -> None:
        axes.barh(
            [name for _, name in strongest],
            [mean for (mean, _), _ in strongest],
            xerr=[deviation for (_, deviation), _ in strongest],
            color=_BAR_COLOR,
            ecolor=_BASELINE_COLOR,
        )
        axes.set(xlabel="AUC lost when shuffled", title="Importance")

    return _markdown("feature importance", draw, size=(5.6, 4.2))


def _markdown(title: str, draw: Any, size: tuple[float, float] = (4.2, 3.6)) -> str:
    # No pyplot: it has global state and selects a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return f"![{title}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
