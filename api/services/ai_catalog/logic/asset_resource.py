"""The asset as callers see it, from the orchestrator's view."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from api.kernel.models import Model
from api.services.ai_catalog.logic.health import Health, assess
from core.ports import AssetNode, CheckState, CheckStatus, GraphView, RunStatus, RunSummary, Staleness


class Check(Model):
    """A quality check and how it ended for the latest version."""

    name: str
    """Name of the check."""

    description: str
    """What it asks."""

    blocking: bool
    """Whether a failure keeps downstream assets from being made."""

    status: CheckStatus
    """PASSED, WARNED, FAILED, RUNNING or NOT_RUN."""

    at: datetime | None
    """When it ran."""

    run_id: str | None
    """The run it ran in."""

    message: str | None
    """What it had to say."""


class LastRun(Model):
    """The run that touched the asset last."""

    id: str
    """Dagster run id."""

    status: RunStatus
    """How it stands."""

    started_at: datetime | None
    """When it started."""

    ended_at: datetime | None
    """When it ended."""


class StalenessCause(Model):
    """Why an asset is stale."""

    asset: str
    """The asset where the cause lies: itself or something upstream."""

    category: str
    """CODE, DATA or DEPENDENCIES."""

    reason: str
    """What changed."""

    dependency: str | None
    """The input that changed."""


class Asset(Model):
    """An asset: what it is, which version it has, and how it is doing."""

    id: str
    """Project, schema and table, joined by dots."""

    description: str
    """What it holds."""

    group: str
    """Group it belongs to."""

    kinds: list[str]
    """What it is made with and of, such as `polars`."""

    owners: list[str]
    """Addresses or `team:` names."""

    code_version: str | None
    """Version of the code that makes it."""

    upstream: list[str]
    """Assets it is made from."""

    downstream: list[str]
    """Assets made from it."""

    partitioned: bool
    """Whether it is made partition by partition."""

    executable: bool
    """Whether it can be materialized here; otherwise it is only observed."""

    automation: str | None
    """Condition under which it is made by itself."""

    location: str
    """Code location that defines it."""

    data_version: str | None
    """Latest version, `<table id>@<table version>`; null if it was never made."""

    table_version: int | None
    """Delta version of the latest version."""

    row_count: int | None
    """Rows of the latest version, as its maker reported."""

    materialized_at: datetime | None
    """When the latest version was made."""

    run_id: str | None
    """The run that made it."""

    health: Health
    """In one word."""

    health_reasons: list[str]
    """Why it is not HEALTHY."""

    checks: list[Check]
    """Quality checks of the latest version."""

    last_run: LastRun | None
    """The run that touched it last, successful or not."""

    runs_in_progress: list[str]
    """Runs that are making it now."""

    staleness: Staleness
    """FRESH, STALE or MISSING."""

    staleness_causes: list[StalenessCause]
    """Why it is STALE."""

    metadata: dict[str, Any]
    """What its maker reported of the latest version."""

    stale_since: datetime | None
    """Set while Dagster does not answer: all this was true then. Null otherwise."""


def to_resource(node: AssetNode, view: GraphView) -> Asset:
    """The asset as callers see it."""
    state = view.states.get(node.id)
    made = state.materialization if state else None
    health, reasons = assess(node, state)
    metadata = dict(made.metadata) if made else {}
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
        automation=node.automation,
        location=node.location,
        data_version=made.data_version if made else None,
        table_version=_integer(metadata.get("delta/version")),
        row_count=_integer(metadata.get("dagster/row_count")),
        materialized_at=made.at if made else None,
        # What was reported from outside has no run.
        run_id=made.run_id or None if made else None,
        health=health,
        health_reasons=reasons,
        checks=[_check(check) for check in state.checks] if state else [],
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


def _check(check: CheckState) -> Check:
    return Check(
        name=check.name,
        description=check.description,
        blocking=check.blocking,
        status=check.status,
        at=check.at,
        run_id=check.run_id,
        message=check.message,
    )


def _run(run: RunSummary) -> LastRun:
    return LastRun(id=run.id, status=run.status, started_at=run.started_at, ended_at=run.ended_at)
