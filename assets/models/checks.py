"""The verdicts that decide whether a trained model is served: blocking checks, made in the step that trained it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import Field

BEATS_BASE_RATE = "beats_base_rate"
EXPORT_IS_EXACT = "export_is_exact"
MEETS_REQUIREMENTS = "meets_requirements"

TOLERANCE = 1e-5
"""Largest difference between an exported and a trained probability."""


class Requirements(dg.Model):
    """What a model must reach on the test rows besides beating the base rate."""

    min_auc: float = Field(0.5, ge=0, le=1)
    max_brier: float = Field(1.0, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one check."""

    name: str
    passed: bool
    description: str
    metadata: Mapping[str, Any]


def verdicts(
    metrics: Mapping[str, float],
    baseline: Mapping[str, float],
    requirements: Requirements,
    difference: float,
) -> list[Verdict]:
    """Judges a model by its metrics on the test rows.

    Args:
        metrics: of the exported model.
        baseline: the same metrics of the base rate, computed in the same run.
        requirements: floors given by the declaration.
        difference: largest distance between probabilities of the trained and the exported model.
    """
    figures = f"AUC {metrics['auc']:.4f}, Brier {metrics['brier']:.4f}"
    against = f"base rate AUC {baseline['auc']:.4f}, Brier {baseline['brier']:.4f}"
    required = f"required AUC {requirements.min_auc:.4f}, Brier {requirements.max_brier:.4f}"
    return [
        Verdict(
            BEATS_BASE_RATE,
            metrics["auc"] > baseline["auc"] and metrics["brier"] < baseline["brier"],
            f"{figures}; {against}, on {metrics['rows']} rows.",
            {"auc": metrics["auc"], "baseline_auc": baseline["auc"], "baseline_brier": baseline["brier"]},
        ),
        Verdict(
            MEETS_REQUIREMENTS,
            metrics["auc"] >= requirements.min_auc and metrics["brier"] <= requirements.max_brier,
            f"{figures}; {required}, on {metrics['rows']} rows.",
            {"auc": metrics["auc"], "brier": metrics["brier"]},
        ),
        Verdict(
            EXPORT_IS_EXACT,
            difference <= TOLERANCE,
            f"Exported and trained probabilities differ by at most {difference:.2e} on {metrics['rows']} rows; "
            f"allowed {TOLERANCE:.0e}.",
            {"largest_difference": difference},
        ),
    ]


def specs(key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """The blocking checks of a model."""
    described = {
        BEATS_BASE_RATE: "Ranks better (AUC) and errs less (Brier) than the base rate of the row's group.",
        MEETS_REQUIREMENTS: "Reaches the declared AUC and Brier score on the test rows.",
        EXPORT_IS_EXACT: f"The exported model gives the trained model's probabilities to within {TOLERANCE:.0e}.",
    }
    return [dg.AssetCheckSpec(name, asset=key, description=text, blocking=True) for name, text in described.items()]


def result(key: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckResult:
    """A verdict as Dagster records it."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=verdict.name,
        passed=verdict.passed,
        description=verdict.description,
        metadata=dict(verdict.metadata),
    )
