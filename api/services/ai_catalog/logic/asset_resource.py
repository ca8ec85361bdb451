"""The response form of an asset, from the orchestrator's view."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from api.kernel.models import Model
from api.services.ai_catalog.logic.health import Health, assess
from core.ports import AssetNode, AssetState, CheckState, GraphView, Staleness
from core.reports import CheckStatus
from core.runs import RunStatus, RunSummary


class Check(Model):
    """A quality check and its result for the latest version."""

    name: str
    """Name of the check."""

    description: str
    """Description of the check."""

    blocking: bool
    """Whether a failure prevents downstream materializations."""

    status: CheckStatus
    """PASSED, WARNED, FAILED, RUNNING, or NOT_RUN if it was not evaluated for this version."""

    at: datetime | None
    """Time of the evaluation."""

    run_id: str | None
    """Id of the run that evaluated it."""

    message: str | None
    """Message of the check. Null also if the caller can't read all rows: it can contain values."""

    data_version: str | None
    """Data version that it evaluated. Null if it was never evaluated, or did not report the version."""


class LastRun(Model):
    """The last run of an asset."""

    id: str
    """Id of the Dagster run."""

    status: RunStatus
    """State of the run."""

    started_at: datetime | None
    """Start of the run."""

    ended_at: datetime | None
    """End of the run."""


class StalenessCause(Model):
    """A reason why an asset is stale."""

    asset: str
    """Id of the asset with the cause: the asset itself or an upstream one."""

    category: str
    """CODE, DATA, or DEPENDENCIES."""

    reason: str
    """Description of the change."""

    dependency: str | None
    """Id of the input that changed."""


class Asset(Model):
    """An asset with its latest version and its health."""

    id: str
    """Id of the asset: `<project>.<layer>.<name>`."""

    description: str
    """Description of the content."""

    group: str
    """Group of the asset."""

    kinds: list[str]
    """Technologies and data types, such as `polars`."""

    owners: list[str]
    """Owners: addresses, or names with `team:`."""

    code_version: str | None
    """Version of the code that produces it."""

    upstream: list[str]
    """Ids of its inputs."""

    downstream: list[str]
    """Ids of the assets produced from it."""

    partitioned: bool
    """Whether it is materialized by partition."""

    executable: bool
    """Whether it can be materialized. If not, it is only observed, or it is retired or broken."""

    retired: bool
    """Whether its definition is retired. It is no longer produced, and its versions, lineage, and history stay."""

    automation: str | None
    """Condition under which it is materialized automatically."""

    location: str
    """Code location that defines it."""

    data_version: str | None
    """Latest data version, `<table id>@<table version>`. Null if it was never materialized."""

    table_version: int | None
    """Version of the Delta table at the latest data version."""

    row_count: int | None
    """Number of rows of the latest version, as its run reported it."""

    materialized_at: datetime | None
    """Time of the latest materialization."""

    run_id: str | None
    """Id of the run that produced the latest version."""

    health: Health
    """HEALTHY, STALE, WARNING, UNCHECKED, RUNNING, DEGRADED, or UNKNOWN."""

    health_reasons: list[str]
    """Reasons why it is not HEALTHY."""

    checks: list[Check]
    """Quality checks of the latest version."""

    last_run: LastRun | None
    """The last run of the asset, successful or not."""

    runs_in_progress: list[str]
    """Ids of runs that are producing it now."""

    staleness: Staleness
    """FRESH, STALE, or MISSING."""

    staleness_causes: list[StalenessCause]
    """Reasons why it is STALE."""

    metadata: dict[str, Any]
    """Metadata that the run reported for the latest version. A caller who can't read all rows gets only what the
    platform reports of every version, such as `delta/version`: the rest can contain values."""

    stale_since: datetime | None
    """Time of this state while Dagster does not respond. Null otherwise."""


_WITHOUT_VALUES = ("delta/", "dagster/", "headwater/")
"""Prefixes of the metadata that the platform reports of every version."""


def may_contain_values(state: AssetState | None) -> bool:
    """Returns whether what runs reported of an asset may contain values of its rows."""
    if state is None:
        return False
    metadata = state.materialization.metadata if state.materialization else {}
    return any(check.message for check in state.checks) or any(not is_without_values(name) for name in metadata)


def to_resource(node: AssetNode, view: GraphView, *, values: bool) -> Asset:
    """Returns the asset in its response form. `values` is whether the caller can read all its rows."""
    state = view.states.get(node.id)
    materialization = state.materialization if state else None
    health, reasons = assess(node, state)
    metadata = {
        name: value
        for name, value in (materialization.metadata if materialization else {}).items()
        if values or is_without_values(name)
    }
    return Asset(
        id=node.id,
        description=node.description,
        group=node.group,
        kinds=list(node.kinds),
        owners=list(node.owners),
        code_version=node.code_version,
        upstream=list(node.upstream),
        downstream=list(view.downstream.get(node.id, ())),
        partitioned=node.partitioned,
        executable=node.executable,
        retired=node.retired,
        automation=node.automation,
        location=node.location,
        data_version=materialization.data_version if materialization else None,
        table_version=_integer(metadata.get("delta/version")),
        row_count=_integer(metadata.get("dagster/row_count")),
        materialized_at=materialization.at if materialization else None,
        # A version that another system reported has no run.
        run_id=materialization.run_id or None if materialization else None,
        health=health,
        health_reasons=reasons,
        checks=[_check(check, values) for check in state.checks] if state else [],
        last_run=_run(state.last_run) if state and state.last_run else None,
        runs_in_progress=list(state.runs_in_progress) if state else [],
        staleness=state.staleness if state else Staleness.MISSING,
        staleness_causes=[
            StalenessCause(asset=cause.asset, category=cause.category, reason=cause.reason, dependency=cause.dependency)
            for cause in (state.causes if state else ())
        ],
        metadata=metadata,
        stale_since=view.stale_since,
    )


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_without_values(name: str) -> bool:
    """Returns whether the platform reports this of every version, so that it contains no values of rows."""
    return name.startswith(_WITHOUT_VALUES)


def _check(check: CheckState, values: bool) -> Check:
    return Check(
        name=check.name,
        description=check.description,
        blocking=check.blocking,
        status=check.status,
        at=check.at,
        run_id=check.run_id,
        message=check.message if values else None,
        data_version=check.data_version,
    )


def _run(run: RunSummary) -> LastRun:
    return LastRun(id=run.id, status=run.status, started_at=run.started_at, ended_at=run.ended_at)
