"""Traces of the AI catalog as MLflow's traces. MLflow's id of a trace is `tr-` and the id in OpenTelemetry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.assessments import assessment_of
from api.protocols.mlflow.call import MlflowCall, validated_json
from api.protocols.mlflow.experiments import default_experiment, experiment_id
from api.protocols.mlflow.trace_answers import ARTIFACTS, LOCATION, NAME, infos, whole_traces
from api.protocols.mlflow.trace_names import found, trace_row
from api.services.ai_catalog.kinds.experiment import EXPERIMENT
from api.services.ai_catalog.kinds.trace import (
    TRACE,
    LinkTrace,
    NewTrace,
    TraceChange,
    create_trace,
    link_trace,
    update_trace,
)
from api.services.ai_catalog.kinds.trace_assessment import add_assessment
from api.services.ai_catalog.kinds.trace_search import DeleteTraces, TraceSearch, delete_traces, found_traces
from api.services.ai_catalog.kinds.trace_spans import require_open
from api.services.ai_catalog.logic import trace_rows
from api.services.ai_catalog.logic.metric_values import MAX_MS, time_of
from api.services.ai_catalog.logic.readable_traces import closed_traces
from api.services.ai_catalog.logic.trace_links import prompt_links
from api.services.ai_catalog.logic.trace_rows import TraceValues
from api.services.ai_catalog.trace_tables import TRACE as TABLE
from core.errors import InvalidArgument, NotFound

_STATES = {"STATE_UNSPECIFIED": "OK", "OK": "OK", "ERROR": "ERROR", "IN_PROGRESS": "IN_PROGRESS"}
_TIME = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")


async def create(call: MlflowCall) -> dict[str, Any]:
    """Stores the facts about a whole trace. Its spans arrive separately."""
    trace = call.values.get("trace")
    info = trace.get("trace_info") if isinstance(trace, dict) else None
    if not isinstance(info, dict):
        raise InvalidArgument("The parameter 'trace' must have a trace_info.")
    tags, metadata = _texts(info, "tags"), _texts(info, "trace_metadata")
    location = info.get("trace_location")
    place = location.get("mlflow_experiment") if isinstance(location, dict) else None
    experiment = place.get("experiment_id") if isinstance(place, dict) else None
    if not isinstance(experiment, str):
        raise InvalidArgument("The trace must be in an experiment: trace_location.mlflow_experiment is missing.")
    body = {
        "otel_id": _otel_id(info.get("trace_id")),
        "complete": info.get("state") != "IN_PROGRESS",
        "client_request_id": info.get("client_request_id") or "",
        "name": tags.pop(NAME, "")[:500],
        "state": _STATES.get(str(info.get("state", "OK")), "OK"),
        "started_at": info.get("request_time"),
        "duration_ms": _duration(info.get("execution_duration")),
        "request_preview": info.get("request_preview") or "",
        "response_preview": info.get("response_preview") or "",
        "tags": _own(tags),
        "metadata": metadata,
    }
    assessments = [assessment_of(one) for one in info.get("assessments") or []]

    def write(unit: Unit) -> dict[str, Any]:
        body["experiment_id"] = experiment_id(unit, call.workspace, experiment)
        made = create_trace(unit, validated_json(NewTrace, body))
        row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == made.id)).one()
        known = {(one.name, one.source_id) for one in TraceValues(unit.connection, [row.id]).assessments[row.id]}
        for one in assessments:
            if (one.name, one.source_id) not in known:
                add_assessment(unit, row, one)
        return {"trace_info": infos(unit, [row])[0]}

    return {"trace": await call.write("create_trace", write)}


async def get_info(call: MlflowCall) -> dict[str, Any]:
    """Returns a trace without its spans."""

    def read(unit: Unit) -> dict[str, Any]:
        return {"trace": {"trace_info": infos(unit, [trace_row(unit, call, call.text("trace_id"))])[0]}}

    return await call.read("get_trace", read)


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a trace with its spans."""

    def read(unit: Unit) -> dict[str, Any]:
        row = trace_row(unit, call, call.text("trace_id"))
        require_open(unit, row)
        return {"trace": whole_traces(unit, [row])[0]}

    return await call.read("get_trace_spans", read)


