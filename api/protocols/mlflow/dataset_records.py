"""Records of evaluation datasets as MLflow's dataset records."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from api.kernel.kinds import standard
from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.call import MlflowCall, validated_json
from api.protocols.mlflow.runs import milliseconds
from api.services.ai_catalog.kinds.evaluation_dataset import (
    EVALUATION_DATASET,
    EvaluationDataset,
    RemoveRecords,
    UpsertRecords,
    records_of,
    remove_evaluation_dataset_records,
    upsert_evaluation_dataset_records,
)
from api.services.ai_catalog.logic.run_rows import Row
from core.errors import InvalidArgument

_MAX_PAGE = 1000


async def upsert(call: MlflowCall) -> dict[str, Any]:
    """Adds records, or merges them with those that have equal inputs."""
    sent = parsed_json(call.text("records"), "records")
    if not isinstance(sent, list) or not all(isinstance(one, dict) for one in sent):
        raise InvalidArgument("The parameter 'records' must be a JSON list of objects.")
    if not sent:
        return {"inserted_count": 0, "updated_count": 0}
    request = validated_json(UpsertRecords, {"records": [_record(one) for one in sent]})

    def change(unit: Unit, dataset: EvaluationDataset) -> dict[str, Any]:
        done = upsert_evaluation_dataset_records(unit, dataset, request)
        return {"inserted_count": done.inserted, "updated_count": done.updated}

    return await _changed(call, "upsert-records", change)


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns records of the newest version."""
    size = min(max(call.number("max_results", _MAX_PAGE), 1), _MAX_PAGE)
    token = call.text("page_token", "")

    def read(unit: Unit) -> dict[str, Any]:
        dataset = unit.get(EVALUATION_DATASET, call.text("dataset_id"))
        rows, following = records_of(unit, dataset, dataset.status.version, size, token)
        records = json.dumps([_rendered_record(row) for row in rows], ensure_ascii=False)
        return {"records": records, **({"next_page_token": following} if following else {})}

    return await call.read("get_evaluation_dataset_records", read)


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Removes records from the next version."""
    request = validated_json(RemoveRecords, {"records": call.list("dataset_record_ids")})

    def change(unit: Unit, dataset: EvaluationDataset) -> dict[str, Any]:
        return {"deleted_count": remove_evaluation_dataset_records(unit, dataset, request).removed}

    return await _changed(call, "remove-records", change)


async def _changed(
    call: MlflowCall, verb: str, change: Callable[[Unit, EvaluationDataset], dict[str, Any]]
) -> dict[str, Any]:
    """Runs a command of the kind, which changes the resource."""

    def write(unit: Unit) -> dict[str, Any]:
        row = unit.row(EVALUATION_DATASET, call.text("dataset_id"), permission=EVALUATION_DATASET.permission(verb))
        unit.subject(row)
        dataset = EVALUATION_DATASET.resource(row)
        answer = change(unit, dataset)
        if dataset.status != EVALUATION_DATASET.resource(row).status:
            standard.write(unit, EVALUATION_DATASET, row, dataset, verb)
        return answer

    return await call.write(f"{verb.replace('-', '_')}_evaluation_dataset", write)


def _record(one: dict[str, Any]) -> dict[str, Any]:
    tags = one.get("tags") or {}
    return {
        "inputs": one.get("inputs"),
        "outputs": one.get("outputs"),
        "expectations": one.get("expectations") or {},
        "tags": {key: str(value) for key, value in tags.items()} if isinstance(tags, dict) else tags,
        "source": one.get("source"),
    }


def _rendered_record(row: Row) -> dict[str, Any]:
    source = row.source or {}
    return {
        "dataset_record_id": row.id,
        "dataset_id": row.dataset_id,
        "inputs": row.inputs,
        "outputs": row.outputs,
        "expectations": row.expectations,
        "tags": row.tags,
        "source": row.source,
        "source_type": source.get("source_type"),
        "created_time": milliseconds(row.created_at),
        "last_update_time": milliseconds(row.updated_at),
        "created_by": row.created_by,
        "last_updated_by": row.updated_by,
    }


def parsed_json(text: str, name: str) -> Any:
    """Returns the value of a parameter that is JSON.

    Raises:
        InvalidArgument: it is none.
    """
    try:
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError):
        raise InvalidArgument(f"The parameter {name!r} is not valid JSON. NaN and infinities are no JSON.") from None


def _refused(text: str) -> Any:
    raise ValueError(text)
