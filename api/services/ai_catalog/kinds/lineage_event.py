"""Lineage events: what other systems report of their runs, in the format of OpenLineage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
from pydantic import Field

from api.kernel import references
from api.kernel.kinds.context import Context
from api.kernel.kinds.placement import project_of_new
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.permissions.graph import visible_assets
from api.services.ai_catalog.lineage_tables import LINEAGE_EVENT as TABLE
from api.services.ai_catalog.logic import openlineage
from api.services.ai_catalog.logic.facet_values import FacetValues
from api.services.ai_catalog.logic.lineage_claims import Claims, FindingCode
from api.services.ai_catalog.logic.lineage_ingestion import Ingestion, Received
from api.services.ai_catalog.logic.openlineage import EventType, LineageMessage, RunEventState
from core.errors import HeadwaterError

T = TypeVar("T")

MAX_EVENTS = 10_000
"""Maximum number of events in one request."""


class LineageFinding(Model):
    """A claim in an event that made no edge in the lineage graph, and why."""

    code: FindingCode
    """`UNKNOWN_VERSION` if the table has no such version. `OTHER_WRITER` if a run of the platform wrote the version
    that this run claims to have written. `NO_VERSION` if the run names no version of an asset. `TWO_RESULTS` if the run
    reported that it completed, and that it did not. `TOO_MANY_EDGES` if the run has more pairs of inputs and outputs
    than the platform records."""

    namespace: str
    """Namespace of the dataset or job."""

    name: str
    """Name of the dataset or job."""

    asset: str | None
    """Id of the asset that the claim is about."""

    version: str | None
    """Version that the event names."""

    detail: str
    """What is wrong, and what to do."""


class LineageEvent(Model):
    """An event in the format of OpenLineage, in which another system reports a run, a job, or a dataset."""

    id: str
    """Id of the event."""

    project_id: str
    """Id of the project that the event belongs to."""

    type: EventType
    """What the event describes."""

    state: RunEventState
    """State of the run that the event reports. `NONE` for jobs and datasets."""

    event_time: datetime
    """Time of the event, as its producer reported it."""

    producer: str
    """Producer of the event."""

    run_id: str | None
    """UUID of the run."""

    job_namespace: str | None
    """Namespace of the job."""

    job_name: str | None
    """Name of the job."""

    findings: list[LineageFinding]
    """Claims about assets that made no edge. Assets that the caller cannot see are left out."""

    received_at: datetime
    """Time at which the platform stored the event."""

    created_by: str
    """Name of the principal that sent it."""

    event: dict[str, Any]
    """The event as it was sent, with all its facets. If it concerns an asset whose rows the caller can't all read,
    without facets that can contain values, such as statistics of columns and error messages."""


class NewLineageEvent(Request):
    """An event to store."""

    event: dict[str, Any]
    """A RunEvent, JobEvent, or DatasetEvent of OpenLineage 2."""

    project_id: references.Project | None = None
    """Id or name of the project that the event belongs to. By default the only one in which you may store events."""


class NewLineageEvents(Request):
    """Events to store."""

    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_EVENTS)]
    """RunEvents, JobEvents, and DatasetEvents of OpenLineage 2. Their order does not matter."""

    project_id: references.Project | None = None
    """Id or name of the project that the events belong to. By default the only one in which you may store events."""


class RefusedEvent(Model):
    """An event that was not stored."""

    index: int
    """Position in the request, from 0."""

    detail: str
    """What is wrong with it."""

    pointer: str
    """JSON pointer to the fault in the event."""


class StoredEvents(Model):
    """The result for each event of a request."""

    received: int
    """Number of events in the request."""

    stored: int
    """Number of events that were stored now."""

    duplicates: int
    """Number of events that were stored before, or twice in the request. They change nothing."""

    refused: list[RefusedEvent]
    """Events that are not valid. The others are stored."""


def _events(unit: Unit, rows: Sequence[Row]) -> list[LineageEvent]:
    is_visible = visible_assets(unit.platform, unit.principal.access)
    names = LineageEvent.model_fields.keys() - {"event", "findings"}
    return [
        LineageEvent(
            **{name: row._mapping[name] for name in names},
            findings=[LineageFinding(**one) for one in row.findings if not one["asset"] or is_visible(one["asset"])],
            event=event,
        )
        for row, event in zip(rows, FacetValues(unit).of_events(rows), strict=True)
    ]


LINEAGE_EVENT = TableKind(
    LineageEvent,
    TABLE,
    plural="lineage-events",
    prefix="lev",
    filter_by=("project_id", "type", "state", "run_id", "job_namespace", "job_name", "created_by", "event_time"),
    items=_events,
)


@LINEAGE_EVENT.create(request=NewLineageEvent, result=LineageEvent, past="received")
async def create_lineage_event(ctx: Context, request: NewLineageEvent) -> LineageEvent:
    """Stores an event of another system, and records the edges of a run that completed.

    The same event changes nothing if it is sent again. A dataset is an asset of the platform if its name is the id of
    the asset, or its location is that of the asset's table, and you may materialize the asset. Its version must be one
    that the table has: otherwise the event has a finding, and the run makes no edge to the asset. All other datasets
    are external, and belong to the project.
    """
    return await receive_event(ctx, request.event, request.project_id, "/event")


async def receive_event(ctx: Context, document: Any, project: str | None, pointer: str = "") -> LineageEvent:
    """Stores an event, and returns it. `pointer` is the JSON pointer of the event in the request."""
    message = await ctx.compute(openlineage.parse, document, pointer)

    def answer(unit: Unit, received: list[Received]) -> LineageEvent:
        rows = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == received[0].id)).all()
        return _events(unit, rows)[0]

    return await _receive(ctx, [message], project, answer)


@LINEAGE_EVENT.collection_action("ingest", request=NewLineageEvents, result=StoredEvents, past="ingested")
async def ingest_lineage_events(ctx: Context, request: NewLineageEvents) -> StoredEvents:
    """Stores up to 10,000 events of another system in one transaction. Events that are not valid are left out.

    The result contains each event that is not valid, with the reason.
    """
    parsed = await ctx.compute(openlineage.parse_all, request.events)
    messages = [one for one in parsed if isinstance(one, LineageMessage)]

    def answer(unit: Unit, received: list[Received]) -> StoredEvents:
        duplicates = sum(one.duplicate for one in received)
        return StoredEvents(
            received=len(parsed),
            stored=len(received) - duplicates,
            duplicates=duplicates,
            refused=[_refusal(n, one) for n, one in enumerate(parsed) if isinstance(one, HeadwaterError)],
        )

    return await _receive(ctx, messages, request.project_id, answer)


async def _receive(
    ctx: Context,
    messages: Sequence[LineageMessage],
    project: str | None,
    answer: Callable[[Unit, list[Received]], T],
) -> T:
    """Stores events with everything that follows from them, in the transaction of the request."""
    claims = await ctx.compute(Claims(ctx).resolve, messages)

    def store(unit: Unit) -> T:
        place = project_of_new(unit, project, ctx.endpoint.permission)
        received = Ingestion(unit, place.securable, place.name).store(messages, claims)
        unit.creates(received[0].id if len(received) == 1 else place.id, place.securable)
        unit.call.note(events=len(received), duplicates=sum(one.duplicate for one in received))
        return answer(unit, received)

    return await ctx.write(store)


def _refusal(index: int, error: HeadwaterError) -> RefusedEvent:
    pointer = str(error.errors[0]["pointer"]) if error.errors else ""
    return RefusedEvent(index=index, detail=error.detail, pointer=pointer)