async def batch_get(call: MlflowCall) -> dict[str, Any]:
    """Returns traces with their spans. Those that the caller can't see or may not read are left out."""

    def read(unit: Unit) -> dict[str, Any]:
        rows = _listed(unit, call)
        closed = closed_traces(unit, [row.id for row in rows])
        return {"traces": whole_traces(unit, [row for row in rows if row.id not in closed])}

    return await call.read("get_trace_spans", read)


async def batch_get_infos(call: MlflowCall) -> dict[str, Any]:
    """Returns traces without their spans. Those that the caller can't see are left out."""
    return {"trace_infos": await call.read("get_trace", lambda unit: infos(unit, _listed(unit, call)))}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches traces of experiments."""
    size = call.number("max_results", 100)
    if not 1 <= size <= 500:
        raise InvalidArgument("max_results must be between 1 and 500.")
    experiments = [_location(one) for one in call.list("locations")]
    if not experiments:
        raise InvalidArgument("Name at least one experiment in 'locations'.")
    request = validated_json(
        TraceSearch,
        {
            "experiments": experiments,
            "filter": call.text("filter", ""),
            "order_by": call.list("order_by"),
            "page_size": size,
            "page_token": call.text("page_token", ""),
        },
    )

    def read(unit: Unit) -> dict[str, Any]:
        if "0" in request.experiments and (default := default_experiment(unit, call.workspace)):
            request.experiments = [default.id if id == "0" else id for id in request.experiments]
        rows, token = found_traces(unit, request)
        return {"traces": infos(unit, rows), **({"next_page_token": token} if token else {})}

    return await call.read("search_traces", read)


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes traces of an experiment by id, or the oldest ones."""
    latest = call.values.get("max_timestamp_millis")
    body: dict[str, Any] = {}
    if latest is not None:
        if not 0 <= (moment := call.number("max_timestamp_millis")) <= MAX_MS:
            raise InvalidArgument("max_timestamp_millis must be milliseconds since 1970, until the year 9999.")
        # Times are stored to the microsecond, and MLflow compares milliseconds.
        body["started_before"] = (time_of(moment) + timedelta(microseconds=999)).isoformat()
    if call.values.get("max_traces") is not None:
        body["max_traces"] = min(call.number("max_traces"), 10_000)
    ids = call.list("request_ids")

    def write(unit: Unit) -> dict[str, Any]:
        experiment = experiment_id(unit, call.workspace, call.text("experiment_id"))
        if ids:
            body["traces"] = [row.id for row in found(unit, call, ids)]
            if not body["traces"]:
                unit.row(EXPERIMENT, experiment)
                return {"traces_deleted": 0}
        body["experiment_id"] = experiment
        return {"traces_deleted": delete_traces(unit, validated_json(DeleteTraces, body))}

    return await call.write("purge_traces", write)


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag."""
    return await _tagged(call, call.text("value", ""))


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    return await _tagged(call, None)


async def link_to_run(call: MlflowCall) -> dict[str, Any]:
    """Links traces to a run."""
    ids, request = call.list("trace_ids"), validated_json(LinkTrace, {"run": call.text("run_id")})
    if len(ids) > 100:
        raise InvalidArgument("A request links at most 100 traces.")

    def write(unit: Unit) -> dict[str, Any]:
        for id in ids:
            row = TRACE.row(unit, trace_row(unit, call, id).id, "link")
            unit.call.subject = row.id
            link_trace(unit, row, request)
        return {}

    return await call.write("link_trace", write)


async def link_prompts(call: MlflowCall) -> dict[str, Any]:
    """Links versions of prompts to a trace. Those that the project doesn't have are left out."""
    named = [
        (one["name"], str(one.get("version")))
        for one in call.list("prompt_versions")
        if isinstance(one, dict) and isinstance(one.get("name"), str)
    ]

    def write(unit: Unit) -> dict[str, Any]:
        row = TRACE.row(unit, trace_row(unit, call, call.text("trace_id")).id, "link")
        unit.call.subject = row.id
        trace_rows.link(unit.connection, row.id, prompt_links(unit, row.project_id, named))
        return {}

    return await call.write("link_trace", write)


