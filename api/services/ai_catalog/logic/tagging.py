"""Targets of tags: the assets, registered models, and feature views that a caller may tag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds import escalation
from api.kernel.kinds.refusals import denied
from api.kernel.kinds.resource import Resource
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.unit import Unit
from api.kernel.lookup import similar_names, suggestion
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import Platform, open_tables
from api.kernel.securable import Securable
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.kinds.feature_view import FEATURE_VIEW
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL
from api.services.ai_catalog.kinds.tag import Tag
from api.services.ai_catalog.logic.lineage_rows import chunks
from api.services.ai_catalog.logic.readable_tables import require_rows
from api.services.ai_catalog.logic.visible_names import visible_names
from api.services.ai_catalog.tag_tables import TAG_ASSIGNMENT as TABLE
from core.errors import Conflict, ExceedsRights, InvalidPayload, UnknownColumn, UnknownTable
from core.ids import is_asset_id, new_id

_MAX_PLACES = 10_000

_STORED: dict[str, StoredKind[Any]] = {kind.prefix: kind for kind in (REGISTERED_MODEL, FEATURE_VIEW)}
"""Kinds of targets besides assets, by the prefix of their ids."""

Place = tuple[str, str]
"""A target, and a column of it or an empty text."""

Statement = Callable[
    [Unit, Tag, Sequence[Place], Mapping[str, Securable], Mapping[str, str]],
    list[Place],
]
"""`begin` or `end`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target and the columns that a request names."""

    id: str
    columns: Sequence[str]


def places(targets: Iterable[Target]) -> list[Place]:
    """Returns what a request names, each once.

    Raises:
        InvalidPayload: it names too much.
    """
    named = list(dict.fromkeys((one.id, column) for one in targets for column in (one.columns or [""])))
    if len(named) > _MAX_PLACES:
        fault = {"pointer": "/targets", "detail": f"names more than {_MAX_PLACES:,} items and columns"}
        raise InvalidPayload(f"A request changes at most {_MAX_PLACES:,} items and columns.", errors=[fault])
    return named


def require_columns(platform: Platform, named: Iterable[Place]) -> None:
    """Requires that the newest versions of the assets have the columns. Call it in a worker thread.

    An asset without a version can have any columns later.

    Raises:
        UnknownColumn: an asset has no such column. The error names similar ones.
    """
    known: dict[str, list[str]] = {}
    for id, column in named:
        if not column or not is_asset_id(id):
            continue
        if id not in known:
            try:
                known[id] = list(platform.part(open_tables).snapshot(id).schema.names)
            except UnknownTable:
                known[id] = []
        if known[id] and column not in known[id]:
            similar = similar_names(column, known[id])
            raise UnknownColumn(f"{id} has no column {column!r}. {suggestion(similar)}", metadata={"similar": similar})


def require_targets(
    unit: Unit, assigned: Resource[Any, Any], targets: Sequence[Target], permission: str
) -> dict[str, Securable]:
    """Returns the scopes of targets in the organization of a tag or a term on which the caller holds a permission.

    Raises:
        InvalidPayload: a target isn't there for the caller, belongs to another organization, or has no columns.
        Conflict: a target belongs to no registered project.
        PermissionDenied: the caller can see a target and lacks the permission on it.
    """
    nodes = unit.platform.orchestrator.view().nodes
    found: dict[str, Securable] = {}
    for number, target in enumerate(targets):
        pointer = f"/targets/{number}/id"
        place, item = _place(unit, target.id, nodes, pointer)
        if place.organization_id != assigned.organization_id:
            raise _unknown(target.id, pointer)
        if not unit.allows(permission, place, item):
            raise denied(permission)
        if place.project_id is None:
            raise Conflict(f"{target.id} belongs to no registered project, so it can't have tags.")
        if target.columns and not is_asset_id(target.id):
            raise InvalidPayload(
                "Only assets have columns.",
                errors=[{"pointer": f"/targets/{number}/columns", "detail": "must be empty"}],
            )
        found[target.id] = place
    return found


def require_assets(targets: Iterable[Target]) -> None:
    """Raises `InvalidPayload` unless all targets are assets, which alone inherit tags."""
    for number, target in enumerate(targets):
        if not is_asset_id(target.id):
            fault = {"pointer": f"/targets/{number}/id", "detail": "is the id of no asset"}
            raise InvalidPayload("Only assets inherit tags.", errors=[fault])


def require_readable(unit: Unit, tag: Tag, targets: Iterable[Target]) -> None:
    """Requires that the caller can read the rows of all assets, because less may be withheld from readers afterwards.

    Raises:
        PermissionDenied: the caller can't.
        ExceedsRights: a policy masks columns that have the tag from the caller, perhaps in assets that inherit it.
    """
    for policy in escalation.rights_of_caller(unit).reader.policies:
        names = {mask["tag"].partition(":")[0] for mask in policy.masks}
        if policy.organization_id == tag.organization_id and tag.name in names:
            raise ExceedsRights(f"A policy masks columns with the tag {tag.name} for you. Ask a user whom it exempts.")
    for one in targets:
        if is_asset_id(one.id):
            require_rows(unit, one.id)


def begin(
    unit: Unit, tag: Tag, named: Sequence[Place], scopes: Mapping[str, Securable], statement: Mapping[str, str]
) -> list[Place]:
    """Stores a statement about places, and returns those for which it did not hold before.

    The row of the tag is locked, so that two requests that state the same at the same time store it once.
    """
    stated = _live(unit, tag, named, statement)
    new = [one for one in named if one not in stated]
    rows = [
        {
            "id": new_id("tga"),
            "organization_id": scopes[id].organization_id,
            "project_id": scopes[id].project_id,
            "target": id,
            "column_name": column,
            "tag_id": tag.id,
            "tag": tag.name,
            "assigned_at": unit.now,
            "assigned_by": unit.principal.name,
            **statement,
        }
        for id, column in new
    ]
    if rows:
        unit.connection.execute(TABLE.insert(), rows)
    return new


def end(
    unit: Unit, tag: Tag, named: Sequence[Place], scopes: Mapping[str, Securable], statement: Mapping[str, str]
) -> list[Place]:
    """Ends a statement about places, and returns those for which it held. The rows stay as history."""
    stated = _live(unit, tag, named, statement)
    ended = {"ended_at": unit.now, "ended_by": unit.principal.name}
    for some in chunks(sorted(stated.values())):
        unit.connection.execute(TABLE.update().where(TABLE.c.id.in_(some)).values(ended))
    return [one for one in named if one in stated]


def visible_items(unit: Unit, targets: Iterable[str]) -> set[str]:
    """Returns the targets that the caller can see."""
    access = unit.principal.access
    others = {id for id in targets if not is_asset_id(id)}
    found = visible_names(unit.platform, access, targets)
    for kind in _STORED.values():
        for some in chunks(sorted(others)):
            items = sa.select(RESOURCE.c.id).where(RESOURCE.c.id.in_(some), RESOURCE.c.deleted_at.is_(None))
            seen = access.where(kind.permission("get"), RESOURCE)
            found |= set(unit.connection.execute(items.where(RESOURCE.c.kind == kind.full_name, seen)).scalars())
    return found


def _live(unit: Unit, tag: Tag, named: Sequence[Place], statement: Mapping[str, str]) -> dict[Place, str]:
    """Returns the ids of the rows that state this about these places."""
    wanted = set(named)
    same = [TABLE.c[name] == statement[name] for name in ("origin", "value")]
    live = sa.select(TABLE.c.id, TABLE.c.target, TABLE.c.column_name).where(
        TABLE.c.tag_id == tag.id, TABLE.c.ended_at.is_(None), *same
    )
    found = {}
    for some in chunks(sorted({id for id, _ in wanted})):
        for id, target, column in unit.connection.execute(live.where(TABLE.c.target.in_(some))):
            if (target, column) in wanted:
                found[target, column] = id
    return found


def _place(unit: Unit, id: str, nodes: Any, pointer: str) -> tuple[Securable, Any]:
    if is_asset_id(id):
        place = asset_securable(unit.platform, id)
        if id in nodes and unit.allows(READ_ASSET, place):
            return place, None
    elif kind := _STORED.get(id.partition("_")[0]):
        row = unit.find(kind, id)
        if row is not None and not row.deleted_at and unit.allows(kind.permission("get"), row.securable, row):
            return row.securable, row
    raise _unknown(id, pointer)


def _unknown(id: str, pointer: str) -> InvalidPayload:
    fault = {"pointer": pointer, "detail": "is the id of no asset, registered model, or feature view that you may see"}
    return InvalidPayload(f"There is no asset, registered model, or feature view {id!r}.", errors=[fault])
