"""Health of an asset: one state, and the reasons for it."""

from __future__ import annotations

from enum import StrEnum

from core.ports import AssetNode, AssetState, Staleness
from core.reports import CheckStatus
from core.runs import RunStatus


class Health(StrEnum):
    """State of the latest version of an asset.

    `UNKNOWN`: it was never materialized, or is retired. `DEGRADED`: the last run or a check failed, or its definition
    is blocked or broken. `RUNNING`: it is being produced or checked. `UNCHECKED`: a check was not evaluated for this
    version. `WARNING`: a check warns. `STALE`: its inputs or its code changed. `HEALTHY`: every check of this version
    passed, and it is up to date.
    """

    UNKNOWN = "UNKNOWN"
    DEGRADED = "DEGRADED"
    RUNNING = "RUNNING"
    UNCHECKED = "UNCHECKED"
    WARNING = "WARNING"
    STALE = "STALE"
    HEALTHY = "HEALTHY"


def assess(node: AssetNode, state: AssetState | None) -> tuple[Health, list[str]]:
    """Returns the health and its reasons, from the last run, the checks of the latest version, and its inputs."""
    # An asset that can't run has no checks that could fail.
    if node.retired:
        return Health.UNKNOWN, ["it is retired: it is no longer produced or checked"]
    if node.broken:
        return Health.DEGRADED, ["its definition is blocked or broken: it can't run until the definition is repaired"]
    if state is None:
        return Health.UNKNOWN, ["it was not observed yet"]
    failed = [f"check {check.name} failed" for check in state.checks if check.status is CheckStatus.FAILED]
    # The asset's own materialization succeeded even if the run failed in another step.
    materialized_in = state.materialization.run_id if state.materialization else None
    if state.last_run and state.last_run.status is RunStatus.FAILED and state.last_run.id != materialized_in:
        failed.insert(0, f"run {state.last_run.id} failed")
    unevaluated = [
        f"check {check.name} was not evaluated for this version"
        for check in state.checks
        if check.status is CheckStatus.NOT_RUN
    ]
    warnings = [f"check {check.name} warns" for check in state.checks if check.status is CheckStatus.WARNED]
    never_materialized = state.materialization is None and node.executable
    if failed:
        return Health.DEGRADED, [*failed, *([] if never_materialized else unevaluated), *warnings]
    running = [f"run {run} is producing it" for run in state.runs_in_progress]
    running += [f"check {check.name} is running" for check in state.checks if check.status is CheckStatus.RUNNING]
    if running:
        return Health.RUNNING, running
    if never_materialized:
        return Health.UNKNOWN, ["it was never materialized"]
    if unevaluated and state.materialization is not None:
        return Health.UNCHECKED, [*unevaluated, *warnings]
    if warnings:
        return Health.WARNING, warnings
    if state.staleness is Staleness.STALE:
        causes = [f"{cause.asset}: {cause.reason}" for cause in state.causes]
        return Health.STALE, causes or ["its inputs or its code changed"]
    return Health.HEALTHY, []
