"""Where a new resource belongs: the platform, an organization, or a project that the caller names."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.refusals import denied
from api.kernel.kinds.resource import Level
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.unit import Unit
from api.kernel.references import ORGANIZATION, PROJECT
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core.errors import Conflict, InvalidArgument, InvalidPayload, NotFound


def scope_of_new(unit: Unit, kind: StoredKind[Any], organization: str | None, project: str | None) -> Securable:
    """Returns the scope of a new resource.

    Args:
        unit: the transaction of the request.
        kind: the kind of the resource.
        organization: id or name of the organization that the caller names, if any.
        project: id or name of the project that the caller names, if any.

    Raises:
        InvalidPayload: the kind needs a scope of another level.
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
            raise _misplaced("/project_id", f"{kind.with_article} belongs to a project: name it")
        found = _active(unit, PROJECT, project, "/project_id")
        if organization and _active(unit, ORGANIZATION, organization, "/organization_id").id != found.organization_id:
            raise _misplaced("/organization_id", f"project {project!r} is not in it")
        return Securable(PROJECT, found.id, found.organization_id, found.id)
    found = _active(unit, ORGANIZATION, organization or unit.principal.organization_id, "/organization_id")
    return Securable(ORGANIZATION, found.id, found.id)


def project_of_new(unit: Unit, project: str | None, permission: str) -> Stored:
    """Returns the project in which rows are created, by default the only one in which the caller may.

    The project cannot be changed until the transaction ends.

    Raises:
        NotFound: there is no such project that the caller may know of.
        PermissionDenied: the caller may create such rows in no project, or not in this one.
        InvalidArgument: the caller may create such rows in several projects.
        Conflict: the project is archived or moves.
    """
    if not project:
        where = unit.principal.access.where(permission, RESOURCE)
        select = sa.select(RESOURCE.c.id, RESOURCE.c.name).where(
            RESOURCE.c.kind == PROJECT, RESOURCE.c.deleted_at.is_(None), where
        )
        candidates = unit.connection.execute(select.order_by(RESOURCE.c.name).limit(6)).all()
        if not candidates:
            raise denied(permission)
        if len(candidates) > 1:
            names = ", ".join(row.name for row in candidates[:5]) + (", ..." if len(candidates) > 5 else "")
            raise InvalidArgument(f"You may do this in several projects. Name one of them: {names}.")
        project = str(candidates[0].id)
        found = store.find(unit.connection, PROJECT, project, within=None, lock=True)
        assert found is not None
        _require_active(found)
    else:
        found = _active(unit, PROJECT, project, "/project_id", lock=True)
    unit.require(permission, found.securable)
    return found


def _active(unit: Unit, kind: str, id: str, pointer: str, *, lock: bool = False) -> Stored:
    row = store.find(unit.connection, kind, id, within=PLATFORM, lock=lock)
    noun = kind.partition(".")[2]
    if row is None or row.deleted_at or not unit.allows(f"{kind}.get", row.securable, row):
        fault = {"pointer": pointer, "detail": "names none that you may see"}
        raise NotFound(f"There is no {noun} {id!r}.", errors=[fault])
    _require_active(row)
    return row


def _require_active(row: Stored) -> None:
    if row.state != "ACTIVE":
        noun = row.kind.partition(".")[2]
        raise Conflict(f"The {noun} {row.name} is {row.state}: nothing can be created in it.")


def _misplaced(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{pointer[1:]}: {detail}.", errors=[{"pointer": pointer, "detail": detail}])
