"""What runs and checks reported of an asset: its latest version, and the evaluations of its checks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.reported_values import Reported, reads_values, visible
from core.reports import CheckStatus


class AssetReport(Model):
    """What the run of the latest version reported: numbers, texts, plots, and tables."""

    asset: str
    """Id of the asset."""

    data_version: str | None
    """Latest data version. Null if it was never materialized."""

    run_id: str | None
    """Id of the run that produced it."""

    at: datetime | None
    """Time of the materialization."""

    values: list[Reported]
    """The values, and the texts that the code declares for every version."""

    withheld: int
    """Number of values that can contain values of rows that the caller can't read."""


class EvaluationsQuery(Query):
    """The check, and how many evaluations."""

    check: Annotated[str, Field(min_length=1, max_length=200)]
    """Name of the check."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    """Maximum number of evaluations."""


class CheckResult(Model):
    """An evaluation of a check."""

    status: CheckStatus
    """PASSED, WARNED, FAILED, RUNNING, or NOT_RUN."""

    at: datetime
    """Time of the evaluation."""

    run_id: str
    """Id of the run that evaluated it."""

    data_version: str | None
    """Data version that it evaluated. Null if it didn't report the version."""

    message: str | None
    """Message of the check. Null also if the caller can't read all rows."""

    values: list[Reported]
    """Values that the check reported, such as a sample of the rows that fail."""

    withheld: int
    """Number of values that can contain values of rows that the caller can't read."""


class CheckResults(Model):
    """The last evaluations of a check."""

    asset: str
    """Id of the asset."""

    check: str
    """Name of the check."""

    items: list[CheckResult]
    """The evaluations, newest first."""


@ASSET.part("report", query=Query, result=AssetReport)
async def get_asset_report(ctx: Context, asset: str, query: Query) -> AssetReport:
    """Returns what the run of the latest version reported: numbers, texts, plots, and tables.

    A caller who can't read all rows gets only what the platform reports of every version.
    """
    node = lookup.asset(ctx.view(), asset)
    report = await ctx.orchestrator.report(asset)
    if report is None:
        return AssetReport(asset=asset, data_version=None, run_id=None, at=None, values=[], withheld=0)
    values = visible(report.values, readable=await reads_values(ctx, node))
    return AssetReport(
        asset=asset,
        data_version=report.data_version,
        run_id=report.run_id or None,
        at=report.at,
        values=values,
        withheld=len(report.values) - len(values),
    )


@ASSET.part("evaluations", query=EvaluationsQuery, result=CheckResults)
async def get_asset_evaluations(ctx: Context, asset: str, query: EvaluationsQuery) -> CheckResults:
    """Lists the last evaluations of a check, newest first, with a sample of the rows that failed it.

    A caller who can't read all rows gets neither messages nor samples.
    """
    view = ctx.view()
    node, state = lookup.asset(view, asset), view.states.get(asset)
    lookup.item({check.name: check for check in (state.checks if state else ())}, "check", query.check)
    readable = await reads_values(ctx, node)
    items = []
    for one in await ctx.orchestrator.evaluations(asset, query.check, limit=query.limit):
        values = visible(one.values, readable=readable)
        items.append(
            CheckResult(
                status=one.status,
                at=one.at,
                run_id=one.run_id,
                data_version=one.data_version,
                message=one.message if readable else None,
                values=values,
                withheld=len(one.values) - len(values),
            )
        )
    return CheckResults(asset=asset, check=query.check, items=items)
