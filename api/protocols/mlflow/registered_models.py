"""Registered models of the AI catalog as MLflow's registered models, with their aliases."""

from __future__ import annotations

from typing import Any

from api.kernel.kinds.unit import Unit
from api.kernel.storage.store import Stored
from api.protocols.mlflow.call import MlflowCall, project_of
from api.protocols.mlflow.model_versions import WITHOUT_TAG, latest, numbered, rendered_version, stage_of
from api.protocols.mlflow.names import named
from api.protocols.mlflow.registered_entries import AliasChange, RegisteredEntries
from api.services.ai_catalog.kinds.registered_model import (
    REGISTERED_MODEL,
    ModelStage,
    RemoveAlias,
    SetAlias,
    remove_registered_model_alias,
    set_registered_model_alias,
)
from api.services.ai_catalog.logic.derived_names import derived_name
from core.errors import NotFound


class RegisteredModels(RegisteredEntries):
    """The handlers of registered models."""

    kind = REGISTERED_MODEL
    versions = "list_model_versions"
    setting = AliasChange(SetAlias, set_registered_model_alias)
    removing = AliasChange(RemoveAlias, remove_registered_model_alias)
    absent = WITHOUT_TAG

    async def create(self, call: MlflowCall) -> dict[str, Any]:
        """Registers a model in the project of the request."""
        name, tags = self._name(call.text("name")), call.tags()
        created = await call.write("create_registered_model", lambda unit: self._created(unit, call, name, tags))
        return {"registered_model": created}

    async def rename(self, call: MlflowCall) -> dict[str, Any]:
        """Renames a registered model."""
        name = self._name(call.text("new_name"))
        return await self._changed(call, {"name": derived_name(name), "spec": {"title": name}})

    async def latest_versions(self, call: MlflowCall) -> dict[str, Any]:
        """Returns the newest version at each stage, or at each of the stages that the client names."""
        stages = [stage_of(str(one)) for one in call.list("stages")] or list(ModelStage)

        def read(unit: Unit) -> dict[str, Any]:
            row = self._require(unit, call)
            return {"model_versions": [rendered_version(row, one) for one in latest(unit, row.id, stages)]}

        return await call.read("list_model_versions", read)

    def _require(self, unit: Unit, call: MlflowCall) -> Stored:
        name = call.text("name")
        row = named(unit, REGISTERED_MODEL, project_of(unit, call.workspace), name)
        if row is None:
            raise NotFound(f"Registered Model with name={name[:256]} not found")
        return unit.row(REGISTERED_MODEL, row.id)

    def _tags(self, resource: Any) -> dict[str, str]:
        return dict(resource.spec.tags)

    def _newest(self, unit: Unit, row: Stored) -> list[dict[str, Any]]:
        return [rendered_version(row, one) for one in latest(unit, row.id)]

    def _aliased(self, unit: Unit, row: Stored, alias: str) -> dict[str, Any] | None:
        number = REGISTERED_MODEL.resource(row).status.aliases.get(alias)
        return None if number is None else rendered_version(row, numbered(unit, row, number))


MODELS = RegisteredModels()
_PATH = "/api/2.0/mlflow/registered-models"
ROUTES = {
    ("POST", f"{_PATH}/create"): MODELS.create,
    ("GET", f"{_PATH}/get"): MODELS.get,
    ("PATCH", f"{_PATH}/update"): MODELS.update,
    ("POST", f"{_PATH}/rename"): MODELS.rename,
    ("POST", f"{_PATH}/set-tag"): MODELS.set_tag,
    ("DELETE", f"{_PATH}/delete-tag"): MODELS.delete_tag,
    ("DELETE", f"{_PATH}/delete"): MODELS.delete,
    ("GET", f"{_PATH}/search"): MODELS.search,
    ("GET", f"{_PATH}/get-latest-versions"): MODELS.latest_versions,
    ("POST", f"{_PATH}/get-latest-versions"): MODELS.latest_versions,
    ("POST", f"{_PATH}/alias"): MODELS.set_alias,
    ("DELETE", f"{_PATH}/alias"): MODELS.delete_alias,
    ("GET", f"{_PATH}/alias"): MODELS.get_by_alias,
}
