"""The platform's users and groups as the storage of a SCIM server, inside the transaction of one request.

The directory is the caller's own organization. Filters, sorting and cursors are the library's own, by its in-memory
storage, over the rows that SQL leaves: one by `id`, `userName` or `externalId`, which is what directories ask for, and
all of the organization otherwise. Lists without filter and order are paged in SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol

import sqlalchemy as sa
from scim2_models import (
    InvalidCursorException,
    NotFoundException,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    ScimProvider,
    SearchRequest,
    UniquenessException,
)
from scim2_models.path import CompareOperator, Comparison
from scim2_server.memory import InMemoryStorage
from scim2_server.storage import ScimStorage, SearchPage

from api.kernel import standard, store
from api.kernel.resource_kind import ResourceKind
from api.kernel.store import Stored
from api.kernel.tables import RESOURCE
from api.kernel.unit import Unit
from api.protocols.scim.errors import translated
from api.protocols.scim.groups import Groups
from api.protocols.scim.users import Users, login_name
from core.errors import NotFound

_NOTHING = sa.false()


class Face(Protocol):
    """One kind of resource as SCIM sees it."""

    kind: ResourceKind[Any]

    def rendered(self, rows: list[Stored]) -> Sequence[Resource[Any]]:
        """These rows as SCIM resources, in the same order."""

    def exact(self, attribute: str, value: str) -> sa.ColumnElement[bool]:
        """What all rows meet whose attribute equals this."""

    def create(self, given: Any) -> str:
        """Stores a new resource and returns its id."""

    def update(self, row: Stored, given: Any) -> None:
        """Makes the resource what is given."""


class DirectoryStorage(ScimStorage):
    """Users and groups of the organization of who asks. `bulk`: each change gets an event of its own."""

    supports_cursors = True

    def __init__(self, unit: Unit, provider: ScimProvider, *, bulk: bool = False) -> None:
        self._unit = unit
        self._bulk = bulk
        self._faces: dict[str, Face] = {}
        for type in provider.resource_types:
            model: Any = provider.model_for(type)
            face = Users if type.name == "User" else Groups
            self._faces[str(type.name)] = face(unit, type, model)

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
        if search_request.filter is None and search_request.sort_by is None:
            return self._plain_page(faces, search_request, position)
        found = InMemoryStorage()
        found.resources = [
            resource
            for face in faces
            for resource in face.rendered(self._rows(face, _exact(face, search_request.filter)))
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

    def _plain_page(self, faces: list[Face], request: SearchRequest[Any], position: Any) -> SearchPage:
        """A page by id. A cursor's position is the id that the page starts after, or ends before."""
        wanted = sa.or_(_NOTHING, *(self._visible(face) for face in faces))
        total = self._unit.connection.execute(sa.select(sa.func.count()).where(wanted)).scalar_one()
        if request.count == 0:
            return SearchPage(total, [])
        select = sa.select(RESOURCE.c.id).where(wanted)
        back = False
        if request.cursor is None:
            select = select.offset(request.start_index_0 or 0)
        elif position is not None:
            back, anchor = _direction(position)
            select = select.where(RESOURCE.c.id < anchor if back else RESOURCE.c.id > anchor)
        order = RESOURCE.c.id.desc() if back else RESOURCE.c.id
        ids = list(self._unit.connection.execute(select.order_by(order).limit(request.count)).scalars())
        ids.sort()
        found = [
            resource
            for face in faces
            for resource in face.rendered(self._rows(face, RESOURCE.c.id.in_(ids) if ids else _NOTHING))
        ]
        page = SearchPage(total, sorted(found, key=lambda resource: str(resource.id)))
        if request.cursor is not None and ids:
            page.next = {"after": ids[-1]} if self._any(wanted, RESOURCE.c.id > ids[-1]) else None
            page.previous = {"before": ids[0]} if self._any(wanted, RESOURCE.c.id < ids[0]) else None
        return page

    def _any(self, *conditions: sa.ColumnElement[bool]) -> bool:
        return self._unit.connection.execute(sa.select(RESOURCE.c.id).where(*conditions).limit(1)).first() is not None


def _direction(position: Any) -> tuple[bool, str]:
    match position:
        case {"after": str(anchor)}:
            return False, anchor
        case {"before": str(anchor)}:
            return True, anchor
    raise InvalidCursorException


def _exact(face: Face, filter: ScimFilter[Any] | None) -> sa.ColumnElement[bool]:
    """What rows must meet at least to meet the filter."""
    node = filter.ast if filter is not None else None
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return sa.true()
    if not node.value.isprintable():
        return sa.true()
    attribute = str(node.attr_path).rpartition(":")[2].lower()
    if attribute == "id":
        return RESOURCE.c.id == node.value
    return face.exact(attribute, node.value)
