"""Logging to runs, and the history of metrics, as MLflow calls them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.references import PROJECT
from api.kernel.securable import Securable
from api.protocols.mlflow.call import MlflowCall, validated
from api.protocols.mlflow.runs import any_run, run_id, set_tags
from api.services.ai_catalog.kinds.logged_model import LOGGED_MODEL
from api.services.ai_catalog.kinds.logged_model_metrics import ModelMetrics, log_metrics
from api.services.ai_catalog.kinds.run import RUN
from api.services.ai_catalog.kinds.run_batch import RunBatch, log_run_batch
from api.services.ai_catalog.kinds.run_inputs import RunInputs, log_run_inputs
from api.services.ai_catalog.logic.metric_history import history_page, sampled_history
from api.services.ai_catalog.logic.metric_values import from_bits, written
from core.errors import Conflict, InvalidArgument


async def log_batch(call: MlflowCall) -> dict[str, Any]:
    """Logs metrics, parameters, and tags, all or none."""
    values = {
        "metrics": [_metric(call, one) for one in call.list("metrics")],
        "params": [_param(one) for one in call.list("params")],
    }
    await _log(call, values, call.tags(), _of_models(call, call.list("metrics")))
    return {}


async def log_metric(call: MlflowCall) -> dict[str, Any]:
    """Logs a value of a metric."""
    await _log(call, {"metrics": [_metric(call, call.values)]}, {}, _of_models(call, [call.values]))
    return {}


async def log_parameter(call: MlflowCall) -> dict[str, Any]:
    """Logs a parameter."""
    await _log(call, {"params": [_param(call.values)]}, {})
    return {}


async def log_inputs(call: MlflowCall) -> dict[str, Any]:
    """Logs the datasets that a run read."""
    id, inputs = run_id(call), []
    for one in call.list("datasets"):
        dataset = one.get("dataset") if isinstance(one, dict) else None
        if not isinstance(dataset, dict):
            raise InvalidArgument("Each of 'datasets' must have a dataset.")
        tags = MlflowCall(call.calls, call.scope, call.principal, "", one).tags()
        names = ("name", "digest", "source_type", "source", "schema", "profile")
        inputs.append({name: dataset[name] for name in names if name in dataset} | {"tags": tags})
    if not inputs:
        return {}
    request = validated(RunInputs, {"inputs": inputs})
    await call.act("log_inputs_run", lambda ctx: log_run_inputs(ctx, id, request), id)
    return {}


async def get_history(call: MlflowCall) -> dict[str, Any]:
    """Returns the logged values of a metric."""
    id, key = run_id(call), call.text("metric_key")
    size = min(max(call.number("max_results", 25_000), 1), 25_000)
    token = call.text("page_token", "")

    async def read(ctx: Context) -> dict[str, Any]:
        points, token_of_next = await history_page(ctx, lambda unit: any_run(unit, id), key, size, token)
        found = [_point(key, point) for point in points]
        return {"metrics": found, **({"next_page_token": token_of_next} if token_of_next else {})}

    return await call.act("get_run_metric_history", read, id)


async def get_history_of_runs(call: MlflowCall) -> dict[str, Any]:
    """Returns at most `max_results` values of a metric of each of several runs, evenly over the steps."""
    ids, key = [str(id) for id in call.list("run_ids")], call.text("metric_key")
    size = min(max(call.number("max_results", 2500), 1), 2500)
    start = call.number("start_step") if "start_step" in call.values else None
    end = call.number("end_step") if "end_step" in call.values else None
    if len(ids) > 100:
        raise InvalidArgument("run_ids must have at most 100 ids.")

    async def read(ctx: Context) -> dict[str, Any]:
        runs = [partial(any_run, id=id) for id in ids]
        found = await sampled_history(ctx, runs, key, size, start, end)
        points = [(id, point) for id, of_run in zip(ids, found, strict=True) for point in of_run]
        return {"metrics": [_point(key, point) | {"run_id": id} for id, point in points]}

    return await call.act("get_run_metric_history", read, "")


async def _log(
    call: MlflowCall, values: dict[str, Any], tags: dict[str, str], of_models: Mapping[str, list[dict[str, Any]]] = {}
) -> None:
    id, request = run_id(call), validated(RunBatch, {**values, "tags": tags})

    def write(unit: Unit) -> None:
        row = RUN.row(unit, id, "log-batch")
        tags, request.tags = request.tags, {}
        set_tags(unit, row, tags)
        try:
            log_run_batch(unit, row, request)
        except Conflict as error:
            raise InvalidArgument(error.detail, errors=error.errors) from None
        for model_id, metrics in of_models.items():
            model = LOGGED_MODEL.row(unit, model_id, "log-metrics")
            if model.project_id != row.project_id:
                raise InvalidArgument(f"The model {model.id} is in another project.")
            log_metrics(unit, model, validated(ModelMetrics, {"metrics": metrics, "run": row.id}))
        # The rows of the models made their project that of the audit record.
        unit.call.subject = row.id
        unit.call.securable = Securable(PROJECT, row.project_id, row.organization_id, row.project_id)

    await call.write("log_batch_run", write, id)


def _of_models(call: MlflowCall, metrics: list[Any]) -> dict[str, list[dict[str, Any]]]:
    """Returns the metrics that name a model, by model, with the dataset that they name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in metrics:
        if isinstance(one, dict) and isinstance(model := one.get("model_id"), str) and model:
            dataset = {name: one[name] for name in ("dataset_name", "dataset_digest") if one.get(name)}
            found.setdefault(model, []).append(_metric(call, one) | dataset)
    return found


def _metric(call: MlflowCall, one: Any) -> dict[str, Any]:
    if not isinstance(one, dict):
        raise InvalidArgument("Each of 'metrics' must have a key and a value.")
    numbers = MlflowCall(call.calls, call.scope, call.principal, "", one)
    return {
        "key": one.get("key"),
        "value": one.get("value", 0.0),
        "step": numbers.number("step", 0),
        "at_ms": numbers.number("timestamp") if one.get("timestamp") is not None else None,
    }


def _param(one: Any) -> dict[str, Any]:
    if not isinstance(one, dict):
        raise InvalidArgument("Each of 'params' must have a key and a value.")
    return {"key": one.get("key"), "value": one.get("value", "")}


def _point(key: str, point: Any) -> dict[str, Any]:
    return {"key": key, "value": written(from_bits(point.bits)), "timestamp": point.at_ms, "step": point.step}


_RUNS, _METRICS = "/api/2.0/mlflow/runs", "/api/2.0/mlflow/metrics"
ROUTES = {
    ("POST", f"{_RUNS}/log-batch"): log_batch,
    ("POST", f"{_RUNS}/log-metric"): log_metric,
    ("POST", f"{_RUNS}/log-parameter"): log_parameter,
    ("POST", f"{_RUNS}/log-inputs"): log_inputs,
    ("GET", f"{_METRICS}/get-history"): get_history,
    ("GET", f"{_METRICS}/get-history-bulk-interval"): get_history_of_runs,
}
