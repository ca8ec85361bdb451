"""Groups that rely on a contract, as the caller may see them."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from api.kernel.kinds import escalation
from api.kernel.kinds.holders import visible_holders
from api.kernel.kinds.unit import Unit
from api.kernel.tables import RESOURCE

_GROUP = "admin.group"


def team_rows(unit: Unit, ids: Collection[str], organization_id: str | None) -> set[str]:
    """Returns which ids are groups of an organization that exist. A group that was deleted can't consent."""
    if not ids:
        return set()
    live = RESOURCE.c.kind == _GROUP, RESOURCE.c.deleted_at.is_(None), RESOURCE.c.organization_id == organization_id
    return set(unit.connection.execute(sa.select(RESOURCE.c.id).where(RESOURCE.c.id.in_(ids), *live)).scalars())


def visible_teams(unit: Unit, ids: Collection[str]) -> set[str]:
    """Returns which groups the caller is a member of, also indirectly, or can see."""
    own = set(ids) & unit.principal.access.reader.subjects
    rest = sa.select(RESOURCE.c.id).where(RESOURCE.c.id.in_(set(ids) - own), RESOURCE.c.kind == _GROUP)
    return own | set(unit.connection.execute(rest.where(visible_holders(unit))).scalars())


def is_member(unit: Unit, group: str) -> bool:
    """Returns whether the caller is a member of a group, also of a group in it."""
    return group in escalation.rights_of_caller(unit).reader.subjects
