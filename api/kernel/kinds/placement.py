"""Where a new resource belongs: the platform, an organization, or a project that the caller names."""

from __future__ import annotations

from typing import Any

from api.kernel.kinds.resource import Level
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.unit import Unit
from api.kernel.references import ORGANIZATION, PROJECT
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from core.errors import Conflict, InvalidPayload, NotFound


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


def _active(unit: Unit, kind: str, id: str, pointer: str) -> Stored:
    row = store.find(unit.connection, kind, id, within=PLATFORM)
    noun = kind.partition(".")[2]
    if row is None or row.deleted_at or not unit.allows(f"{kind}.get", row.securable, row):
        fault = {"pointer": pointer, "detail": "names none that you may see"}
        raise NotFound(f"There is no {noun} {id!r}.", errors=[fault])
    if row.state != "ACTIVE":
        raise Conflict(f"The {noun} {row.name} is {row.state}: nothing can be created in it.")
    return row


def _misplaced(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{pointer[1:]}: {detail}.", errors=[{"pointer": pointer, "detail": detail}])
