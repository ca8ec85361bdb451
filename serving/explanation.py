"""Why this probability: how much it changes when a single input is made ordinary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serving.loaders import ServedModel

METHOD = "occlusion"
METHOD_DESCRIPTION = (
    "Change of the log-odds when this input alone is replaced by its median in the training data. "
    "Inputs that only act together share an effect, so the contributions do not add up to the prediction."
)
_CLOSE_TO_CERTAIN = 1e-7


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one input did to one prediction."""

    feature: str
    value: float | None
    """As used; `None` if missing."""
    median: float | None
    """What it was replaced by."""
    contribution: float
    """Log-odds with the input less log-odds without it: positive speaks for the target."""


def occlusion(model: ServedModel, inputs: NDArray[Any]) -> list[Contribution]:
    """Explains one prediction; the strongest contribution comes first.

    Args:
        model: the model.
        inputs: float32, one value per input of the signature; not-a-number is missing.
    """
    import numpy as np

    features = model.record.signature.features
    medians = np.array([np.nan if f.median is None else f.median for f in features], dtype=np.float32)
    rows = np.tile(inputs, (len(features) + 1, 1))
    rows[np.arange(len(features)) + 1, np.arange(len(features))] = medians
    probabilities = model.probabilities(rows).astype(np.float64).clip(_CLOSE_TO_CERTAIN, 1 - _CLOSE_TO_CERTAIN)
    log_odds = np.log(probabilities / (1 - probabilities))
    found = [
        Contribution(
            feature=feature.name,
            value=None if np.isnan(value) else float(value),
            median=feature.median,
            contribution=float(log_odds[0] - without),
        )
        for feature, value, without in zip(features, inputs, log_odds[1:], strict=True)
    ]
    return sorted(found, key=lambda one: (-abs(one.contribution), one.feature))
