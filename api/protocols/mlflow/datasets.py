"""Evaluation datasets of the AI catalog as MLflow's datasets."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from api.kernel.kinds import standard
from api.kernel.kinds.resource import Change, Draft
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.protocols.mlflow import dataset_records
from api.protocols.mlflow.call import MlflowCall, project_of, validated
from api.protocols.mlflow.dataset_records import parsed_json
from api.protocols.mlflow.experiments import add_default_experiment, default_experiment
from api.protocols.mlflow.names import mlflow_name, named, normal
from api.protocols.mlflow.runs import milliseconds
from api.services.ai_catalog.kinds.evaluation_dataset import (
    EVALUATION_DATASET,
    EvaluationDataset,
    EvaluationDatasetSpec,
)
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.search_language import Key, invalid
from core.errors import Conflict, InvalidArgument

_MAX_PAGE = 1000
_TIMES = ("created_time", "last_update_time")


async def create(call: MlflowCall) -> dict[str, Any]:
    """Creates an evaluation dataset in the project of the request."""
    name, tags = normal(call.text("name")), _tags(call)

    def write(unit: Unit) -> dict[str, Any]:
        project = project_of(unit, call.workspace)
        if named(unit, EVALUATION_DATASET, project, name) is not None:
            raise Conflict(f"An evaluation dataset has the name {name[:256]}. Choose another name.")
        body = {"title": name, "tags": tags, "experiments": _experiments(unit, call)}
        spec = validated(EvaluationDatasetSpec, body)
        draft = Draft[EvaluationDatasetSpec](name=derived_name(name), project_id=project, spec=spec)
        made = standard.create(unit, EVALUATION_DATASET, draft)
        return _rendered(unit.row(EVALUATION_DATASET, made.id))

    return {"dataset": await call.write("create_evaluation_dataset", write)}


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns an evaluation dataset."""
    return {"dataset": await call.read("get_evaluation_dataset", lambda unit: _rendered(_row(unit, call)))}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes an evaluation dataset."""
    id = call.text("dataset_id")
    await call.write("delete_evaluation_dataset", lambda unit: standard.delete(unit, EVALUATION_DATASET, id), id)
    return {}


async def search(call: MlflowCall) -> dict[str, Any]:
    """Searches evaluation datasets by experiment, name, tags, and times, newest first."""
    condition = search_language.parse(call.text("filter_string", ""))
    size = min(max(call.number("max_results", _MAX_PAGE), 1), _MAX_PAGE)
    token = call.text("page_token", "")
    orders = [search_language.parse_order(str(one)) for one in call.list("order_by")]

    def read(unit: Unit) -> dict[str, Any]:
        select = standard.visible(unit, EVALUATION_DATASET)
        if call.workspace:
            select = select.where(RESOURCE.c.project_id == project_of(unit, call.workspace))
        wanted = set(_experiments(unit, call))
        rows = unit.connection.execute(select.order_by(RESOURCE.c.id.desc()))
        items = [_rendered(store.stored(row)) for row in rows]
        found = [
            one
            for one in items
            if (not wanted or wanted & set(one["experiment_ids"]))
            and search_language.matches(condition, partial(_value, one))
        ]
        for key, descending in reversed(orders):
            found.sort(key=lambda one: _value(one, key) or "", reverse=descending)
        ids = [one["dataset_id"] for one in found]
        if token and token not in ids:
            raise InvalidArgument("page_token is not valid for this search.")
        start = ids.index(token) + 1 if token else 0
        page = found[start : start + size]
        rest = {"next_page_token": page[-1]["dataset_id"]} if len(found) > start + size else {}
        return {"datasets": page, **rest}

    return await call.read("list_evaluation_datasets", read)


async def set_tags(call: MlflowCall) -> dict[str, Any]:
    """Sets tags. A tag without a value is removed."""
    return await _updated(call, lambda unit, dataset: {"tags": _tags(call)})


async def delete_tag(call: MlflowCall) -> dict[str, Any]:
    """Removes a tag."""
    await _updated(call, lambda unit, dataset: {"tags": {call.text("key"): None}})
    return {}


async def add_experiments(call: MlflowCall) -> dict[str, Any]:
    """Adds experiments that use the dataset."""

    def change(unit: Unit, dataset: EvaluationDataset) -> dict[str, Any]:
        return {"experiments": list(dict.fromkeys([*dataset.spec.experiments, *_experiments(unit, call)]))}

    return await _updated(call, change)


async def remove_experiments(call: MlflowCall) -> dict[str, Any]:
    """Removes experiments that use the dataset."""

    def change(unit: Unit, dataset: EvaluationDataset) -> dict[str, Any]:
        gone = set(_experiments(unit, call))
        return {"experiments": [id for id in dataset.spec.experiments if id not in gone]}

    return await _updated(call, change)


async def experiment_ids(call: MlflowCall) -> dict[str, Any]:
    """Returns the experiments that use the dataset."""

    def read(unit: Unit) -> dict[str, Any]:
        return {"experiment_ids": EVALUATION_DATASET.resource(_row(unit, call)).spec.experiments}

    return await call.read("get_evaluation_dataset", read)


async def _updated(call: MlflowCall, change: Callable[[Unit, EvaluationDataset], dict[str, Any]]) -> dict[str, Any]:
    def write(unit: Unit) -> dict[str, Any]:
        row = _row(unit, call)
        spec = change(unit, EVALUATION_DATASET.resource(row))
        body = validated(Change[EvaluationDatasetSpec], {"spec": spec})
        standard.update(unit, EVALUATION_DATASET, row.id, body)
        return _rendered(unit.row(EVALUATION_DATASET, row.id))

    return {"dataset": await call.write("update_evaluation_dataset", write)}


def _row(unit: Unit, call: MlflowCall) -> Stored:
    return unit.row(EVALUATION_DATASET, call.text("dataset_id"))


def _experiments(unit: Unit, call: MlflowCall) -> list[str]:
    ids = [id for id in call.list("experiment_ids") if isinstance(id, str)]
    if "0" in ids:
        default = default_experiment(unit, call.workspace)
        own = add_default_experiment(unit, call.workspace) if unit.writes else default.id if default else "0"
        ids = [own if id == "0" else id for id in ids]
    return list(dict.fromkeys(ids))


def _tags(call: MlflowCall) -> dict[str, Any]:
    tags = parsed_json(call.text("tags", "") or "{}", "tags")
    if not isinstance(tags, dict):
        raise InvalidArgument("The parameter 'tags' must be a JSON object.")
    return {key: value if value is None or isinstance(value, str) else str(value) for key, value in tags.items()}


def _rendered(row: Stored) -> dict[str, Any]:
    dataset = EVALUATION_DATASET.resource(row)
    return {
        "dataset_id": dataset.id,
        "name": mlflow_name(dataset),
        "tags": json.dumps(dataset.spec.tags, ensure_ascii=False),
        "profile": json.dumps({"num_records": dataset.status.records}),
        "digest": dataset.status.digest,
        "created_time": milliseconds(dataset.created_at),
        "last_update_time": milliseconds(dataset.updated_at),
        "created_by": dataset.created_by,
        "last_updated_by": dataset.updated_by,
        "experiment_ids": dataset.spec.experiments,
    }


def _value(one: dict[str, Any], key: Key) -> Any:
    if key.group == "tags":
        return json.loads(one["tags"]).get(key.name)
    if key.group or key.name not in ("name", "created_by", "last_updated_by", *_TIMES):
        known = ", ".join(("name", "created_by", "last_updated_by", *_TIMES))
        raise invalid(str(key), f"is not an attribute of evaluation datasets. Attributes are {known}")
    return one[key.name]


_PATH = "/api/3.0/mlflow/datasets"
_ONE = f"{_PATH}/{{dataset_id}}"
ROUTES = {
    ("POST", f"{_PATH}/create"): create,
    ("GET", f"{_PATH}/search"): search,
    ("POST", f"{_PATH}/search"): search,
    ("GET", _ONE): get,
    ("DELETE", _ONE): delete,
    ("POST", f"{_ONE}/records"): dataset_records.upsert,
    ("GET", f"{_ONE}/records"): dataset_records.get,
    ("DELETE", f"{_ONE}/records"): dataset_records.delete,
    ("PATCH", f"{_ONE}/tags"): set_tags,
    ("DELETE", f"{_ONE}/tags/{{key}}"): delete_tag,
    ("POST", f"{_ONE}/add-experiments"): add_experiments,
    ("POST", f"{_ONE}/remove-experiments"): remove_experiments,
    ("GET", f"{_ONE}/experiment-ids"): experiment_ids,
}
EXECUTES = tuple(
    f"ai_catalog_{operation}"
    for operation in (
        *(f"{verb}_evaluation_dataset" for verb in ("create", "get", "update", "delete")),
        *("list_evaluation_datasets", "get_evaluation_dataset_records"),
        *("upsert_records_evaluation_dataset", "remove_records_evaluation_dataset"),
    )
)
