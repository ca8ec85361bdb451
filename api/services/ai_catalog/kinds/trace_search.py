"""Searches of traces, and deletions by age."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Page, Request, Timestamp
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, ExperimentReference
from api.services.ai_catalog.kinds.trace import TRACE, Trace, project_of
from api.services.ai_catalog.logic.sorted_pages import page_of
from api.services.ai_catalog.logic.trace_search import condition, order
from api.services.ai_catalog.trace_tables import TRACE as TABLE
from core.errors import InvalidPayload


class TraceSearch(Request):
    """Which traces to return, in the language of MLflow's `search_traces`."""

    experiments: Annotated[list[ExperimentReference], Field(max_length=1000)] = []
    """Ids of experiments. By default all that the caller can see."""

    filter: Annotated[str, Field(max_length=6000)] = ""
    """Filter, such as `trace.status = 'ERROR' AND tags.team = 'docs' AND feedback.correctness = 'no'`."""

    order_by: Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=10)] = []
    """Attributes such as `execution_time_ms DESC`. The newest traces come first by default."""

    page_size: Annotated[int, Field(ge=1, le=500)] = 100
    """Maximum number of traces on the page."""

    page_token: Annotated[str, Field(max_length=8000)] = ""
    """`next_page_token` of the previous page."""


class DeleteTraces(Request):
    """Which traces of an experiment to delete: those with these ids, or the oldest ones."""

    experiment_id: ExperimentReference
    """Id of the experiment."""

    traces: Annotated[list[Annotated[str, Field(max_length=64)]], Field(max_length=1000)] = []
    """Ids of traces. Ids of traces that the experiment doesn't have are skipped."""

    started_before: Timestamp | None = None
    """Deletes traces that started at this time or before."""

    max_traces: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Maximum number of traces to delete, oldest first."""


class DeletedTraces(Model):
    """What was deleted."""

    deleted: int
    """Number of traces."""


@TRACE.collection_action("search", request=TraceSearch, result=Page[Trace], reads=True)
async def search_traces(ctx: Context, request: TraceSearch) -> Page[Trace]:
    """Searches traces by attributes, tags, metadata, spans, and assessments, in the language of MLflow."""

    def read(unit: Unit) -> Page[Trace]:
        rows, token = found_traces(unit, request)
        return Page[Trace](items=list(TRACE.items(unit, rows)), next_page_token=token)

    return await ctx.read(read)


@TRACE.collection_action("purge", request=DeleteTraces, result=DeletedTraces)
async def purge_traces(ctx: Context, request: DeleteTraces) -> DeletedTraces:
    """Deletes traces of an experiment by id or by age, with their spans and assessments, for ever."""
    return await ctx.write(lambda unit: DeletedTraces(deleted=delete_traces(unit, request)))


def found_traces(unit: Unit, request: TraceSearch) -> tuple[Sequence[Row], str | None]:
    """Returns one page of the traces that a search finds and the caller can see, and the token of the next page.

    Raises:
        InvalidArgument: the filter, the order, or the page token is not valid.
    """
    select = sa.select(TABLE).where(TRACE.visible(unit), TRACE.present(), condition(unit, request.filter))
    if request.experiments:
        select = select.where(TABLE.c.experiment_id.in_(request.experiments))
    return page_of(unit.connection, select, order(request.order_by), request.page_size, request.page_token)


def delete_traces(unit: Unit, request: DeleteTraces) -> int:
    """Deletes traces of an experiment, and returns how many.

    Raises:
        InvalidPayload: neither ids nor a time are given.
        PermissionDenied: the caller may not delete traces of the project.
    """
    if not request.traces and request.started_before is None:
        fault = {"pointer": "/started_before", "detail": "is missing, and so are traces"}
        raise InvalidPayload("Say which traces to delete: send traces or started_before.", errors=[fault])
    experiment = unit.row(EXPERIMENT, request.experiment_id)
    scope = project_of(experiment)
    for verb in ("purge", "delete"):
        unit.require(TRACE.permission(verb), scope)
    select = sa.select(TABLE.c.id).where(TABLE.c.experiment_id == experiment.id, TRACE.visible(unit), TRACE.present())
    if request.traces:
        select = select.where(TABLE.c.id.in_(request.traces))
    if request.started_before is not None:
        select = select.where(TABLE.c.started_at <= request.started_before)
    oldest = select.order_by(TABLE.c.started_at, TABLE.c.id).limit(request.max_traces)
    ids = list(unit.connection.execute(oldest).scalars())
    for start in range(0, len(ids), 500):
        unit.connection.execute(TABLE.delete().where(TABLE.c.id.in_(ids[start : start + 500])))
    unit.call.subject, unit.call.securable = experiment.id, scope
    unit.call.note(deleted=len(ids))
    return len(ids)
