"""Storing traces: their spans arrive in any order, in any number of requests, and perhaps several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.services.ai_catalog.logic.run_rows import Row
from api.services.ai_catalog.logic.trace_links import asset_links, model_links, prompt_links, run_links
from api.services.ai_catalog.logic.trace_rows import link, put
from api.services.ai_catalog.logic.trace_spans import (
    MAX_BYTES,
    MAX_SPANS,
    SpanFacts,
    Usage,
    linked_prompts,
    preview,
    read_versions,
    total_usage,
    usage_of,
)
from api.services.ai_catalog.trace_tables import SPAN, TRACE, TRACE_METADATA, TRACE_TAG
from core.db import insert
from core.errors import Conflict, InvalidPayload
from core.ids import new_id

_STATES = {"UNSET": "OK", "OK": "OK", "ERROR": "ERROR"}
"""State of a trace by the status of its root span."""

_TAG = "mlflow.traceTag."
_OF_ROOT = {"session.id": "mlflow.trace.session", "user.id": "mlflow.trace.user"}
"""Metadata of a trace by the attribute of its root span."""

_BATCH = 500
"""Ids in one statement."""


@dataclass(frozen=True, slots=True)
class TraceFacts:
    """What a client says about a whole trace."""

    complete: bool = False
    """Whether this is all. Otherwise name, state, times, and previews follow from the spans."""
    client_request_id: str = ""
    name: str = ""
    state: str = "OK"
    started_at: datetime | None = None
    duration_ms: int | None = None
    request_preview: str = ""
    response_preview: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)


def record_trace(unit: Unit, experiment: Any, otel_id: str, spans: Sequence[SpanFacts], facts: TraceFacts) -> Row:
    """Stores a trace or adds spans to a stored one, and returns its row. What is stored already adds nothing.

    Raises:
        Conflict: the trace belongs to another experiment, or the facts differ from stored ones.
        InvalidPayload: the trace would have too many or too large spans.
    """
    trace = _opened(unit, experiment, otel_id)
    added, size = _added(unit, trace, spans)
    values = _sizes(trace, len(added), size)
    tags, metadata = dict(facts.tags), dict(facts.metadata)
    if added and not trace.complete:
        root = next((span for span in added if span.parent_id is None), None)
        values |= _from_spans(unit, trace, added, root)
        tags = (_root_tags(root) if root else {}) | tags
        metadata = (_root_metadata(root) if root else {}) | metadata
    if facts.complete:
        values |= _completed(trace, facts, {**trace._mapping, **values})
    put(unit.connection, TRACE_TAG, trace.id, tags)
    _put_new_metadata(unit, trace, metadata)
    project = trace.project_id
    link(unit.connection, trace.id, run_links(unit, project, [metadata.get("mlflow.sourceRun", "")]))
    link(unit.connection, trace.id, model_links(unit, project, [metadata.get("mlflow.modelId", "")]))
    link(unit.connection, trace.id, prompt_links(unit, project, linked_prompts(added)))
    link(unit.connection, trace.id, asset_links(unit, read_versions(added)))
    if values:
        unit.connection.execute(TRACE.update().where(TRACE.c.id == trace.id).values(values))
    return unit.connection.execute(sa.select(TRACE).where(TRACE.c.id == trace.id)).one()


def _opened(unit: Unit, experiment: Any, otel_id: str) -> Row:
    """Returns the locked row of a trace, which is a new one if the project has none with this id."""
    row = insert(unit.connection, TRACE).values(
        id=new_id("trc"),
        organization_id=experiment.organization_id,
        project_id=experiment.project_id,
        experiment_id=experiment.id,
        otel_id=otel_id,
        client_request_id="",
        name="",
        state="IN_PROGRESS",
        started_at=unit.now,
        request_preview="",
        response_preview="",
        spans=0,
        bytes=0,
        complete=False,
        created_at=unit.now,
        created_by=unit.principal.name,
    )
    unit.connection.execute(row.on_conflict_do_nothing(index_elements=["project_id", "otel_id"]))
    select = sa.select(TRACE).where(TRACE.c.project_id == experiment.project_id, TRACE.c.otel_id == otel_id)
    trace = unit.connection.execute(select.with_for_update()).one()
    if trace.experiment_id != experiment.id or trace.deleted_at:
        raise Conflict(
            f"The project has a trace with the id {otel_id} in another experiment. Ids of traces are unique."
        )
    return trace


def _added(unit: Unit, trace: Row, spans: Sequence[SpanFacts]) -> tuple[list[SpanFacts], int]:
    """Stores the spans that are new, and returns them and the size of their content."""
    rows: dict[str, dict[str, Any]] = {}
    for span in spans:
        if rows.setdefault(span.span_id, row := span.row()) != row:
            raise _changed(span.span_id)
    ids = list(rows)
    stored = set()
    for start in range(0, len(ids), _BATCH):
        select = sa.select(SPAN).where(SPAN.c.trace_id == trace.id, SPAN.c.span_id.in_(ids[start : start + _BATCH]))
        for known in unit.connection.execute(select):
            if any(known._mapping[name] != value for name, value in rows[known.span_id].items()):
                raise _changed(known.span_id)
            stored.add(known.span_id)
    new = {span.span_id: span for span in spans if span.span_id not in stored}
    if new:
        unit.connection.execute(SPAN.insert(), [rows[id] | {"trace_id": trace.id} for id in new])
    return list(new.values()), sum(rows[id]["bytes"] for id in new)


def _changed(id: str) -> Conflict:
    return Conflict(f"The span {id} is stored already, and differs. Spans never change.")


def _sizes(trace: Row, count: int, size: int) -> dict[str, Any]:
    if not count:
        return {}
    count, size = trace.spans + count, trace.bytes + size
    if count > MAX_SPANS or size > MAX_BYTES:
        raise InvalidPayload(
            f"A trace has at most {MAX_SPANS:,} spans with {MAX_BYTES // 1_000_000} MB. With these, it would have "
            f"{count:,} spans with {size:,} bytes. Record less in each span, or start another trace."
        )
    return {"spans": count, "bytes": size}


def _from_spans(unit: Unit, trace: Row, added: Sequence[SpanFacts], root: SpanFacts | None) -> dict[str, Any]:
    """Returns what the spans say about a trace that is not complete."""
    started = min(_time(span.started_ns) for span in added)
    ended = max((_time(span.ended_ns) for span in added if span.ended_ns is not None), default=None)
    if trace.spans:
        known = trace.started_at + timedelta(milliseconds=trace.duration_ms or 0)
        started, ended = min(started, trace.started_at), max(known, ended or known)
    values: dict[str, Any] = {"started_at": started}
    if ended:
        values["duration_ms"] = round((ended - started) / timedelta(milliseconds=1))
    if root:
        inputs, outputs = (root.attributes.get(f"mlflow.span{part}") for part in ("Inputs", "Outputs"))
        values |= {"name": root.name[:500], "state": _STATES[root.status]}
        values |= {"request_preview": preview(inputs), "response_preview": preview(outputs)}
    if any(span.usage.total_tokens is not None for span in added):
        columns = SPAN.c
        select = sa.select(
            columns.span_id, columns.parent_id, columns.input_tokens, columns.output_tokens, columns.total_tokens
        ).where(columns.trace_id == trace.id)
        rows = unit.connection.execute(select)
        values |= total_usage((id, parent, Usage(*counts)) for id, parent, *counts in rows)._asdict()
    return values


def _completed(trace: Row, facts: TraceFacts, known: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the facts that complete a trace."""
    values = {
        "name": facts.name or known["name"],
        "state": facts.state,
        "started_at": facts.started_at or known["started_at"],
        "duration_ms": known["duration_ms"] if facts.duration_ms is None else facts.duration_ms,
        "request_preview": facts.request_preview or known["request_preview"],
        "response_preview": facts.response_preview or known["response_preview"],
        "client_request_id": facts.client_request_id,
    }
    if trace.complete:
        if differs := next((name for name, value in values.items() if value != trace._mapping[name]), None):
            raise Conflict(f"The trace {trace.otel_id} is complete already, with another {differs}. It can't change.")
        return {}
    usage = usage_of(facts.metadata.get("mlflow.trace.tokenUsage"))
    return values | (usage._asdict() if usage else {}) | {"complete": True}


def _put_new_metadata(unit: Unit, trace: Row, metadata: Mapping[str, str]) -> None:
    if metadata:
        rows = [{"trace_id": trace.id, "key": key, "value": value} for key, value in metadata.items()]
        unit.connection.execute(insert(unit.connection, TRACE_METADATA).on_conflict_do_nothing(), rows)


def _root_tags(root: SpanFacts) -> dict[str, str]:
    return {
        key.removeprefix(_TAG)[:250]: value[:8000]
        for key, value in root.attributes.items()
        if key.startswith(_TAG) and len(key) > len(_TAG) and isinstance(value, str)
    }


def _root_metadata(root: SpanFacts) -> dict[str, str]:
    found = {name: root.attributes.get(attribute) for attribute, name in _OF_ROOT.items()}
    return {name: value[:8000] for name, value in found.items() if isinstance(value, str) and value}


def _time(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, UTC)
