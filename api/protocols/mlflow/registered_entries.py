"""What MLflow registers under a name, with tags and aliases: models and prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.kernel.kinds import standard
from api.kernel.kinds.resource import Change, Draft
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.protocols.mlflow.call import MlflowCall, project_of, validated
from api.protocols.mlflow.names import mlflow_name, normal
from api.protocols.mlflow.runs import milliseconds, pairs
from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.derived_names import derived_name
from api.services.ai_catalog.logic.search_language import Key, invalid
from core.errors import InvalidArgument, NotFound

_MAX_PAGE = 1000


@dataclass(frozen=True)
class AliasChange:
    """A custom operation that changes the aliases of an entry."""

    body: type[Request]
    change: Callable[[Unit, Any, Any], Any]


class RegisteredEntries(ABC):
    """The handlers of one kind of entries. A handler runs under the permissions of the operation of the kind."""

    kind: ResourceKind[Any]
    versions: str
    """Name of the operation that lists the versions of an entry."""

    setting: AliasChange
    removing: AliasChange

    absent: Mapping[str, str] = {}
    """Values of tags that an entry does not have, for searches."""

    @abstractmethod
    def _require(self, unit: Unit, call: MlflowCall) -> Stored:
        """Returns the entry that a request names.

        Raises:
            NotFound: there is none in the project of the request that the caller can see.
        """

    @abstractmethod
    def _tags(self, resource: Any) -> dict[str, str]:
        """Returns the tags that MLflow shows."""

    @abstractmethod
    def _newest(self, unit: Unit, row: Stored) -> Sequence[dict[str, Any]]:
        """Returns the latest versions of an entry."""

    @abstractmethod
    def _aliased(self, unit: Unit, row: Stored, alias: str) -> dict[str, Any] | None:
        """Returns the version that an alias names."""

    def _name(self, text: str) -> str:
        """Returns the name of a new entry, or a new name.

        Raises:
            InvalidArgument: the name contains a separator of MLflow's addresses.
        """
        name = normal(text)
        if "/" in name or ":" in name:
            raise InvalidArgument(f"The name of a {self.kind.name.replace('_', ' ')} must not contain / or :.")
        return name

    def _created(self, unit: Unit, call: MlflowCall, name: str, tags: dict[str, str]) -> dict[str, Any]:
        """Creates an entry in the project of the request."""
        spec: Any = self.kind.model.spec_type()
        values = {"title": name, "description": call.text("description", ""), "tags": tags}
        draft: Draft[Any] = Draft[spec](
            name=derived_name(name), project_id=project_of(unit, call.workspace), spec=validated(spec, values)
        )
        return self._rendered(unit, unit.row(self.kind, standard.create(unit, self.kind, draft).id))

    async def get(self, call: MlflowCall) -> dict[str, Any]:
        """Returns an entry by its name."""
        read = partial(self._required, call=call)
        return {"registered_model": await call.read(f"get_{self.kind.name}", read)}

    async def update(self, call: MlflowCall) -> dict[str, Any]:
        """Changes the description."""
        return await self._changed(call, {"spec": {"description": call.text("description", "")}})

    async def set_tag(self, call: MlflowCall) -> dict[str, Any]:
        """Sets a tag."""
        await self._changed(call, {"spec": {"tags": {call.text("key"): call.text("value", "")}}})
        return {}

    async def delete_tag(self, call: MlflowCall) -> dict[str, Any]:
        """Removes a tag."""
        await self._changed(call, {"spec": {"tags": {call.text("key"): None}}})
        return {}

    async def delete(self, call: MlflowCall) -> dict[str, Any]:
        """Deletes an entry with its versions."""
        await call.write(
            f"delete_{self.kind.name}", lambda unit: standard.delete(unit, self.kind, self._require(unit, call).id)
        )
        return {}

    async def search(self, call: MlflowCall) -> dict[str, Any]:
        """Searches entries by name and tags, in the order of their names or in the order of the request."""
        condition = search_language.parse(call.text("filter", ""))
        orders = [search_language.parse_order(str(one)) for one in call.list("order_by")]
        size = min(max(call.number("max_results", 100), 1), _MAX_PAGE)
        token = call.text("page_token", "")

        def read(unit: Unit) -> dict[str, Any]:
            select = standard.visible(unit, self.kind)
            if call.workspace:
                select = select.where(RESOURCE.c.project_id == project_of(unit, call.workspace))
            rows = [store.stored(row) for row in unit.connection.execute(select)]
            found = [row for row in rows if search_language.matches(condition, partial(self._value, row))]
            found.sort(key=lambda row: (mlflow_name(self.kind.resource(row)), row.id))
            for key, descending in reversed(orders):
                found.sort(key=lambda row: self._value(row, key), reverse=descending)
            ids = [row.id for row in found]
            if token and token not in ids:
                raise InvalidArgument("page_token is not valid for this search.")
            start = ids.index(token) + 1 if token else 0
            page = found[start : start + size]
            rest = {"next_page_token": page[-1].id} if len(found) > start + size else {}
            return {"registered_models": [self._rendered(unit, row) for row in page], **rest}

        return await call.read(f"list_{self.kind.plural.replace('-', '_')}", read)

    async def set_alias(self, call: MlflowCall) -> dict[str, Any]:
        """Makes an alias name a version."""
        values = {"alias": call.text("alias"), "version": call.number("version")}
        return await self._alias(call, "set-alias", self.setting, values)

    async def delete_alias(self, call: MlflowCall) -> dict[str, Any]:
        """Removes an alias."""
        return await self._alias(call, "remove-alias", self.removing, {"alias": call.text("alias")})

    async def get_by_alias(self, call: MlflowCall) -> dict[str, Any]:
        """Returns the version that an alias names."""
        alias = call.text("alias")

        def read(unit: Unit) -> dict[str, Any]:
            version = self._aliased(unit, self._require(unit, call), alias)
            if version is None:
                raise NotFound(f"Registered model alias {alias[:64]} not found.")
            return {"model_version": version}

        return await call.read(self.versions, read)

    async def _changed(self, call: MlflowCall, change: dict[str, Any]) -> dict[str, Any]:
        """Changes an entry, and returns it."""
        spec: Any = self.kind.model.spec_type()
        body: Change[Any] = validated(Change[spec], change)

        def write(unit: Unit) -> dict[str, Any]:
            made = standard.update(unit, self.kind, self._require(unit, call).id, body)
            return self._rendered(unit, unit.row(self.kind, made.id))

        return {"registered_model": await call.write(f"update_{self.kind.name}", write)}

    def _rendered(self, unit: Unit, row: Stored) -> dict[str, Any]:
        """Returns an entry as MLflow describes it."""
        resource = self.kind.resource(row)
        return {
            "name": mlflow_name(resource),
            "creation_timestamp": milliseconds(resource.created_at),
            "last_updated_timestamp": milliseconds(resource.updated_at),
            "description": resource.spec.description,
            "latest_versions": self._newest(unit, row),
            "tags": pairs(self._tags(resource)),
            "aliases": [{"alias": name, "version": str(number)} for name, number in resource.status.aliases.items()],
        }

    def _required(self, unit: Unit, call: MlflowCall) -> dict[str, Any]:
        return self._rendered(unit, self._require(unit, call))

    def _value(self, row: Stored, key: Key) -> Any:
        """Returns the value of an entry that a search compares."""
        resource = self.kind.resource(row)
        if key.group == "tags":
            return self._tags(resource).get(key.name, self.absent.get(key.name))
        attributes = {
            "name": mlflow_name(resource),
            "creation_timestamp": milliseconds(resource.created_at),
            "last_updated_timestamp": milliseconds(resource.updated_at),
            "timestamp": milliseconds(resource.updated_at),
        }
        if key.group or key.name not in attributes:
            plural, names = self.kind.plural.replace("-", " "), ", ".join(attributes)
            raise invalid(str(key), f"is not an attribute of {plural}. Attributes are {names}")
        return attributes[key.name]

    async def _alias(
        self, call: MlflowCall, action: str, operation: AliasChange, values: dict[str, Any]
    ) -> dict[str, Any]:
        body = validated(operation.body, values)

        def write(unit: Unit) -> None:
            row = self._require(unit, call)
            unit.require(self.kind.permission(action), row.securable)
            unit.subject(row)
            changed = operation.change(unit, self.kind.resource(row), body)
            standard.write(unit, self.kind, row, changed, action)

        await call.write(f"{action.replace('-', '_')}_{self.kind.name}", write)
        return {}
