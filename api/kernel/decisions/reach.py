"""How far rights reach: who may do something to one thing, and what one principal may do something to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from api.kernel.decisions.decider import ASK, Decider, Place, speaking
from api.kernel.decisions.rights import Rights
from api.kernel.permissions.access import OVERSEE, Access
from api.kernel.permissions.graph import AssetLocator
from api.kernel.platform import Platform
from api.kernel.securable import ROOT
from api.kernel.tables import RESOURCE
from core.errors import InvalidPayload


@dataclass(frozen=True, slots=True)
class Found:
    """Something that a principal may do something to."""

    id: str
    kind: str
    name: str


def subjects(platform: Platform, rights: Rights, permission: str, place: Place) -> list[str]:
    """Ids of all users and service accounts that may do this there, in order; denials win, as always."""
    found = _allowed(platform, rights, permission, place)
    if place.securable.of_all:
        found &= _allowed(platform, rights, OVERSEE, Place(ROOT))
    return sorted(rights.working(found))


def _allowed(platform: Platform, rights: Rights, permission: str, place: Place) -> set[str]:
    found = [
        rule
        for rule in speaking(rights.on(place.securable.chain), permission, platform.permissions)
        if rule.holds(place.item, rights.moment)
    ]
    allowed = rights.expanded({rule.subject_id for rule in found if not rule.denies})
    refused = rights.expanded({rule.subject_id for rule in found if rule.denies})
    return allowed - refused


def objects(
    decider: Decider, principal_id: str, permission: str, kind: str, *, after: str = "", limit: int = 50
) -> Sequence[Found]:
    """What of a kind a principal may do this to, by id, from behind `after` on; `limit` at most.

    Of others, it is listed only as far as the asker may see it and may ask about it.

    Raises:
        InvalidPayload: things of this kind cannot be listed.
    """
    if not decider.active(principal_id):
        return []
    accesses = [(decider.access(principal_id), permission), (decider.asker.access, f"{kind}.get")]
    if principal_id != decider.asker.id:
        accesses.append((decider.asker.access, f"{ASK}.list_objects"))
    declared = decider.platform.kinds.get(kind)
    if declared is not None and isinstance(declared.locate, AssetLocator):
        return _assets(decider.platform, declared.locate, kind, accesses, after)[:limit]
    if declared is None or not hasattr(declared, "listing"):
        fault = {"pointer": "/kind", "detail": "is no kind whose things can be listed"}
        raise InvalidPayload(f"{kind!r} is no kind whose things can be listed.", errors=[fault])
    select = (
        sa.select(RESOURCE.c.id, RESOURCE.c.kind, RESOURCE.c.name)
        .where(RESOURCE.c.kind == kind, RESOURCE.c.deleted_at.is_(None), RESOURCE.c.id > after)
        .where(*(access.where(name) for access, name in accesses))
        .order_by(RESOURCE.c.id)
        .limit(limit)
    )
    return [Found(*row) for row in decider.connection.execute(select)]


def _assets(
    platform: Platform, locator: AssetLocator, kind: str, accesses: Sequence[tuple[Access, str]], after: str
) -> list[Found]:
    ids = sorted(id for id in locator.nodes(platform.orchestrator.view()) if id > after)
    places = ((id, locator.place(platform, id)) for id in ids)
    return [Found(id, kind, id) for id, place in places if all(access.allows(name, place) for access, name in accesses)]
