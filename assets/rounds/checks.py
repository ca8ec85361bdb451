"""What must be true of a federated training. The figures come from the run itself: a check repeats no training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from federated.outcomes import Judgement, Round

BEATS_BASELINE = "beats_baseline"
ROUNDS_COMPLETE = "rounds_complete"
CLIENTS_APART = "clients_apart"
BETTER_TOGETHER = "better_together"


def specs(asset: dg.AssetKey, *, baseline_auc: float | None, compare_alone: bool) -> list[dg.AssetCheckSpec]:
    """The checks of a training; the first two exist only where they were asked for."""
    found = [
        dg.AssetCheckSpec(
            ROUNDS_COMPLETE, asset=asset, blocking=True, description="Each round from 1 to the last is there, once."
        ),
        dg.AssetCheckSpec(
            CLIENTS_APART,
            asset=asset,
            blocking=True,
            description="No row belongs to two clients, and none is both trained on and judged by.",
        ),
    ]
    if baseline_auc is not None:
        description = f"The global model's AUC over the pooled holdouts is above {baseline_auc:g}."
        found.append(dg.AssetCheckSpec(BEATS_BASELINE, asset=asset, blocking=True, description=description))
    if compare_alone:
        description = "Over the pooled holdouts, the global model beats what each client reaches on its own rows."
        found.append(dg.AssetCheckSpec(BETTER_TOGETHER, asset=asset, description=description))
    return found


def rounds_complete(numbers: list[int], expected: int) -> dg.AssetCheckResult:
    """Whether the table holds rounds 1 to `expected` of this training, each once."""
    return dg.AssetCheckResult(
        check_name=ROUNDS_COMPLETE,
        passed=sorted(numbers) == list(range(1, expected + 1)),
        metadata={"rounds": len(numbers), "expected": expected},
    )


def clients_apart(shared: int) -> dg.AssetCheckResult:
    """Whether the clients' rows are disjoint."""
    return dg.AssetCheckResult(check_name=CLIENTS_APART, passed=shared == 0, metadata={"shared_rows": shared})


def beats_baseline(last: Round, baseline_auc: float) -> dg.AssetCheckResult:
    """Whether the last round is better than the baseline; an AUC that could not be computed is a failure."""
    auc = last.metrics.auc
    return dg.AssetCheckResult(
        check_name=BEATS_BASELINE,
        passed=auc is not None and auc > baseline_auc,
        description="No client judged the model on both classes." if auc is None else None,
        metadata={"auc": -1.0 if auc is None else auc, "baseline_auc": baseline_auc},
    )


def better_together(last: Round, alone: Mapping[str, Judgement | str]) -> dg.AssetCheckResult:
    """Reports the gap to each client's own model; warns if one of them is better, or could not be trained."""
    together = last.metrics.auc
    gaps: dict[str, float] = {}
    metadata: dict[str, float | str] = {}
    for client, judged in alone.items():
        if isinstance(judged, str):
            metadata[f"{client}/failure"] = judged
        elif judged.auc is not None and together is not None:
            gaps[client] = together - judged.auc
            metadata |= {f"{client}/auc_alone": judged.auc, f"{client}/gap": gaps[client]}
    return dg.AssetCheckResult(
        check_name=BETTER_TOGETHER,
        passed=len(gaps) == len(alone) and min(gaps.values()) > 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )
