"""A unit of work: the one transaction of a request, and the resources that the request reads and changes in it.

A unit checks every access against the caller's grants, keeps the history of every change, and records events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import epochs
from api.kernel.credentials.authentication import Authenticator
from api.kernel.credentials.lockout import refuse_lockout
from api.kernel.credentials.policy_lockout import refuse_policy_lockout
from api.kernel.kinds.call import Call
from api.kernel.kinds.names import Names
from api.kernel.kinds.noun import Noun
from api.kernel.kinds.refusals import denied, unusable_name
from api.kernel.kinds.resource import Level, Resource
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.permissions.access import Access
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core import clock
from core.errors import Conflict, InvalidPayload
from core.events import Event
from core.ids import is_generated_id, new_id

R = TypeVar("R", bound=Resource[Any, Any])


class Unit:
    """What a service function works with inside the transaction of its request."""

    def __init__(self, call: Call, connection: Connection, *, writes: bool) -> None:
        self.call = call
        self.connection = connection
        self.names = Names(call.platform, connection, call.principal)
        self.now: datetime = clock.now()
        self.events: list[Event] = []
        self.committed: list[Callable[[], None]] = []
        """Called on the event loop when the transaction is committed."""
        self.deferred: list[Callable[[], object]] = []
        """Called in a worker thread when the transaction is committed: changes of files, which can't be undone."""
        self.held: dict[str, Access] = {}
        """Rights of principals as read in this transaction, by id. `escalation` fills it."""
        self.writes = writes
        """Whether the transaction writes, so that the rows it reads to change are locked."""
        self._unsettled = False

    @property
    def principal(self) -> Principal:
        """The caller."""
        return self.call.principal

    @property
    def platform(self) -> Platform:
        """What the process shares."""
        return self.call.platform

    def emit(self, type: str, subject: str, securable: Securable, **data: Any) -> None:
        """Adds an event in addition to that of the request."""
        self.events.append(self.call.event(type, subject, securable, **data))

    def forget(self) -> None:
        """Makes every process drop its caches of credentials, and all that it keeps with them.

        This process drops them when the change is committed, others within a second.
        """
        epochs.bump(self.connection)
        self.committed.append(self.platform.part(Authenticator).forget)

    def rights_changed(self) -> None:
        """Does what `forget` does, and makes `settle` check that no user is locked out."""
        self.forget()
        self.held.clear()
        self._unsettled = True

    def settle(self) -> None:
        """Checks what must hold after all changes.

        Raises:
            Conflict: no user could administer the platform, or end an active policy on rows, any more.
        """
        if self._unsettled:
            self._unsettled = False
            refuse_lockout(self.connection, self.platform.database, self.platform.permissions)
            refuse_policy_lockout(self.connection, self.platform.database, self.platform.permissions)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undoes the changes made inside, and their events, if the block raises."""
        events, committed, unsettled = len(self.events), len(self.committed), self._unsettled
        try:
            with self.connection.begin_nested():
                yield
                self.settle()
        except BaseException:
            self._unsettled = unsettled
            self.held.clear()
            del self.events[events:], self.committed[committed:]
            raise

    @contextmanager
    def part(self, kind: Noun, verb: str, *, past: str = "", if_match: str = "") -> Iterator[None]:
        """Makes one of several changes, with its own event, named by the verb or its `past`, and its own `If-Match`."""
        call = self.call
        saved = call.subject, call.securable, call.if_match, call.facts
        call.if_match, call.facts = if_match, {}
        try:
            yield
            past = past or (f"{verb}d" if verb.endswith("e") else f"{verb}ed")
            data = {"action": kind.permission(verb), "outcome": "succeeded", **call.facts}
            self.emit(f"{kind.full_name}.{past}", call.subject, call.securable, **data)
        finally:
            call.subject, call.securable, call.if_match, call.facts = saved

    def allows(self, permission: str, securable: Securable = ROOT, item: Any = None) -> bool:
        """Returns whether the caller holds a permission on something."""
        return self.principal.access.allows(permission, securable, item)

    def require(self, permission: str, securable: Securable = ROOT, item: Any = None) -> None:
        """Raises `PermissionDenied` unless the caller holds the permission."""
        if not self.allows(permission, securable, item):
            raise denied(permission)

    def row(self, kind: StoredKind[Any], id: str, *, permission: str = "", deleted: bool = False) -> Stored:
        """Returns the row of a resource that the caller can see and holds `permission` on.

        Raises:
            NotFound: there is none, none that the caller may know of, or the resource is deleted.
            Conflict: `deleted` asks for a deleted resource, and it is not deleted.
            PermissionDenied: the caller can see the resource, but lacks the permission.
        """
        row = self.find(kind, id)
        return kind.authorized(row, id, self.principal.access, permission=permission, deleted=deleted)

    def find(self, kind: StoredKind[Any], id: str) -> Stored | None:
        """Returns the row of the resource with this id, or with this name if the caller can see it, or None.

        Raises:
            AmbiguousName: the caller can see several resources of this name.
        """
        row = store.find(self.connection, kind.full_name, id, within=kind.names_in(self.principal), lock=self.writes)
        if row is None and kind.named is not Level.PLATFORM and (named := self.names.id_of(kind.full_name, id)) != id:
            row = store.find(self.connection, kind.full_name, named, within=None, lock=self.writes)
        return row

    def get(self, kind: StoredKind[R], id: str, *, permission: str = "") -> R:
        """Returns the resource. Raises as `row`."""
        return kind.resource(self.row(kind, id, permission=permission))

    def subject(self, row: Stored) -> None:
        """Makes a resource the subject of the request's audit record, and checks `If-Match` against it.

        Raises:
            PreconditionFailed: the caller saw another version.
        """
        self.call.subject = row.id
        self.call.securable = row.securable
        self.call.require_match(row.etag)

    def creates(self, id: str, scope: Securable) -> None:
        """Makes a new item of a `TableKind` the subject of the request's audit record."""
        self.call.subject, self.call.securable = id, scope

    def new(self, kind: StoredKind[R], scope: Securable, name: str, spec: Any, **fields: Any) -> R:
        """Returns a resource that is not stored yet, with its id. `fields` replace the values of a new resource."""
        id = new_id(kind.prefix)
        values: dict[str, Any] = {
            "id": id,
            "kind": kind.full_name,
            "organization_id": id if kind.opens is Level.ORGANIZATION else scope.organization_id,
            "project_id": id if kind.opens is Level.PROJECT else scope.project_id,
            "name": name,
            "labels": {},
            "owner": self.principal.id,
            "etag": "",
            "generation": 1,
            "version": 1,
            "created_at": self.now,
            "created_by": self.principal.name,
            "updated_at": self.now,
            "updated_by": self.principal.name,
            "deleted_at": None,
            "spec": spec,
            "status": kind.initial(),
        }
        return cast("R", kind.model.model_construct(**values | fields))

    def add(self, kind: StoredKind[R], resource: R) -> R:
        """Stores a new resource. Does not check whether the caller may create it.

        Raises:
            Conflict: the name is taken.
            InvalidPayload: the name has the form of an id, or a reference names nothing that the caller can see.
        """
        _refuse_id(resource.name)
        row = kind.stored(resource, scope_id=kind.name_scope(resource))
        with self._naming(row):
            store.insert(self.connection, row, action=self.call.endpoint.permission, request_id=self.call.request_id)
        if kind.references:
            store.refer(self.connection, row, self._edges(kind, resource, None))
        resource.etag = row.etag
        return resource

    def save(self, kind: StoredKind[R], before: Stored, resource: R) -> R:
        """Stores a changed resource and updates its ETag and version.

        Raises:
            Conflict: the new name is taken.
            InvalidPayload: the new name has the form of an id, or a new reference names nothing that the caller can
                see.
            PreconditionFailed: another request changed the resource.
        """
        if resource.name != before.name:
            _refuse_id(resource.name)
        after = kind.stored(resource, scope_id=kind.name_scope(resource))
        after = replace(after, updated_at=self.now, updated_by=self.principal.name)
        action, request_id = self.call.endpoint.permission, self.call.request_id
        with self._naming(after):
            after = store.replace_row(self.connection, before, after, action=action, request_id=request_id)
        if kind.references and after.version > before.version:
            store.refer(self.connection, after, self._edges(kind, resource, kind.resource(before)))
        if after.version > before.version:
            self.call.note(version=after.version, changes=store.changes(before, after))
        resource.version, resource.generation, resource.etag = after.version, after.generation, after.etag
        resource.updated_at, resource.updated_by = after.updated_at, after.updated_by
        return resource

    @contextmanager
    def _naming(self, row: Stored) -> Iterator[None]:
        """Discloses that a name is taken only to callers that can see everything that may have it."""
        try:
            yield
        except Conflict:
            if row.scope_id == PLATFORM and not self.principal.access.everywhere(f"{row.kind}.get"):
                raise unusable_name(row.name) from None
            raise

    def _edges(self, kind: StoredKind[R], resource: R, before: R | None) -> list[tuple[str, str]]:
        """Returns the field and target of every reference. A new target must be visible to the caller."""
        edges: list[tuple[str, str]] = []
        for reference in kind.references:
            known = set(reference.ids(before)) if before else set()
            for id in reference.ids(resource):
                if id not in known:
                    self._check_target(reference.to, id, f"/spec/{reference.field}")
                edges.append((reference.field, id))
        return edges

    def _check_target(self, kind: str, id: str, pointer: str) -> None:
        row = self.connection.execute(
            sa.select(*store.COLUMNS).where(RESOURCE.c.id == id, RESOURCE.c.kind == kind)
        ).first()
        found = store.stored(row) if row else None
        if found is None or found.deleted_at or not self.allows(f"{kind}.get", found.securable, found):
            noun = kind.rpartition(".")[2].replace("_", " ")
            fault = {"pointer": pointer, "detail": f"is the id of no {noun} that you may see"}
            raise InvalidPayload(f"There is no {noun} {id!r}.", errors=[fault])


def _refuse_id(name: str) -> None:
    """Refuses a name that could be read as an id."""
    if is_generated_id(name):
        fault = {"pointer": "/name", "detail": "has the form of an id"}
        raise InvalidPayload("name: has the form of an id. Choose another name.", errors=[fault])
