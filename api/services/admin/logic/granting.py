"""Resolution of grants and roles before they are stored: their place and their rules."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa

from api.kernel import lookup
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.permissions.grants import BUILT_IN, Effect, GrantRow
from api.kernel.permissions.graph import ASSET, visible_graph
from api.kernel.permissions.patterns import pattern_matches
from api.kernel.permissions.rule import Rule
from api.kernel.securable import PLATFORM, ROOT, Securable
from api.kernel.storage import store
from core.definitions import DEFINITION
from core.errors import InvalidPayload, NotFound
from core.ids import is_asset_id


def place_of(unit: Unit, kind: str, id: str) -> Securable:
    """Returns the securable with this id: the platform, a resource, or an object identified by name, such as an asset.

    An asset needs no kind. A grant on an asset remains when the asset is removed. It holds again if the asset comes
    back, which is then in the same project, because no other project gets its name.

    Raises:
        NotFound: The caller can see no such securable. The error lists the most similar assets.
        InvalidPayload: The kind does not exist.
    """
    if id == PLATFORM:
        return ROOT
    if kind and kind != PLATFORM:
        lookup.require_known(kind, unit.platform.part(Kinds), "kind", "/securable_kind")
    row = store.find_any(unit.connection, id)
    if row is not None and row.deleted_at is None and unit.allows(f"{row.kind}.get", row.securable, row):
        return row.securable
    noun = unit.platform.part(Kinds).get(kind or (ASSET if is_asset_id(id) else ""))
    if row is None and noun and noun.locate:
        # Callers that can't see it get the same response as if it did not exist.
        noun.locate.require(unit.platform, unit.principal.access, id)
        if not _exists(unit, id):
            raise lookup.unknown_asset(
                visible_graph(unit.platform, unit.principal.access, unit.platform.orchestrator.view()), id
            )
        return noun.locate.securable(unit.platform, id)
    fault = {"pointer": "/securable_id", "detail": "names no resource that you can see"}
    raise NotFound(f"There is no resource {id!r} on which rights can be granted.", errors=[fault])


def _exists(unit: Unit, id: str) -> bool:
    """Returns whether an asset exists, or a definition of one that is not produced yet."""
    if not is_asset_id(id) or id in unit.platform.orchestrator.view().nodes:
        return True
    drafted = sa.select(DEFINITION.c.asset_id).where(DEFINITION.c.asset_id == id)
    return unit.connection.execute(drafted).first() is not None


def place_of_row(row: Any) -> Securable:
    """Returns the securable of a stored grant."""
    return Securable(row.securable_kind, row.securable_id, row.organization_id, row.project_id)


def covered_by_patterns(patterns: list[str]) -> Callable[[str], bool]:
    """Returns a predicate: whether one of the patterns includes a permission."""
    return lambda permission: any(pattern_matches(pattern, permission) for pattern in patterns)


def covered(unit: Unit, patterns: list[str]) -> list[str]:
    """Returns the existing permissions that one of the patterns includes."""
    covers = covered_by_patterns(patterns)
    return [name for name in unit.platform.permissions if covers(name)]


def role_rules(unit: Unit, role_id: str, place: Securable) -> list[Rule]:
    """Returns the rules of a role on a place.

    Raises:
        InvalidPayload: The role does not exist, or belongs to another organization than the place.
    """
    values = ("", "", role_id, None, Effect.ALLOW.value, place.id, place.kind)
    row = GrantRow(*values, place.organization_id, place.project_id, "", None, unit.now, "")
    return rules_of(unit, row)


def rules_of(unit: Unit, grant: GrantRow) -> list[Rule]:
    """Returns the rules of a grant that is not stored yet.

    Raises:
        InvalidPayload: Its role does not exist, or belongs to another organization than the place.
    """
    name, spec = grant.role_id or "", None
    if grant.role_id is not None and grant.role_id not in BUILT_IN:
        role = store.find(unit.connection, "admin.role", grant.role_id, within=None)
        if role is None or role.deleted_at or not unit.allows("admin.role.get", role.securable, role):
            raise _fault("/role_id", f"there is no role {grant.role_id!r}")
        if role.organization_id not in (None, grant.organization_id):
            raise _fault("/role_id", f"the role {role.name} belongs to another organization")
        name, spec = role.name, role.spec
    stored = {column: getattr(grant, column) for column in GrantRow.__slots__}
    return list(grants.rules_of(SimpleNamespace(**stored, role_name=name, role_spec=spec)))


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{detail[0].upper()}{detail[1:]}.", errors=[{"pointer": pointer, "detail": detail}])
