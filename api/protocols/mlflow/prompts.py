"""Prompts of the AI catalog as MLflow's registered models with a tag."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.storage.store import Stored
from api.protocols.mlflow.call import MlflowCall, project_of
from api.protocols.mlflow.names import named
from api.protocols.mlflow.prompt_versions import (
    IS_PROMPT,
    OWN_TAGS,
    foreign_tags,
    numbered,
    rendered_version,
    require_prompt,
    visible_versions,
)
from api.protocols.mlflow.registered_entries import AliasChange, RegisteredEntries
from api.services.ai_catalog.kinds.prompt import (
    PROMPT,
    RemovePromptAlias,
    SetPromptAlias,
    remove_prompt_alias,
    set_prompt_alias,
)
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL
from api.services.ai_catalog.prompt_tables import PROMPT_VERSION as TABLE
from core.errors import Conflict, InvalidArgument, NotFound


class Prompts(RegisteredEntries):
    """The handlers of prompts."""

    kind = PROMPT
    versions = "list_prompt_versions"
    setting = AliasChange(SetPromptAlias, set_prompt_alias)
    removing = AliasChange(RemovePromptAlias, remove_prompt_alias)

    async def create(self, call: MlflowCall) -> dict[str, Any]:
        """Creates a prompt in the project of the request."""
        name, tags = self._name(call.text("name")), foreign_tags(call.tags())

        def write(unit: Unit) -> dict[str, Any]:
            if named(unit, REGISTERED_MODEL, project_of(unit, call.workspace), name) is not None:
                raise Conflict(f"A registered model has the name {name[:256]}. Choose another name for the prompt.")
            return self._created(unit, call, name, tags)

        return {"registered_model": await call.write("create_prompt", write)}

    async def set_tag(self, call: MlflowCall) -> dict[str, Any]:
        """Sets a tag. The client sets the tag that makes it a prompt, too."""
        return {} if call.text("key") in OWN_TAGS else await super().set_tag(call)

    def find(self, unit: Unit, call: MlflowCall, name: str) -> Stored | None:
        """Returns the prompt with a name in the project of the request, if the caller can see it."""
        try:
            project = project_of(unit, call.workspace)
        except (InvalidArgument, NotFound):
            return None  # the handler of models reports it
        return named(unit, PROMPT, project, name)

    def _require(self, unit: Unit, call: MlflowCall) -> Stored:
        return require_prompt(unit, call)

    def _tags(self, resource: Any) -> dict[str, str]:
        return {IS_PROMPT: "true", **resource.spec.tags}

    def _newest(self, unit: Unit, row: Stored) -> list[dict[str, Any]]:
        select = sa.select(TABLE).where(*visible_versions(unit), TABLE.c.prompt_id == row.id)
        versions = unit.connection.execute(select.order_by(TABLE.c.version.desc()).limit(1)).all()
        return [rendered_version(row, one) for one in versions]

    def _aliased(self, unit: Unit, row: Stored, alias: str) -> dict[str, Any] | None:
        number = PROMPT.resource(row).status.aliases.get(alias)
        if alias == "latest":  # reserved: the client asks for the newest version by it
            newest = sa.select(sa.func.max(TABLE.c.version)).where(*visible_versions(unit), TABLE.c.prompt_id == row.id)
            number = unit.connection.execute(newest).scalar()
        return None if number is None else rendered_version(row, numbered(unit, row, number))


PROMPTS = Prompts()
