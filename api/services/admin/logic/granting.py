"""What may be granted by whom: nobody gives what he does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.kernel.kinds.unit import Unit
from api.kernel.permissions.access import pattern_matches
from api.kernel.permissions.grants import BUILT_IN
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.storage import store
from core.errors import InvalidPayload, NotFound, PermissionDenied


def place_of(unit: Unit, kind: str, id: str) -> Securable:
    """The securable with this id: the platform, a resource, or something that the platform finds by name, as assets.

    Raises:
        NotFound: there is none that the caller may know of.
    """
    if id == PLATFORM:
        return ROOT
    row = store.find_any(unit.connection, id)
    if row is not None and row.deleted_at is None and unit.allows(f"{row.kind}.get", row.securable, row):
        return row.securable
    found = unit.platform.kinds.get(kind)
    if (
        row is None
        and found
        and found.locate
        and unit.allows(f"{kind}.get", place := found.locate.place(unit.platform, id))
    ):
        return place
    fault = {"pointer": "/securable_id", "detail": "names nothing that you may see"}
    raise NotFound(f"There is nothing {id!r} to grant rights on.", errors=[fault])


def place_of_row(row: Any) -> Securable:
    """The securable of a stored grant."""
    return Securable(row.securable_kind, row.securable_id, row.organization_id, row.project_id)


def require_all(unit: Unit, covers: Callable[[str], bool], securable: Securable) -> None:
    """Raises `PermissionDenied` unless the caller holds every permission that is covered, on this securable."""
    for permission in unit.platform.permissions:
        if covers(permission) and not unit.allows(permission, securable):
            raise PermissionDenied(f"You cannot give {permission}: you do not hold it there yourself.")


def covered_by_patterns(patterns: list[str]) -> Callable[[str], bool]:
    """Whether some of these patterns include a permission."""
    return lambda permission: any(pattern_matches(pattern, permission) for pattern in patterns)


def role_covers(unit: Unit, role_id: str, securable: Securable) -> Callable[[str], bool]:
    """Which permissions a role gives.

    Raises:
        InvalidPayload: there is no such role for this place: those of an organization are granted inside it only.
    """
    if role_id in BUILT_IN:
        held = BUILT_IN[role_id]
        permissions = unit.platform.permissions
        return lambda permission: held.includes(permissions[permission])
    row = store.find(unit.connection, "admin.role", role_id, named=False)
    if row is None or row.deleted_at or not unit.allows("admin.role.get", row.securable, row):
        raise _fault("/role_id", f"there is no role {role_id!r}")
    if row.organization_id not in (None, securable.organization_id):
        raise _fault("/role_id", f"the role {row.name} belongs to another organization")
    import json

    return covered_by_patterns(json.loads(row.spec)["permissions"])


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{detail[0].upper()}{detail[1:]}.", errors=[{"pointer": pointer, "detail": detail}])
