"""The platform's users and groups as the storage of a SCIM server, inside the transaction of one request.

The directory is the caller's own organization. If SQL can evaluate a filter exactly, only one page is read, in an
order of `ordering.py`. Otherwise the library's in-memory storage evaluates it, over the rows of the organization that
SQL lets through (`filtering.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import sqlalchemy as sa
from scim2_models import (
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
    UniquenessException,
)
from scim2_models.path import AttributeBinding
from scim2_server.memory import InMemoryStorage
from scim2_server.storage import ScimStorage, SearchPage

from api.kernel.kinds import standard
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from api.protocols.scim.errors import translated
from api.protocols.scim.filtering import Attribute, Narrowed, narrowed
from api.protocols.scim.groups import Groups
from api.protocols.scim.ordering import SqlOrder, TextOrder, order_of
from api.protocols.scim.passwords import Passwords
from api.protocols.scim.users import Users, login_name
from api.services.admin.kinds.user import USER
from core.errors import NotFound

_NOTHING = sa.false()


class Directory(Protocol):
    """The resources of one type in SCIM."""

    kind: ResourceKind[Any]

    @property
    def model(self) -> type[Resource[Any]]:
        """Returns the model of the resources."""

    def rendered(self, rows: list[Stored]) -> Sequence[Resource[Any]]:
        """Returns the rows as SCIM resources, in the same order."""

    def attribute(self, binding: AttributeBinding) -> Attribute | None:
        """Returns an attribute in SQL, or None if the library evaluates it."""

    def create(self, given: Any) -> str:
        """Stores a new resource, and returns its id."""

    def update(self, row: Stored, given: Any) -> None:
        """Replaces the resource."""


class DirectoryStorage(ScimStorage):
    """Users and groups of the caller's organization. With `bulk`, each change gets its own event."""

    supports_cursors = True

    def __init__(
        self, unit: Unit, provider: ScimProvider, passwords: Passwords | None = None, *, bulk: bool = False
    ) -> None:
        self._unit = unit
        self._bulk = bulk
        self._directories: dict[str, Directory] = {}
        for type in provider.resource_types:
            model: Any = provider.model_for(type)
            users = type.name == "User"
            self._directories[str(type.name)] = (
                Users(unit, type, model, passwords or {}) if users else Groups(unit, type, model)
            )

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Runs one operation in a savepoint, and translates the platform's errors to SCIM errors."""
        with translated(), self._unit.savepoint():
            yield

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Returns the resource with this id."""
        directory = self._directory(resource_type)
        return directory.rendered([self._row(directory, resource_id)])[0]

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """Returns one page of the resources that match the filter."""
        directories = [self._directory(type) for type in resource_types]
        conditions = [narrowed(search_request.filter, one.model, one.attribute) for one in directories]
        order = order_of(directories, search_request)
        if order is not None and all(condition.exact for condition in conditions):
            if isinstance(order, TextOrder):
                return self._text_page(directories, conditions, order, search_request, position)
            return self._page(directories, conditions, order, search_request, position)
        storage = InMemoryStorage()
        storage.resources = [
            resource
            for directory, condition in zip(directories, conditions, strict=True)
            for resource in directory.rendered(self._rows(directory, condition.sql))
        ]
        return storage.search(resource_types, search_request, position=position)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Stores a new resource."""
        directory = self._directory(resource_type)
        with translated(), self._unit.savepoint():
            self._refuse_taken(directory, resource, "")
            with self._event(directory, "create"):
                id = directory.create(resource)
        return self.get(resource_type, id)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Replaces a resource."""
        directory = self._directory(resource_type)
        with translated(), self._unit.savepoint():
            row = self._row(directory, resource.id or "", "update")
            self._expect(directory, row, expected_version)
            self._refuse_taken(directory, resource, row.id)
            with self._event(directory, "update"):
                directory.update(row, resource)
        return self.get(resource_type, row.id)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Deletes a resource. An admin can restore it."""
        directory = self._directory(resource_type)
        with translated(), self._unit.savepoint():
            row = self._row(directory, resource_id, "delete")
            self._expect(directory, row, expected_version)
            with self._event(directory, "delete"):
                standard.delete(self._unit, directory.kind, row.id)

    def _directory(self, type: ResourceType) -> Directory:
        return self._directories[str(type.name)]

    def _event(self, directory: Directory, verb: str) -> Any:
        return self._unit.part(directory.kind, verb) if self._bulk else nullcontext()

    def _row(self, directory: Directory, id: str, verb: str = "") -> Stored:
        kind = directory.kind
        unknown = NotFoundException(detail=f"There is no {kind.title.lower()} {id[:64]!r}.")
        if not id.isascii() or not id.isprintable():
            raise unknown
        try:
            row = self._unit.row(kind, id, permission=kind.permission(verb) if verb else "")
        except NotFound:
            raise unknown from None
        if row.id != id or row.organization_id != self._unit.principal.organization_id:
            raise unknown
        return row

    def _expect(self, directory: Directory, row: Stored, version: str | None) -> None:
        meta = directory.rendered([row])[0].meta
        if version is not None and (meta is None or meta.version != version):
            raise PreconditionFailedException

    def _refuse_taken(self, directory: Directory, resource: Any, id: str) -> None:
        """Refuses the login name of another user of the organization."""
        if not isinstance(directory, Users):
            return
        organization = self._unit.principal.organization_id
        name = login_name(resource.user_name or "")
        taken = store.find(self._unit.connection, USER.full_name, name, within=organization)
        if taken is not None and taken.id != id:
            raise UniquenessException(detail=f"userName {resource.user_name[:64]!r} is taken.")

    def _visible(self, directory: Directory) -> sa.ColumnElement[bool]:
        return sa.and_(
            RESOURCE.c.kind == directory.kind.full_name,
            RESOURCE.c.organization_id == self._unit.principal.organization_id,
            RESOURCE.c.deleted_at.is_(None),
            self._unit.principal.access.where(directory.kind.permission("get")),
        )

    def _rows(self, directory: Directory, *conditions: sa.ColumnElement[bool]) -> list[Stored]:
        select = sa.select(*store.COLUMNS).where(self._visible(directory), *conditions)
        return [store.stored(row) for row in self._unit.connection.execute(select.order_by(RESOURCE.c.id))]

    def _page(
        self,
        directories: list[Directory],
        conditions: list[Narrowed],
        order: SqlOrder,
        request: SearchRequest[Any],
        position: Any,
    ) -> SearchPage:
        """Returns a page by SQL. The position of a cursor is the key that the page starts after, or ends before."""
        pairs = zip(directories, conditions, strict=True)
        matching = sa.or_(_NOTHING, *(sa.and_(self._visible(directory), one.sql) for directory, one in pairs))
        total = self._unit.connection.execute(sa.select(sa.func.count()).where(matching)).scalar_one()
        if request.count == 0:
            return SearchPage(total, [])
        select = order.select.where(matching)
        back = False
        if request.cursor is None:
            select = select.offset(request.start_index_0 or 0)
        elif position is not None:
            back, anchor = order.read(position)
            select = select.where(order.beyond(anchor, back=back))
        keys = [
            tuple(row) for row in self._unit.connection.execute(order.sorted(select, back=back).limit(request.count))
        ]
        keys = keys[::-1] if back else keys
        page = SearchPage(total, self._resources(directories, [key[-1] for key in keys]))
        if request.cursor is not None and keys:
            page.next = order.after(keys[-1]) if self._any(matching, order.beyond(keys[-1])) else None
            page.previous = order.before(keys[0]) if self._any(matching, order.beyond(keys[0], back=True)) else None
        return page

    def _text_page(
        self,
        directories: list[Directory],
        conditions: list[Narrowed],
        order: TextOrder,
        request: SearchRequest[Any],
        position: Any,
    ) -> SearchPage:
        """Returns a page in the order of a string, which SQL reads from all matching rows."""
        keys = [
            order.key(index, *row)
            for index, (directory, one) in enumerate(zip(directories, conditions, strict=True))
            for row in self._unit.connection.execute(order.select(index).where(self._visible(directory), one.sql))
        ]
        if request.count == 0:
            return SearchPage(len(keys), [])
        ids, after, before = order.page(keys, request, position)
        page = SearchPage(len(keys), self._resources(directories, ids))
        page.next, page.previous = after, before
        return page

    def _resources(self, directories: list[Directory], ids: list[str]) -> list[Resource[Any]]:
        """Returns the resources with these ids, in this order."""
        resources = {
            resource.id: resource
            for directory in directories
            for resource in directory.rendered(self._rows(directory, RESOURCE.c.id.in_(ids) if ids else _NOTHING))
        }
        return [resources[id] for id in ids]

    def _any(self, *conditions: sa.ColumnElement[bool]) -> bool:
        return self._unit.connection.execute(sa.select(RESOURCE.c.id).where(*conditions).limit(1)).first() is not None
