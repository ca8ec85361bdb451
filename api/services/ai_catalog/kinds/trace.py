"""Traces: what an application did to answer a request, as spans that never change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request, Timestamp
from api.kernel.permissions.graph import visible_assets
from api.kernel.references import PROJECT
from api.kernel.securable import Securable
from api.services.ai_catalog.kinds.experiment import EXPERIMENT, ExperimentReference
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.kinds.span import NewSpan
from api.services.ai_catalog.logic import trace_rows
from api.services.ai_catalog.logic.readable_traces import closed_traces
from api.services.ai_catalog.logic.run_rows import Key
from api.services.ai_catalog.logic.trace_links import run_links
from api.services.ai_catalog.logic.trace_recording import TraceFacts, record_trace
from api.services.ai_catalog.logic.trace_rows import TraceValues
from api.services.ai_catalog.logic.trace_spans import MAX_NS, SpanFacts
from api.services.ai_catalog.trace_tables import TRACE as TABLE
from api.services.ai_catalog.trace_tables import TRACE_TAG
from core.errors import InvalidPayload

OtelId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Id of a trace in OpenTelemetry: 32 hexadecimal digits."""

TraceTags = Annotated[dict[Key, Annotated[str, Field(max_length=8000)]], Field(max_length=500)]
"""Free key-value pairs."""

_MAX_MS = MAX_NS // 1_000_000


class TraceState(StrEnum):
    """State of a trace. One that stays IN_PROGRESS can mean that the client was killed."""

    IN_PROGRESS = "IN_PROGRESS"
    OK = "OK"
    ERROR = "ERROR"


class AssetRead(Model):
    """A version of an asset that was read."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version."""


class Trace(Model):
    """What an application did to answer a request. Its spans never change."""

    id: str
    """Id of the trace."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project that it belongs to."""

    experiment_id: str
    """Id of the experiment."""

    otel_id: str
    """Id in OpenTelemetry. MLflow's id is `tr-` and this. It is unique in the project."""

    client_request_id: str
    """Id of the request in the application. Empty if it gave none."""

    name: str
    """Name of the root span."""

    state: TraceState
    """State."""

    started_at: datetime
    """Start."""

    duration_ms: int | None
    """Duration in milliseconds. Null until it is known."""

    request_preview: str
    """Beginning of the input. Empty if the trace read rows that the caller may not read."""

    response_preview: str
    """Beginning of the output. Empty if the trace read rows that the caller may not read."""

    spans: int
    """Number of spans."""

    bytes: int
    """Size of the content of its spans, as JSON."""

    input_tokens: int | None
    """Tokens that models read. Null if it is unknown."""

    output_tokens: int | None
    """Tokens that models wrote. Null if it is unknown."""

    total_tokens: int | None
    """All tokens. Null if it is unknown."""

    complete: bool
    """Whether the client has sent the facts about the whole trace. Until then, they follow from its spans."""

    tags: dict[str, str]
    """Tags."""

    metadata: dict[str, str]
    """Facts that the client recorded with the trace, such as its session. Empty if the previews are closed."""

    runs: list[str]
    """Ids of linked runs."""

    models: list[str]
    """Ids of the logged models that answered."""

    prompts: list[str]
    """Ids of the versions of prompts that were used."""

    reads: list[AssetRead]
    """Versions of assets that spans name in `headwater.reads` and that the caller can see."""

    created_at: datetime
    """Time at which it was stored."""

    created_by: str
    """Name of the principal that stored it."""


class NewTrace(Request):
    """A trace to store, or more spans of one. The same request again adds nothing."""

    experiment_id: ExperimentReference
    """Id of the experiment."""

    otel_id: OtelId
    """Id in OpenTelemetry, which the client chooses."""

    complete: bool = True
    """Whether these are the facts about the whole trace. Otherwise they follow from its spans."""

    client_request_id: Annotated[str, Field(max_length=250)] = ""
    """Id of the request in the application."""

    name: Annotated[str, Field(max_length=500)] = ""
    """Name. Defaults to that of the root span."""

    state: TraceState = TraceState.OK
    """State of a complete trace."""

    started_at: Timestamp | None = None
    """Start of a complete trace. Defaults to that of its first span."""

    duration_ms: Annotated[int, Field(ge=0, le=_MAX_MS)] | None = None
    """Duration of a complete trace. Defaults to the time from its first start to its last end."""

    request_preview: Annotated[str, Field(max_length=10_000)] = ""
    """Beginning of the input. Defaults to that of the root span."""

    response_preview: Annotated[str, Field(max_length=10_000)] = ""
    """Beginning of the output. Defaults to that of the root span."""

    tags: TraceTags = {}
    """Tags to set."""

    metadata: TraceTags = {}
    """Facts about the trace. Those that are recorded already don't change."""

    spans: Annotated[list[NewSpan], Field(max_length=10_000)] = []
    """Finished spans, in any order."""


