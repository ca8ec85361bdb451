"""The platform's users and groups as the storage of a SCIM server, inside the transaction of one request.

The directory is the caller's own organization. Where SQL can tell exactly what meets a filter, only a page of that is
read, in an order of `ordering.py`. Else the library's in-memory storage does it, over the rows that SQL leaves of the
organization (`filtering.py`).
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
from core.errors import NotFound

_NOTHING = sa.false()


class Face(Protocol):
    """One kind of resource as SCIM sees it."""

    kind: ResourceKind[Any]

    @property
    def model(self) -> type[Resource[Any]]:
        """What a resource is an instance of."""

    def rendered(self, rows: list[Stored]) -> Sequence[Resource[Any]]:
        """These rows as SCIM resources, in the same order."""

    def attribute(self, binding: AttributeBinding) -> Attribute | None:
        """An attribute in SQL; None if it is left to the library."""

    def create(self, given: Any) -> str:
        """Stores a new resource and returns its id."""

    def update(self, row: Stored, given: Any) -> None:
        """Makes the resource what is given."""


class DirectoryStorage(ScimStorage):
    """Users and groups of the organization of who asks. `bulk`: each change gets an event of its own."""

    supports_cursors = True

    def __init__(
        self, unit: Unit, provider: ScimProvider, passwords: Passwords | None = None, *, bulk: bool = False
    ) -> None:
        self._unit = unit
        self._bulk = bulk
        self._faces: dict[str, Face] = {}
        for type in provider.resource_types:
            model: Any = provider.model_for(type)
            users = type.name == "User"
            self._faces[str(type.name)] = (
                Users(unit, type, model, passwords or {}) if users else Groups(unit, type, model)
            )

    @contextmanager
    def operation(self) -> Iterator[None]:
        """One operation: what it did is undone if it fails, and the platform's errors become those of SCIM."""
        with translated(), self._unit.savepoint():
            yield

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """The resource with this id."""
        face = self._face(resource_type)
        return face.rendered([self._row(face, resource_id)])[0]

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """One page of what meets the filter."""
        faces = [self._face(type) for type in resource_types]
        met = [narrowed(search_request.filter, face.model, face.attribute) for face in faces]
        order = order_of(faces, search_request)
        if order is not None and all(one.exact for one in met):
            if isinstance(order, TextOrder):
                return self._text_page(faces, met, order, search_request, position)
            return self._page(faces, met, order, search_request, position)
        found = InMemoryStorage()
        found.resources = [
            resource
            for face, one in zip(faces, met, strict=True)
            for resource in face.rendered(self._rows(face, one.sql))
        ]
        return found.search(resource_types, search_request, position=position)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Stores a new resource."""
        face = self._face(resource_type)
        with translated(), self._unit.savepoint():
            self._refuse_taken(face, resource, "")
            with self._event(face, "create"):
                id = face.create(resource)
        return self.get(resource_type, id)

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Replaces a resource."""
        face = self._face(resource_type)
        with translated(), self._unit.savepoint():
            row = self._row(face, resource.id or "", "update")
            self._expect(face, row, expected_version)
            self._refuse_taken(face, resource, row.id)
            with self._event(face, "update"):
                face.update(row, resource)
        return self.get(resource_type, row.id)

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Deletes a resource; an admin can restore it."""
        face = self._face(resource_type)
        with translated(), self._unit.savepoint():
            row = self._row(face, resource_id, "delete")
            self._expect(face, row, expected_version)
            with self._event(face, "delete"):
                standard.delete(self._unit, face.kind, row.id)

    def _face(self, type: ResourceType) -> Face:
        return self._faces[str(type.name)]

    def _event(self, face: Face, verb: str) -> Any:
        return self._unit.part(face.kind, verb) if self._bulk else nullcontext()

    def _row(self, face: Face, id: str, verb: str = "") -> Stored:
        unknown = NotFoundException(detail=f"There is no {face.kind.title.lower()} {id[:64]!r}.")
        if not id.isascii() or not id.isprintable():
            raise unknown
        try:
            row = self._unit.row(face.kind, id, permission=face.kind.permission(verb) if verb else "")
        except NotFound:
            raise unknown from None
        if row.id != id or row.organization_id != self._unit.principal.organization_id:
            raise unknown
        return row

    def _expect(self, face: Face, row: Stored, version: str | None) -> None:
        meta = face.rendered([row])[0].meta
        if version is not None and (meta is None or meta.version != version):
            raise PreconditionFailedException

    def _refuse_taken(self, face: Face, resource: Any, id: str) -> None:
        """Login names are unique on the whole platform; that of another organization is as good as taken."""
        if not isinstance(face, Users):
            return
        taken = store.find(self._unit.connection, face.kind.full_name, login_name(resource.user_name or ""), named=True)
        if taken is not None and taken.id != id:
            raise UniquenessException(detail=f"userName {resource.user_name[:64]!r} is taken.")

    def _visible(self, face: Face) -> sa.ColumnElement[bool]:
        return sa.and_(
            RESOURCE.c.kind == face.kind.full_name,
            RESOURCE.c.organization_id == self._unit.principal.organization_id,
            RESOURCE.c.deleted_at.is_(None),
            self._unit.principal.access.where(face.kind.permission("get")),
        )

    def _rows(self, face: Face, *conditions: sa.ColumnElement[bool]) -> list[Stored]:
        select = sa.select(*store.COLUMNS).where(self._visible(face), *conditions)
        return [store.stored(row) for row in self._unit.connection.execute(select.order_by(RESOURCE.c.id))]

    def _page(
        self, faces: list[Face], met: list[Narrowed], order: SqlOrder, request: SearchRequest[Any], position: Any
    ) -> SearchPage:
        """A page by SQL. A cursor's position is the key that the page starts after, or ends before."""
        pairs = zip(faces, met, strict=True)
        wanted = sa.or_(_NOTHING, *(sa.and_(self._visible(face), one.sql) for face, one in pairs))
        total = self._unit.connection.execute(sa.select(sa.func.count()).where(wanted)).scalar_one()
        if request.count == 0:
            return SearchPage(total, [])
        select = order.select.where(wanted)
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
        page = SearchPage(total, self._resources(faces, [key[-1] for key in keys]))
        if request.cursor is not None and keys:
            page.next = order.after(keys[-1]) if self._any(wanted, order.beyond(keys[-1])) else None
            page.previous = order.before(keys[0]) if self._any(wanted, order.beyond(keys[0], back=True)) else None
        return page

    def _text_page(
        self, faces: list[Face], met: list[Narrowed], order: TextOrder, request: SearchRequest[Any], position: Any
    ) -> SearchPage:
        """A page by a string that SQL reads of all rows that it finds."""
        keys = [
            order.key(index, *row)
            for index, (face, one) in enumerate(zip(faces, met, strict=True))
            for row in self._unit.connection.execute(order.select(index).where(self._visible(face), one.sql))
        ]
        if request.count == 0:
            return SearchPage(len(keys), [])
        ids, after, before = order.page(keys, request, position)
        page = SearchPage(len(keys), self._resources(faces, ids))
        page.next, page.previous = after, before
        return page

    def _resources(self, faces: list[Face], ids: list[str]) -> list[Resource[Any]]:
        """The resources with these ids, in this order."""
        found = {
            resource.id: resource
            for face in faces
            for resource in face.rendered(self._rows(face, RESOURCE.c.id.in_(ids) if ids else _NOTHING))
        }
        return [found[id] for id in ids]

    def _any(self, *conditions: sa.ColumnElement[bool]) -> bool:
        return self._unit.connection.execute(sa.select(RESOURCE.c.id).where(*conditions).limit(1)).first() is not None
