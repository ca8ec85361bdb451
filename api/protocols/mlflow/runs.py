"""Runs of the AI catalog as MLflow's runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.permissions.graph import visible_assets
from api.protocols.mlflow.call import MlflowCall, validated
from api.protocols.mlflow.experiments import add_default_experiment, default_experiment
from api.services.ai_catalog.kinds.run import (
    RUN,
    ExperimentRunStatus,
    NewRun,
    RunSource,
    add_run,
    delete_run,
    restore_run,
)
from api.services.ai_catalog.kinds.run_search import RunSearch, found_runs
from api.services.ai_catalog.logic.metric_values import MAX_MS, nan_if_null, time_of, written
from api.services.ai_catalog.logic.run_rows import RunValues, put
from api.services.ai_catalog.run_tables import RUN as TABLE
from api.services.ai_catalog.run_tables import RUN_TAG
from core.errors import InvalidArgument, NotFound

RUN_NAME = "mlflow.runName"
"""The tag that MLflow keeps equal to the name of the run."""


async def create(call: MlflowCall) -> dict[str, Any]:
    """Starts a run."""
    tags = call.tags()
    name = call.text("run_name", "") or tags.get(RUN_NAME, "")
    started_at = _time(call, "start_time")

    def write(unit: Unit) -> dict[str, Any]:
        experiment = call.text("experiment_id")
        if experiment == "0":
            experiment = add_default_experiment(unit, call.workspace)
        body = {"experiment_id": experiment, "name": name, "tags": _without_name(tags), "started_at": started_at}
        run = add_run(unit, validated(NewRun, body), RunSource.EXTERNAL)
        return rendered(unit, [any_run(unit, run.id)])[0]

    return {"run": await call.write("create_run", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a run, also a deleted one."""
    id = run_id(call)
    return {"run": await call.read("get_run", lambda unit: rendered(unit, [any_run(unit, id)])[0])}


async def update(call: MlflowCall) -> dict[str, Any]:
    """Sets the status, the end, or the name of a run."""
    id, name, ended_at = run_id(call), call.text("run_name", ""), _time(call, "end_time")
    text = call.text("status", "")
    if text and text not in list(ExperimentRunStatus):
        raise InvalidArgument(f"status must be one of {', '.join(ExperimentRunStatus)}.")
    operation, verb = ("finish_run", "finish") if text or ended_at else ("update_run", "update")

    def write(unit: Unit) -> dict[str, Any]:
        row = RUN.row(unit, id, verb)
        if name:
            unit.require(RUN.permission("update"), unit.call.securable)
        values: dict[str, Any] = {"name": name[:500]} if name else {}
        if text:
            values |= {"status": text}
        if ended_at:
            values |= {"ended_at": ended_at}
        elif text in ("RUNNING", "SCHEDULED"):
            values |= {"ended_at": None}
        if values:
            RUN.change(unit, row, **values)
        return rendered(unit, [any_run(unit, id)])[0]["info"]  # type: ignore[no-any-return]

    return {"run_info": await call.write(operation, write, id)}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a run."""
    id = run_id(call)
    await call.write("delete_run", lambda unit: delete_run(unit, RUN.row(unit, id, "delete")), id)
    return {}


async def restore(call: MlflowCall) -> dict[str, Any]:
    """Restores a deleted run."""
    id = run_id(call)
    await call.write(
        "restore_run", lambda unit: restore_run(unit, RUN.row(unit, id, "restore", deleted=True), Request()), id
    )
    return {}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches runs of experiments. A page has at most 1,000 runs, whatever the client asks for."""
    size = call.number("max_results", 1000)
    if not 1 <= size <= 50_000:
        raise InvalidArgument("max_results must be between 1 and 50,000.")
    view = call.text("run_view_type", "ACTIVE_ONLY")
    request = validated(
        RunSearch,
        {
            "experiments": call.list("experiment_ids"),
            "filter": call.text("filter", ""),
            "order_by": call.list("order_by"),
            "page_size": min(size, 1000),
            "page_token": call.text("page_token", ""),
        },
    )
    if not request.experiments:
        return {"runs": []}

    def read(unit: Unit) -> dict[str, Any]:
        if "0" in request.experiments and (default := default_experiment(unit, call.workspace)):
            request.experiments = [default.id if id == "0" else id for id in request.experiments]
        present = sa.true() if view == "ALL" else RUN.present(deleted=view == "DELETED_ONLY")
        rows, token = found_runs(unit, request, present)
        return {"runs": rendered(unit, rows), **({"next_page_token": token} if token else {})}

    return await call.read("search_runs", read)


