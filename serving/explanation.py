"""Explains a prediction: how much the probability changes when a single input is replaced by its median."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serving.loaders import ServedModel

METHOD = "occlusion"
METHOD_DESCRIPTION = (
    "Change of the log-odds when only this input is replaced by its median in the training data. "
    "Inputs with a joint effect share it, so the contributions do not add up to the prediction."
)
_PROBABILITY_MARGIN = 1e-7


@dataclass(frozen=True, slots=True)
class Contribution:
    """The contribution of one input to one prediction."""

    feature: str
    value: float | None
    """The value used; `None` if missing."""
    median: float | None
    """The median that replaced it."""
    contribution: float
    """Log-odds with the input minus log-odds without it. Positive values support the target."""


def occlusion(model: ServedModel, inputs: NDArray[Any]) -> list[Contribution]:
    """Explains one prediction. The strongest contribution is first.

    Args:
        model: the model.
        inputs: float32, one value per input of the signature; NaN means missing.
    """
    import numpy as np

    features = model.record.signature.features
    medians = np.array([np.nan if f.median is None else f.median for f in features], dtype=np.float32)
    rows = np.tile(inputs, (len(features) + 1, 1))
    rows[np.arange(len(features)) + 1, np.arange(len(features))] = medians
    probabilities = model.probabilities(rows).astype(np.float64).clip(_PROBABILITY_MARGIN, 1 - _PROBABILITY_MARGIN)
    log_odds = np.log(probabilities / (1 - probabilities))
    contributions = [
        Contribution(
            feature=feature.name,
            value=None if np.isnan(value) else float(value),
            median=feature.median,
            contribution=float(log_odds[0] - without),
        )
        for feature, value, without in zip(features, inputs, log_odds[1:], strict=True)
    ]
    return sorted(contributions, key=lambda item: (-abs(item.contribution), item.feature))
