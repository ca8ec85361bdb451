"""How an asset is doing, in one word and the reasons for it."""

from __future__ import annotations

from enum import StrEnum

from core.ports import AssetNode, AssetState, CheckStatus, RunStatus


class Health(StrEnum):
    """`UNKNOWN` was never made; `WARNING` can be used, but look; `DEGRADED` should not be relied upon."""

    HEALTHY = "HEALTHY"
    WARNING = "WARNING"
    DEGRADED = "DEGRADED"
    UNKNOWN = "UNKNOWN"


def assess(node: AssetNode, state: AssetState | None) -> tuple[Health, list[str]]:
    """Health and its reasons: the last run, then the checks of the latest version."""
    if state is None:
        return Health.UNKNOWN, ["nothing was observed of it yet"]
    degraded = [f"check {check.name} failed" for check in state.checks if check.status is CheckStatus.FAILED]
    # A run of many assets that failed elsewhere says nothing against what it did make.
    made_in = state.materialization.run_id if state.materialization else None
    if state.last_run and state.last_run.status is RunStatus.FAILED and state.last_run.id != made_in:
        degraded.insert(0, f"run {state.last_run.id} failed")
    warnings = [f"check {check.name} warns" for check in state.checks if check.status is CheckStatus.WARNED]
    if degraded:
        return Health.DEGRADED, [*degraded, *warnings]
    if state.materialization is None and node.executable:
        return Health.UNKNOWN, ["it was never materialized"]
    if warnings:
        return Health.WARNING, warnings
    return Health.HEALTHY, []