async def _tagged(call: MlflowCall, value: str | None) -> dict[str, Any]:
    key = call.text("key")
    if key in (NAME, LOCATION, ARTIFACTS):
        raise InvalidArgument(f"The server sets the tag {key}. Choose another key.")
    change = validated_json(TraceChange, {"tags": {key: value}})

    def write(unit: Unit) -> dict[str, Any]:
        row = TRACE.row(unit, trace_row(unit, call, call.text("trace_id")).id, "update")
        unit.call.subject = row.id
        if value is None and key not in TraceValues(unit.connection, [row.id]).tags[row.id]:
            raise NotFound(f"The trace has no tag {key[:250]!r}.")
        update_trace(unit, row, change)
        return {}

    return await call.write("update_trace", write)


def _listed(unit: Unit, call: MlflowCall) -> Sequence[Row]:
    rows = found(unit, call, call.list("trace_ids"))
    experiments = call.list("experiment_ids")
    return [row for row in rows if not experiments or row.experiment_id in experiments]


def _own(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in (LOCATION, ARTIFACTS)}


def _texts(info: dict[str, Any], name: str) -> dict[str, str]:
    values = info.get(name) or {}
    if not isinstance(values, dict):
        raise InvalidArgument(f"{name} must be an object of texts.")
    return {key: value if isinstance(value, str) else str(value) for key, value in values.items()}


def _location(value: Any) -> Any:
    place = value.get("mlflow_experiment") if isinstance(value, dict) else None
    if not isinstance(place, dict) or not isinstance(place.get("experiment_id"), str):
        raise InvalidArgument("Each location must be an experiment.")
    return place["experiment_id"]


def _otel_id(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"tr-[0-9a-f]{32}", value):
        raise InvalidArgument("The id of a trace is 'tr-' and 32 hexadecimal digits.")
    return value.removeprefix("tr-")


def _duration(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise InvalidArgument("execution_duration must be seconds, such as '1.5s'.")
    return max(0, round(float(value.removesuffix("s")) * 1000))


_OLD, _PATH = "/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces"
ROUTES = {
    ("POST", _PATH): create,
    ("GET", f"{_PATH}/get"): get,
    ("GET", f"{_PATH}/batchGet"): batch_get,
    ("POST", f"{_PATH}/batchGetInfos"): batch_get_infos,
    ("POST", f"{_PATH}/search"): search,
    ("POST", f"{_PATH}/delete-traces"): delete,
    ("GET", f"{_PATH}/{{trace_id}}"): get_info,
    ("PATCH", f"{_PATH}/{{trace_id}}/tags"): set_tag,
    ("DELETE", f"{_PATH}/{{trace_id}}/tags"): delete_tag,
    ("POST", f"{_OLD}/delete-traces"): delete,
    ("POST", f"{_OLD}/link-to-run"): link_to_run,
    ("POST", f"{_OLD}/link-prompts"): link_prompts,
    ("PATCH", f"{_OLD}/{{trace_id}}/tags"): set_tag,
    ("DELETE", f"{_OLD}/{{trace_id}}/tags"): delete_tag,
}
EXECUTES = tuple(
    f"ai_catalog_{operation}"
    for operation in (
        "create_trace",
        "get_trace",
        "get_trace_spans",
        "search_traces",
        "purge_traces",
        "link_trace",
        "update_trace",
    )
)
