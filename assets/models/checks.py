"""Blocking checks of a trained model, evaluated in the step that trains it. A model that fails one is not served."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
from pydantic import Field

BEATS_BASE_RATE = "beats_base_rate"
EXPORT_IS_EXACT = "export_is_exact"
MEETS_REQUIREMENTS = "meets_requirements"

TOLERANCE = 1e-5
"""Maximum difference between the probabilities of the exported and the trained model."""


class Requirements(dg.Model):
    """Metrics that a model must reach on the test rows, in addition to beating the base rate."""

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
    """Evaluates the checks of a model from its metrics on the test rows.

    Args:
        metrics: metrics of the exported model.
        baseline: the same metrics of the base rate, computed in the same run.
        requirements: required metrics of the declaration.
        difference: largest difference between the probabilities of the trained and the exported model.
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
    """Returns the specs of the blocking checks of a model."""
    descriptions = {
        BEATS_BASE_RATE: "The model has a higher AUC and a lower Brier score than the base rate of the row's group.",
        MEETS_REQUIREMENTS: "The model reaches the declared AUC and Brier score on the test rows.",
        EXPORT_IS_EXACT: f"The exported model has the probabilities of the trained model to within {TOLERANCE:.0e}.",
    }
    return [dg.AssetCheckSpec(name, asset=key, description=text, blocking=True) for name, text in descriptions.items()]


def result(key: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckResult:
    """Returns a verdict as a check result of Dagster."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=verdict.name,
        passed=verdict.passed,
        description=verdict.description,
        metadata=dict(verdict.metadata),
    )
