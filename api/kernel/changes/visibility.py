"""Which changed items a caller can see now. The predicates are those of the lists."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from api.kernel.changes.feed import Changed
from api.kernel.kinds import standard
from api.kernel.kinds.noun import Kinds, Noun
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.table_kind import TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.operations.kind import OPERATION_KIND, visible_operations
from api.kernel.tables import OPERATION, RESOURCE
from core.errors import HeadwaterError

_CHUNK = 500


def visible(unit: Unit, changes: Iterable[Changed]) -> list[Changed]:
    """Returns the last change of each item that the caller can see, in their order.

    Kinds whose items no query finds are left out: nothing could decide who sees them.
    """
    latest = {(change.kind, change.id): change for change in sorted(changes, key=lambda change: change.number)}
    by_kind: dict[str, list[Changed]] = {}
    for change in latest.values():
        by_kind.setdefault(change.kind, []).append(change)
    kinds = unit.platform.part(Kinds)
    found: list[Changed] = []
    for name, of_kind in by_kind.items():
        if (noun := kinds.get(name)) is not None:
            for start in range(0, len(of_kind), _CHUNK):
                found += _of_kind(unit, noun, of_kind[start : start + _CHUNK])
    return sorted(found, key=lambda change: change.number)


def _of_kind(unit: Unit, noun: Noun, changes: list[Changed]) -> list[Changed]:
    ids = [change.id for change in changes]
    if isinstance(noun, StoredKind):
        rows = standard.visible(unit, noun, deleted=True).where(RESOURCE.c.id.in_(ids)).subquery()
        return _in_place(unit, sa.select(rows.c.id, rows.c.organization_id), changes)
    if isinstance(noun, TableKind):
        columns = noun.table.c
        select = sa.select(columns.id, columns.organization_id).where(columns.id.in_(ids), noun.visible(unit))
        return _in_place(unit, select, changes)
    if noun is OPERATION_KIND:
        select = sa.select(OPERATION.c.id, OPERATION.c.organization_id)
        return _in_place(unit, select.where(OPERATION.c.id.in_(ids), visible_operations(unit)), changes)
    return [change for change in changes if _located(unit, noun, change.id)]


def _in_place(unit: Unit, select: sa.Select[tuple[str, str]], changes: list[Changed]) -> list[Changed]:
    """Returns the changes of selected rows that still are in the organization in which they changed."""
    places = {row.id: row.organization_id for row in unit.connection.execute(select)}
    return [change for change in changes if change.id in places and places[change.id] == change.organization_id]


def _located(unit: Unit, noun: Noun, id: str) -> bool:
    if noun.locate is None:
        return False
    access = unit.principal.access
    if not access.allows(noun.permission("get"), noun.locate.securable(unit.platform, id)):
        return False
    try:
        noun.locate.require(unit.platform, access, id)
    except HeadwaterError:
        return False
    return True
