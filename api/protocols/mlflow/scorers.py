"""Scorers of the AI catalog as MLflow's scorers. Their definitions are texts that only clients execute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.call import MlflowCall, validated_json
from api.protocols.mlflow.experiments import add_default_experiment, default_experiment
from api.protocols.mlflow.runs import milliseconds
from api.services.ai_catalog.kinds.experiment import EXPERIMENT
from api.services.ai_catalog.kinds.scorer import SCORER, NewScorer, create_scorer, delete_scorer
from api.services.ai_catalog.scorer_tables import SCORER as TABLE
from core.errors import NotFound


async def register(call: MlflowCall) -> dict[str, Any]:
    """Stores the next version of a scorer."""
    body = {"name": call.text("name"), "definition": call.text("serialized_scorer")}

    def write(unit: Unit) -> dict[str, Any]:
        experiment = call.text("experiment_id")
        if experiment == "0":
            experiment = add_default_experiment(unit, call.workspace)
        made = create_scorer(unit, validated_json(NewScorer, body | {"experiment_id": experiment}))
        row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == made.id)).one()
        found = _rendered(row)
        return {**found, "experiment_id": row.experiment_id, "version": row.version, "name": row.name}

    return await call.write("create_scorer", write)


async def list_newest(call: MlflowCall) -> dict[str, Any]:
    """Lists the newest version of each scorer of an experiment."""

    def read(unit: Unit) -> dict[str, Any]:
        newest = {row.name: row for row in _rows(unit, call)}
        return {"scorers": [_rendered(row) for row in newest.values()]}

    return await call.read("list_scorers", read)


async def list_versions(call: MlflowCall) -> dict[str, Any]:
    """Lists the versions of a scorer."""

    def read(unit: Unit) -> dict[str, Any]:
        return {"scorers": [_rendered(row) for row in _named(unit, call)]}

    return await call.read("list_scorers", read)


async def get(call: MlflowCall) -> dict[str, Any]:
    """Returns a version of a scorer, by default the newest."""
    return {"scorer": await call.read("get_scorer", lambda unit: _rendered(_named(unit, call)[-1]))}


async def online_configs(call: MlflowCall) -> dict[str, Any]:
    """Returns no configurations, because the platform executes no scorers. The client asks for them in every list."""
    return {"configs": []}


async def delete(call: MlflowCall) -> dict[str, Any]:
    """Deletes a version of a scorer, or all."""

    def write(unit: Unit) -> dict[str, Any]:
        for row in _named(unit, call):
            unit.call.subject = row.id
            delete_scorer(unit, SCORER.row(unit, row.id, "delete"))
        return {}

    return await call.write("delete_scorer", write)


def _rows(unit: Unit, call: MlflowCall, *where: sa.ColumnElement[bool]) -> Sequence[Row]:
    id = call.text("experiment_id")
    if id == "0" and (default := default_experiment(unit, call.workspace)):
        id = default.id
    experiment = unit.row(EXPERIMENT, id)
    select = sa.select(TABLE).where(TABLE.c.experiment_id == experiment.id, SCORER.visible(unit), SCORER.present())
    return unit.connection.execute(select.where(*where).order_by(TABLE.c.name, TABLE.c.version)).all()


def _named(unit: Unit, call: MlflowCall) -> Sequence[Row]:
    name = call.text("name")
    where = [TABLE.c.name == name]
    if call.values.get("version") is not None:
        where.append(TABLE.c.version == call.number("version"))
    rows = _rows(unit, call, *where)
    if not rows:
        raise NotFound(f"Scorer with name {name[:250]!r} and this version not found in the experiment.")
    return rows


def _rendered(row: Row) -> dict[str, Any]:
    # Without experiment_id, which MLflow's client reads as a number there.
    return {
        "scorer_name": row.name,
        "scorer_version": row.version,
        "serialized_scorer": row.definition,
        "creation_time": milliseconds(row.created_at),
        "scorer_id": row.id,
    }


_PATH = "/api/3.0/mlflow/scorers"
ROUTES = {
    ("POST", f"{_PATH}/register"): register,
    ("GET", f"{_PATH}/list"): list_newest,
    ("GET", f"{_PATH}/versions"): list_versions,
    ("GET", f"{_PATH}/get"): get,
    ("GET", f"{_PATH}/online-configs"): online_configs,
    ("DELETE", f"{_PATH}/delete"): delete,
}
EXECUTES = tuple(f"ai_catalog_{name}" for name in ("create_scorer", "list_scorers", "get_scorer", "delete_scorer"))
