"""The reach of permissions: the principals that hold one on a securable, and the objects on which one holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from api.kernel.decisions.decider import DECISION, Decider, Target, condition_item, item_permissions, matching_rules
from api.kernel.decisions.rights import Rights
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.permissions.access import READ_AUDIT_LOG, Access
from api.kernel.permissions.graph import AssetLocator
from api.kernel.platform import Platform
from api.kernel.securable import ROOT
from api.kernel.tables import RESOURCE
from core.errors import InvalidPayload


@dataclass(frozen=True, slots=True)
class Object:
    """An object on which a principal holds a permission."""

    id: str
    kind: str
    name: str


def subjects(decider: Decider, permission: str, target: Target) -> list[str]:
    """Returns the ids of users and service accounts that hold a permission on a target and that the caller can see."""
    ids = _allowed(decider.platform, decider.rights, permission, target)
    if target.securable.cross_tenant:
        ids &= _allowed(decider.platform, decider.rights, READ_AUDIT_LOG, Target(ROOT))
    if required := decider.visibility_permission(permission, target):
        ids &= _allowed(decider.platform, decider.rights, required, target)
    return decider.visible(sorted(decider.rights.active(ids)))


def _allowed(platform: Platform, rights: Rights, permission: str, target: Target) -> frozenset[str]:
    item = condition_item(platform, permission, target)
    rules = [
        rule
        for rule in matching_rules(rights.rules_on(target.securable.chain), permission, platform.permissions)
        if rule.holds(item, rights.moment)
    ]
    allowed = rights.with_members({rule.subject_id for rule in rules if not rule.denies})
    denied = rights.with_members({rule.subject_id for rule in rules if rule.denies})
    return allowed - denied


def objects(
    decider: Decider, principal_id: str, permission: str, kind: str, *, after: str = "", limit: int = 50
) -> Sequence[Object]:
    """Returns the objects of a kind on which a principal holds a permission, ordered by id.

    Only objects that the caller can see are included. For other principals, the caller must also hold the permission to
    ask about them.

    Args:
        decider: the decider of the caller.
        principal_id: id of the principal.
        permission: the permission.
        kind: full name of the kind.
        after: id after which the objects start.
        limit: maximum number of objects.

    Raises:
        InvalidPayload: objects of this kind cannot be listed.
    """
    if not decider.active(principal_id):
        return []
    access, caller, get = decider.access(principal_id), decider.caller.access, f"{kind}.get"
    # Without the permission to see an object, other permissions have no effect.
    accesses = [(access, permission), (access, get), (caller, get)]
    if principal_id != decider.caller.id:
        accesses.append((caller, f"{DECISION}.list_objects"))
    declared = decider.platform.part(Kinds).get(kind)
    if declared is not None and isinstance(declared.locate, AssetLocator):
        return _assets(decider.platform, declared.locate, kind, accesses, after)[:limit]
    if not isinstance(declared, StoredKind):
        fault = {"pointer": "/kind", "detail": "is not a kind whose objects can be listed"}
        raise InvalidPayload(f"{kind!r} is not a kind whose objects can be listed.", errors=[fault])
    # As in `condition_item`.
    conditions = permission.startswith(f"{kind}.") and permission in decider.platform.part(item_permissions)
    select = (
        sa.select(RESOURCE.c.id, RESOURCE.c.kind, RESOURCE.c.name)
        .where(RESOURCE.c.kind == kind, RESOURCE.c.deleted_at.is_(None), RESOURCE.c.id > after)
        .where(*(access.where(name, conditions=name != permission or conditions) for access, name in accesses))
        .order_by(RESOURCE.c.id)
        .limit(limit)
    )
    return [Object(*row) for row in decider.connection.execute(select)]


def _assets(
    platform: Platform, locator: AssetLocator, kind: str, accesses: Sequence[tuple[Access, str]], after: str
) -> list[Object]:
    ids = sorted(id for id in locator.nodes(platform.orchestrator.view()) if id > after)
    securables = ((id, locator.securable(platform, id)) for id in ids)
    return [
        Object(id, kind, id)
        for id, securable in securables
        if all(access.allows(name, securable) for access, name in accesses)
    ]
