"""Statistics of traces as MLflow's `traces/metrics`."""

from __future__ import annotations

from typing import Any

from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.call import MlflowCall, validated_json
from api.protocols.mlflow.experiments import default_experiment
from api.services.ai_catalog.kinds.trace_statistics import TraceStatisticsRequest, trace_statistics
from api.services.ai_catalog.logic.metric_values import MAX_MS, time_of
from core.errors import InvalidArgument


async def query(call: MlflowCall) -> dict[str, Any]:
    """Computes statistics of the traces of experiments."""
    experiments = call.list("experiment_ids")
    if not experiments:
        raise InvalidArgument("Name at least one experiment in 'experiment_ids'.")
    filters = [str(one) for one in call.list("filters")]
    body: dict[str, Any] = {
        "view": call.text("view_type"),
        "metric": call.text("metric_name"),
        "aggregations": [_aggregation(one) for one in call.list("aggregations")],
        "dimensions": call.list("dimensions"),
        "experiments": experiments,
        "filter": " AND ".join(f"({one})" for one in filters),
    }
    if call.values.get("time_interval_seconds") is not None:
        body["interval_seconds"] = call.number("time_interval_seconds")
    for name, own in (("start_time_ms", "started_from"), ("end_time_ms", "started_to")):
        if call.values.get(name) is not None:
            body[own] = _time(call.number(name), name)
    request = validated_json(TraceStatisticsRequest, body)

    def read(unit: Unit) -> dict[str, Any]:
        if "0" in request.experiments and (default := default_experiment(unit, call.workspace)):
            request.experiments = [default.id if id == "0" else id for id in request.experiments]
        found = trace_statistics(unit, request)
        return {
            "data_points": [
                {"metric_name": found.metric, "dimensions": point.dimensions, "values": point.values}
                for point in found.points
            ]
        }

    return await call.read("statistics_traces", read)


def _aggregation(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {"type": value.get("aggregation_type"), "percentile": value.get("percentile_value")}


def _time(milliseconds: int, name: str) -> str:
    if not 0 <= milliseconds <= MAX_MS:
        raise InvalidArgument(f"{name} must be milliseconds since 1970, until the year 9999.")
    return time_of(milliseconds).isoformat()


ROUTES = {("POST", "/api/3.0/mlflow/traces/metrics"): query}
EXECUTES = ("ai_catalog_statistics_traces",)
