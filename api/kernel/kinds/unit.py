"""A unit of work: the one transaction of a request, and the resources it may read and change in it.

Whatever goes through a unit is checked against the caller's grants, keeps its history, and tells of itself in an event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import epochs
from api.kernel.kinds.resource import Level, Resource
from api.kernel.permissions.access import Access
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.securable import ROOT, Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core import clock
from core.errors import Conflict, InvalidPayload, NotFound, PermissionDenied, PreconditionFailed
from core.events import Event
from core.ids import new_id

if TYPE_CHECKING:
    from api.kernel.kinds.context import Context
    from api.kernel.kinds.resource_kind import ResourceKind

R = TypeVar("R", bound=Resource[Any, Any])

ORGANIZATION = "admin.organization"
PROJECT = "admin.project"
HOLDERS = ("admin.user", "admin.service_account", "admin.group")
"""Kinds that can own things and be granted rights."""


class Unit:
    """What a service function is given to work with inside the transaction of its request."""

    def __init__(self, ctx: Context, connection: Connection, *, writes: bool) -> None:
        self.ctx = ctx
        self.connection = connection
        self.now: datetime = clock.now()
        self.events: list[Event] = []
        self.committed: list[Callable[[], None]] = []
        """Called once the transaction is committed, on the event loop."""
        self._writes = writes

    @property
    def principal(self) -> Principal:
        """Who asks."""
        return self.ctx.principal

    @property
    def platform(self) -> Platform:
        """What the process shares."""
        return self.ctx.platform

    def emit(self, type: str, subject: str, securable: Securable, **data: Any) -> None:
        """Adds an event beside that of the request itself."""
        self.events.append(self.ctx.event(type, subject, securable, **data))

    def rights_changed(self) -> None:
        """Makes every process forget what it knows of credentials and rights; this one as soon as it is committed."""
        from api.kernel.credentials.authentication import Authenticator

        epochs.bump(self.connection)
        self.committed.append(self.platform.part(Authenticator).forget)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undoes what is done inside, and its events, if it raises."""
        events, committed = len(self.events), len(self.committed)
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            del self.events[events:], self.committed[committed:]
            raise

    @contextmanager
    def part(self, kind: ResourceKind[Any], verb: str, *, past: str = "", if_match: str = "") -> Iterator[None]:
        """One change of several: it gets an event of its own, called by the verb or its `past`, and an `If-Match`."""
        ctx = self.ctx
        saved = ctx.subject, ctx.securable, ctx.if_match, ctx.facts
        ctx.if_match, ctx.facts = if_match, {}
        try:
            yield
            past = past or (f"{verb}d" if verb.endswith("e") else f"{verb}ed")
            data = {"action": kind.permission(verb), "outcome": "succeeded", **ctx.facts}
            self.emit(f"{kind.full_name}.{past}", ctx.subject, ctx.securable, **data)
        finally:
            ctx.subject, ctx.securable, ctx.if_match, ctx.facts = saved

    def allows(self, permission: str, securable: Securable = ROOT, item: Any = None) -> bool:
        """Whether the caller holds a permission on something."""
        return self.principal.access.allows(permission, securable, item)

    def require(self, permission: str, securable: Securable = ROOT, item: Any = None) -> None:
        """Raises `PermissionDenied` unless the caller holds the permission."""
        if not self.allows(permission, securable, item):
            raise denied(permission)

    def row(self, kind: ResourceKind[Any], id: str, *, permission: str = "", deleted: bool = False) -> Stored:
        """The row of a resource that the caller may see, and on which he holds the permission.

        Raises:
            NotFound: there is none, or none that the caller may know of.
            PermissionDenied: the caller may see it, but not this.
        """
        row = store.find(self.connection, kind.full_name, id, named=kind.named, lock=self._writes)
        return shown(kind, self.principal.access, id, row, permission=permission, deleted=deleted)

    def get(self, kind: ResourceKind[R], id: str, *, permission: str = "") -> R:
        """The resource, as `row`."""
        return kind.resource(self.row(kind, id, permission=permission))

    def subject(self, row: Stored) -> None:
        """Makes this resource the one the audit row of the request is about, and checks `If-Match` against it.

        Raises:
            PreconditionFailed: the caller saw another version.
        """
        self.ctx.subject = row.id
        self.ctx.securable = row.securable
        wanted = self.ctx.if_match
        if wanted and wanted != "*" and row.etag not in (tag.strip() for tag in wanted.split(",")):
            raise PreconditionFailed(
                f"It was changed since you read it: its ETag is now {row.etag}. Read it again and repeat the change.",
                metadata={"etag": row.etag},
            )

    def scope(self, kind: ResourceKind[Any], organization: str | None, project: str | None) -> Securable:
        """Where a new resource of this kind shall live.

        Raises:
            InvalidPayload: its kind needs another scope.
            NotFound: there is no such organization or project that the caller may know of.
            Conflict: the scope is suspended or archived.
        """
        if kind.level is Level.PLATFORM:
            if organization or project:
                raise _misplaced("/project_id" if project else "/organization_id", f"{kind.title}s belong to neither")
            return ROOT
        if kind.level is Level.ORGANIZATION and project:
            raise _misplaced("/project_id", f"{kind.title}s belong to an organization, not to a project")
        if kind.level is Level.PROJECT:
            if not project:
                raise _misplaced("/project_id", f"a {kind.title.lower()} belongs to a project: name it")
            found = self._place(PROJECT, project, "/project_id")
            if organization and self._place(ORGANIZATION, organization, "/organization_id").id != found.organization_id:
                raise _misplaced("/organization_id", f"project {project!r} is not in it")
            return Securable(PROJECT, found.id, found.organization_id, found.id)
        found = self._place(ORGANIZATION, organization or self.principal.organization_id, "/organization_id")
        return Securable(ORGANIZATION, found.id, found.id)

    def _place(self, kind: str, id: str, pointer: str) -> Stored:
        row = store.find(self.connection, kind, id, named=True)
        noun = kind.partition(".")[2]
        if row is None or row.deleted_at or not self.allows(f"{kind}.get", row.securable, row):
            fault = {"pointer": pointer, "detail": "names none that you may see"}
            raise NotFound(f"There is no {noun} {id!r}.", errors=[fault])
        if row.state != "ACTIVE":
            raise Conflict(f"The {noun} {row.name} is {row.state}: nothing can be created in it.")
        return row

    def add(self, kind: ResourceKind[R], resource: R) -> R:
        """Stores a new resource. The caller's right to do so is not checked again.

        Raises:
            Conflict: the name is taken.
        """
        row = kind.stored(resource, scope_id=self._name_scope(kind, resource))
        store.insert(self.connection, row, action=self.ctx.endpoint.permission, request_id=self.ctx.request_id)
        if kind.references:
            store.refer(self.connection, row, self._targets(kind, resource, None))
        resource.etag = row.etag
        return resource

    def save(self, kind: ResourceKind[R], before: Stored, resource: R) -> R:
        """Stores what was changed of a resource, and brings its etag and version up to date.

        Raises:
            Conflict: the new name is taken.
            PreconditionFailed: somebody else changed it.
        """
        after = kind.stored(resource, scope_id=self._name_scope(kind, resource))
        after = replace(after, updated_at=self.now, updated_by=self.principal.name)
        action, request_id = self.ctx.endpoint.permission, self.ctx.request_id
        after = store.replace_row(self.connection, before, after, action=action, request_id=request_id)
        if kind.references:
            store.refer(self.connection, after, self._targets(kind, resource, kind.resource(before)))
        if after.version > before.version:
            self.ctx.note(version=after.version, changes=store.changes(before, after))
        resource.version, resource.generation, resource.etag = after.version, after.generation, after.etag
        resource.updated_at, resource.updated_by = after.updated_at, after.updated_by
        return resource

    def new(self, kind: ResourceKind[R], scope: Securable, name: str, spec: Any, **more: Any) -> R:
        """A resource that does not exist yet, with its id."""
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
        return cast("R", kind.model.model_construct(**values | more))

    def _name_scope(self, kind: ResourceKind[Any], resource: Resource[Any, Any]) -> str:
        if kind.named:
            return "platform"
        return resource.project_id or resource.organization_id or "platform"

    def _targets(self, kind: ResourceKind[R], resource: R, before: R | None) -> list[tuple[str, str, str]]:
        """Edges of the declared reference fields; new ones must lead to what the caller may see."""
        edges: list[tuple[str, str, str]] = []
        for reference in kind.references:
            ids = reference.ids(resource)
            known = set(reference.ids(before)) if before else set()
            for id in ids:
                if id not in known:
                    self._check_target(reference.to, id, f"/spec/{reference.field}")
                edges.append((reference.field, id, reference.on_delete.value))
        return edges

    def holder(self, id: str, pointer: str) -> Stored:
        """The user, service account or group with this id, which can own things and be granted rights.

        Raises:
            InvalidPayload: there is none that the caller may see.
        """
        row = store.find_any(self.connection, id)
        known = row is not None and row.kind in HOLDERS and row.deleted_at is None
        if (
            row is None
            or not known
            or not (id == self.principal.id or self.allows(f"{row.kind}.get", row.securable, row))
        ):
            fault = {"pointer": pointer, "detail": "is the id of no user, service account or group that you may see"}
            raise InvalidPayload(f"There is no user, service account or group {id!r}.", errors=[fault])
        return row

    def _check_target(self, kind: str, id: str, pointer: str) -> None:
        row = self.connection.execute(
            sa.select(*store.COLUMNS).where(RESOURCE.c.id == id, RESOURCE.c.kind == kind)
        ).first()
        found = store.stored(row) if row else None
        if found is None or found.deleted_at or not self.allows(f"{kind}.get", found.securable, found):
            noun = kind.rpartition(".")[2].replace("_", " ")
            fault = {"pointer": pointer, "detail": f"is the id of no {noun} that you may see"}
            raise InvalidPayload(f"There is no {noun} {id!r}.", errors=[fault])


def shown(
    kind: ResourceKind[Any],
    access: Access,
    id: str,
    row: Stored | None,
    *,
    permission: str = "",
    deleted: bool = False,
) -> Stored:
    """The row that was found for an id, if who has these rights may see it and holds the permission on it.

    Raises:
        NotFound: there is none, or none that the caller may know of.
        PermissionDenied: the caller may see it, but not this.
    """
    if row is None or not access.allows(kind.permission("get"), row.securable, row):
        raise kind.unknown(id)
    if (row.deleted_at is not None) is not deleted:
        hint = "is not deleted" if deleted else "was deleted; it can be restored"
        raise NotFound(f"{kind.title} {id!r} {hint}.") if not deleted else Conflict(f"{kind.title} {id!r} {hint}.")
    if permission and not access.allows(permission, row.securable, row):
        raise denied(permission)
    return kind.current(row)


def denied(permission: str) -> PermissionDenied:
    """The refusal of a permission: of one shape, whatever it was refused for."""
    return PermissionDenied(f"This needs the permission {permission}, which you do not hold here.")


def _misplaced(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{pointer[1:]}: {detail}.", errors=[{"pointer": pointer, "detail": detail}])