class TraceChange(Request):
    """Changes of a trace. Its spans and its metadata never change."""

    tags: dict[Key, Annotated[str, Field(max_length=8000)] | None] = {}
    """Tags to set. Null removes a tag."""


class LinkTrace(Request):
    """A run to link a trace to."""

    run: Annotated[str, Field(max_length=64)]
    """Id of a run of the same project."""


def traces(unit: Unit, rows: Sequence[Row]) -> list[Trace]:
    """Returns what callers see of traces."""
    values = TraceValues(unit.connection, [row.id for row in rows])
    is_visible = visible_assets(unit.platform, unit.principal.access)
    closed = closed_traces(unit, [row.id for row in rows])

    def item(row: Row) -> Trace:
        links = [one for one in values.links[row.id] if may_see(unit, row, one.type)]
        targets = {type: [one.target for one in links if one.type == type] for type in trace_rows.TYPES}
        columns = {name: row._mapping[name] for name in Trace.model_fields if name in row._mapping}
        if row.id in closed:
            columns |= {"request_preview": "", "response_preview": ""}
        return Trace(
            **columns,
            tags=values.tags[row.id],
            metadata={} if row.id in closed else values.metadata[row.id],
            runs=targets[trace_rows.RUN],
            models=targets[trace_rows.MODEL],
            prompts=targets[trace_rows.PROMPT],
            reads=[
                AssetRead(asset=one.target, version=one.version)
                for one in links
                if one.type == trace_rows.ASSET and is_visible(one.target)
            ],
        )

    return [item(row) for row in rows]


TRACE = TableKind(
    Trace,
    TABLE,
    plural="traces",
    prefix="trc",
    filter_by=("experiment_id", "otel_id", "client_request_id", "name", "state", "started_at", "created_by"),
    items=traces,
)


@TRACE.creation(request=NewTrace, result=Trace)
def create_trace(unit: Unit, request: NewTrace) -> Trace:
    """Stores a trace, or adds spans to one. A span with the id of a stored span must be equal to it."""
    experiment = unit.row(EXPERIMENT, request.experiment_id)
    spans = [
        SpanFacts(**{**one.model_dump(), "status": one.status.value}).checked(f"/spans/{n}")
        for n, one in enumerate(request.spans)
    ]
    facts = TraceFacts(
        **request.model_dump(include=set(TraceFacts.__annotations__) - {"state"}), state=request.state.value
    )
    row = store_trace(unit, experiment, request.otel_id, spans, facts)
    return TRACE.item(unit, row)


@TRACE.modification(request=TraceChange, result=Trace)
def update_trace(unit: Unit, trace: Row, request: TraceChange) -> Trace:
    """Sets and removes tags of a trace."""
    trace_rows.put(unit.connection, TRACE_TAG, trace.id, request.tags)
    return TRACE.item(unit, trace)


@TRACE.command("link", request=LinkTrace, result=Trace, past="linked")
def link_trace(unit: Unit, trace: Row, request: LinkTrace) -> Trace:
    """Links a trace to a run of its project."""
    scope = unit.call.securable
    RUN.row(unit, request.run)
    unit.call.securable = scope
    links = list(run_links(unit, trace.project_id, [request.run]))
    if not links:
        fault = {"pointer": "/run", "detail": "is in another project"}
        raise InvalidPayload("The run of a trace must be in its project.", errors=[fault])
    trace_rows.link(unit.connection, trace.id, links)
    return TRACE.item(unit, trace)


@TRACE.deletion()
def delete_trace(unit: Unit, trace: Row) -> None:
    """Deletes a trace with its spans and assessments, for ever."""
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == trace.id))


def store_trace(unit: Unit, experiment: Any, otel_id: str, spans: Sequence[SpanFacts], facts: TraceFacts) -> Row:
    """Stores a trace, or adds spans to one, and returns its row.

    Raises:
        PermissionDenied: the caller may not create traces in the project.
        Conflict: the trace belongs to another experiment, or the facts differ from stored ones.
        InvalidPayload: the trace would be too large.
    """
    unit.require(TRACE.permission("create"), project_of(experiment))
    row = record_trace(unit, experiment, otel_id, spans, facts)
    unit.creates(row.id, project_of(row))
    unit.call.note(otel_id=otel_id, spans=len(spans))
    return row


def may_see(unit: Unit, row: Row, type: str) -> bool:
    """Returns whether the caller can see the targets of links of a type. They are in the project of the trace."""
    return type == trace_rows.ASSET or unit.allows(f"ai_catalog.{_KINDS[type]}.get", project_of(row))


_KINDS = {trace_rows.RUN: "run", trace_rows.MODEL: "logged_model", trace_rows.PROMPT: "prompt_version"}


def project_of(row: Any) -> Securable:
    """Returns the project of a row as a securable."""
    return Securable(PROJECT, row.project_id, row.organization_id, row.project_id)
