"""Pictures of a model for its materialization: small PNGs inside Markdown."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assets.models.evaluation import calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_INK, _FAINT, _BAR = "#1f4e79", "#9aa5b1", "#2a9d8f"
_SHOWN = 15


def calibration_plot(target: NDArray[Any], model: NDArray[Any], baseline: NDArray[Any]) -> str:
    """Promised against observed frequency, of the model and of the base rate."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=_FAINT, linewidth=1)
        for name, probabilities, colour in (("base rate", baseline, _FAINT), ("model", model, _INK)):
            promised, observed, _ = calibration(target, probabilities)
            axes.plot(promised, observed, "o-", color=colour, label=name, markersize=4)
        axes.set(xlabel="promised probability", ylabel="observed frequency", title="Calibration")
        top = max(float(calibration(target, model)[0].max()), float(calibration(target, model)[1].max())) * 1.1
        axes.set(xlim=(0, top), ylim=(0, top))
        axes.legend(frameon=False)

    return _markdown("calibration", draw)


def roc_plot(target: NDArray[Any], model: NDArray[Any], baseline: NDArray[Any]) -> str:
    """Hits against false alarms over all thresholds, of the model and of the base rate."""
    from sklearn.metrics import roc_auc_score, roc_curve

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=_FAINT, linewidth=1)
        for name, probabilities, colour in (("base rate", baseline, _FAINT), ("model", model, _INK)):
            false_positives, true_positives, _ = roc_curve(target, probabilities)
            auc = roc_auc_score(target, probabilities)
            axes.plot(false_positives, true_positives, color=colour, label=f"{name}, AUC {auc:.3f}")
        axes.set(xlabel="false alarms", ylabel="hits", title="ROC", xlim=(0, 1), ylim=(0, 1))
        axes.legend(frameon=False)

    return _markdown("ROC", draw)


def importance_plot(names: Sequence[str], importances: Sequence[tuple[float, float]]) -> str:
    """The inputs whose shuffling costs most AUC."""
    strongest = sorted(zip(importances, names, strict=True), reverse=True)[:_SHOWN][::-1]

    def draw(axes: Axes) -> None:
        axes.barh(
            [name for _, name in strongest],
            [mean for (mean, _), _ in strongest],
            xerr=[deviation for (_, deviation), _ in strongest],
            color=_BAR,
            ecolor=_FAINT,
        )
        axes.set(xlabel="AUC lost when shuffled", title="Importance")

    return _markdown("feature importance", draw, size=(5.6, 4.2))


def _markdown(what: str, draw: Any, size: tuple[float, float] = (4.2, 3.6)) -> str:
    # A figure of its own, without pyplot: that keeps global state and picks a window system.
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
    return f"![{what}](data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()})"
