"""Checks of a federated training. They use the results of the run and repeat no training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from federated.outcomes import Evaluation, Round

BEATS_BASELINE = "beats_baseline"
ROUNDS_COMPLETE = "rounds_complete"
CLIENTS_APART = "clients_apart"
BETTER_TOGETHER = "better_together"


def specs(asset: dg.AssetKey, *, baseline_auc: float | None, compare_alone: bool) -> list[dg.AssetCheckSpec]:
    """Returns the checks of a training, including the optional ones that the definition requests."""
    checks = [
        dg.AssetCheckSpec(
            ROUNDS_COMPLETE,
            asset=asset,
            blocking=True,
            description="The table contains each round from 1 to the last exactly once.",
        ),
        dg.AssetCheckSpec(
            CLIENTS_APART,
            asset=asset,
            blocking=True,
            description="No row belongs to two clients, and no row is used for both training and evaluation.",
        ),
    ]
    if baseline_auc is not None:
        description = f"The global model's AUC over the pooled holdouts is above {baseline_auc:g}."
        checks.append(dg.AssetCheckSpec(BEATS_BASELINE, asset=asset, blocking=True, description=description))
    if compare_alone:
        description = "Over the pooled holdouts, the global model is better than the model of each single client."
        checks.append(dg.AssetCheckSpec(BETTER_TOGETHER, asset=asset, description=description))
    return checks


def rounds_complete(numbers: list[int], expected: int) -> dg.AssetCheckResult:
    """Checks that the table contains rounds 1 to `expected` of this training exactly once."""
    return dg.AssetCheckResult(
        check_name=ROUNDS_COMPLETE,
        passed=sorted(numbers) == list(range(1, expected + 1)),
        metadata={"rounds": len(numbers), "expected": expected},
    )


def clients_apart(shared: int) -> dg.AssetCheckResult:
    """Checks that the rows of the clients are disjoint."""
    return dg.AssetCheckResult(check_name=CLIENTS_APART, passed=shared == 0, metadata={"shared_rows": shared})


def beats_baseline(last: Round, baseline_auc: float) -> dg.AssetCheckResult:
    """Checks that the last round is better than the baseline. Fails if the AUC could not be computed."""
    auc = last.metrics.auc
    return dg.AssetCheckResult(
        check_name=BEATS_BASELINE,
        passed=auc is not None and auc > baseline_auc,
        description="No client evaluated the model on both classes." if auc is None else None,
        metadata={"auc": -1.0 if auc is None else auc, "baseline_auc": baseline_auc},
    )


def better_together(last: Round, alone: Mapping[str, Evaluation | str]) -> dg.AssetCheckResult:
    """Reports the gap to the model of each client. Warns if one of them is better or could not be trained."""
    together = last.metrics.auc
    gaps: dict[str, float] = {}
    metadata: dict[str, float | str] = {}
    for client, result in alone.items():
        if isinstance(result, str):
            metadata[f"{client}/failure"] = result
        elif result.auc is not None and together is not None:
            gaps[client] = together - result.auc
            metadata |= {f"{client}/auc_alone": result.auc, f"{client}/gap": gaps[client]}
    return dg.AssetCheckResult(
        check_name=BETTER_TOGETHER,
        passed=len(gaps) == len(alone) and min(gaps.values()) > 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