async def set_tag(call: MlflowCall) -> dict[str, Any]:
    """Sets a tag of a run."""
    id, key, value = run_id(call), call.text("key"), call.text("value", "")
    await call.write("update_run", lambda unit: set_tags(unit, RUN.row(unit, id, "update"), {key: value}), id)
    return {}


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag of a run."""
    id, key = run_id(call), call.text("key")

    def write(unit: Unit) -> None:
        row = RUN.row(unit, id, "update")
        gone = unit.connection.execute(RUN_TAG.delete().where(RUN_TAG.c.run_id == row.id, RUN_TAG.c.key == key))
        if not gone.rowcount:
            raise NotFound(f"No tag with name: {key[:250]} in run with id {id}")

    await call.write("update_run", write, id)
    return {}


def set_tags(unit: Unit, run: Row, tags: dict[str, str]) -> None:
    """Sets tags of a run. The tag with the name of the run renames it."""
    if name := tags.get(RUN_NAME):
        RUN.change(unit, run, name=name[:500])
    put(unit.connection, RUN_TAG, run.id, _without_name(tags))


def run_id(call: MlflowCall) -> str:
    """Returns the id of the run that a request names, by either of its names."""
    return call.text("run_id", "") or call.text("run_uuid")


def any_run(unit: Unit, id: str) -> Row:
    """Returns a run that the caller can see, deleted or not.

    Raises:
        NotFound: there is none.
    """
    row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id, RUN.visible(unit))).first()
    if row is None:
        raise NotFound(f"Run with id={id[:64]} not found")
    return row


def rendered(unit: Unit, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns runs as MLflow writes them."""
    values = RunValues(unit.connection, [row.id for row in rows])
    is_visible = visible_assets(unit.platform, unit.principal.access)
    return [_run(row, values, is_visible) for row in rows]


def milliseconds(time: datetime) -> int:
    """Returns a time in milliseconds since 1970."""
    return round(time.timestamp() * 1000)


def _run(row: Row, values: RunValues, is_visible: Callable[[str], bool]) -> dict[str, Any]:
    info = {
        "run_id": row.id,
        "run_uuid": row.id,
        "run_name": row.name,
        "experiment_id": row.experiment_id,
        "user_id": row.created_by,
        "status": row.status,
        "start_time": milliseconds(row.started_at),
        "artifact_uri": f"mlflow-artifacts:/{row.experiment_id}/{row.id}/artifacts",
        "lifecycle_stage": "deleted" if row.deleted_at else "active",
    }
    if row.ended_at:
        info["end_time"] = milliseconds(row.ended_at)
    tags = {RUN_NAME: row.name, **values.tags[row.id]}
    return {
        "info": info,
        "data": {
            "metrics": [
                {"key": key, "value": written(nan_if_null(one.value)), "timestamp": one.at_ms, "step": one.step}
                for key, one in values.metrics[row.id].items()
            ],
            "params": pairs(values.params[row.id]),
            "tags": pairs(tags),
        },
        "inputs": {
            "dataset_inputs": [
                {"tags": pairs(one.tags), "dataset": _dataset(one)}
                for one in values.inputs[row.id].values()
                if one.asset is None or is_visible(one.asset)
            ]
        },
        "outputs": {"model_outputs": values.outputs[row.id]},
    }


def _dataset(row: Row) -> dict[str, Any]:
    names = ("name", "digest", "source_type", "source", "schema", "profile")
    return {name: row._mapping[name] for name in names if row._mapping[name]}


def pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """Returns a mapping as MLflow writes it."""
    return [{"key": key, "value": value} for key, value in values.items()]


def _without_name(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key != RUN_NAME}


def _time(call: MlflowCall, name: str) -> datetime | None:
    if call.values.get(name) is None:
        return None
    value = call.number(name)
    if not 0 <= value <= MAX_MS:
        raise InvalidArgument(f"{name} must be milliseconds since 1970, until the year 9999.")
    return time_of(value)


_PATH = "/api/2.0/mlflow/runs"
ROUTES = {
    ("POST", f"{_PATH}/create"): create,
    ("GET", f"{_PATH}/get"): get,
    ("POST", f"{_PATH}/update"): update,
    ("POST", f"{_PATH}/delete"): delete,
    ("POST", f"{_PATH}/restore"): restore,
    ("POST", f"{_PATH}/search"): search,
    ("POST", f"{_PATH}/set-tag"): set_tag,
    ("POST", f"{_PATH}/delete-tag"): delete_tag,
}
