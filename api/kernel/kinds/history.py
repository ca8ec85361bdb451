"""The history of resources: the revision that each change leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.encoded import Encoded
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.resource import Revision
from api.kernel.kinds.rules import RuledKind
from api.kernel.kinds.stored_kind import Method, StoredKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Page
from api.kernel.storage.listing import SqlListing
from api.kernel.storage.store import Stored
from api.kernel.tables import REVISION
from core.errors import NotFound


class RevisionsQuery(ListQuery):
    """Which revisions to list."""


def declare(kind: RuledKind[Any]) -> None:
    """Registers the two operations of a kind that has a history."""
    if Method.HISTORY not in kind.methods:
        return
    options: dict[str, Any] = {"declared": kind.model, "right": "history", "reads": True, "role": kind.readers}
    kind.register_unit(
        Shape.PART,
        "revisions",
        lambda unit, id, query: revisions(unit, kind, id, query),
        text=f"Lists the changes of {kind.with_article}, newest first, each with the fields that changed.",
        query=RevisionsQuery,
        result=Page[Revision],
        **options,
    )
    kind.register_unit(
        Shape.PART_ITEM,
        "revisions",
        lambda unit, id, part: revision(unit, kind, id, part),
        text=f"Returns {kind.with_article} as it was after one of its changes.",
        result=kind.model,
        **options,
    )


def revisions(unit: Unit, kind: StoredKind[Any], id: str, query: RevisionsQuery) -> Page[Revision]:
    """Returns a page of the revisions of a resource, newest first. Deleted resources have them, too."""
    row = _even_deleted(unit, kind, id)
    select = sa.select(REVISION, sa.cast(REVISION.c.version, sa.String).label("id"))
    rows, token = _REVISIONS.rows(unit.connection, select.where(*_of_tenant(row)), query)
    return Page[Revision](items=[_revision(found) for found in rows], next_page_token=token)


def revision(unit: Unit, kind: StoredKind[Any], id: str, part: str) -> Encoded:
    """Returns a resource as it was after one of its changes."""
    row = _even_deleted(unit, kind, id)
    found = None
    if part.isascii() and part.isdigit() and len(part) < 10:
        this_version = sa.and_(*_of_tenant(row), REVISION.c.version == int(part))
        found = unit.connection.execute(sa.select(REVISION).where(this_version)).first()
    if found is None:
        raise NotFound(f"{kind.title} {id!r} has no revision {part!r}; its last one is {row.version}.")
    content: dict[str, Any] = dict(found.content)
    content |= {name: json.dumps(content[name]) for name in ("labels", "spec", "status")}
    content["deleted_at"] = None if content["deleted_at"] is None else found.at
    # Revisions do not record the shape they were written in.
    content |= {"shape": "", "generation": _generation(unit, row.id, found.version)}
    then = kind.current(replace(row, version=found.version, updated_at=found.at, updated_by=found.by, **content))
    return Encoded(then.encode(), then.etag)


def _generation(unit: Unit, id: str, version: int) -> int:
    """Returns the generation of a version: one more than the number of changes of the spec until then."""
    later = REVISION.c.version.between(2, version)
    changes = unit.connection.execute(sa.select(REVISION.c.changes).where(REVISION.c.resource_id == id, later))
    return 1 + sum(any(change["pointer"].startswith("/spec") for change in row) for row in changes.scalars())


def _even_deleted(unit: Unit, kind: StoredKind[Any], id: str) -> Stored:
    row = unit.find(kind, id)
    if row is None or not unit.allows(kind.permission("get"), row.securable, row):
        raise kind.unknown(id)
    unit.require(kind.permission("history"), row.securable, row)
    return row


def _of_tenant(row: Stored) -> tuple[sa.ColumnElement[bool], ...]:
    """The revisions made in the organization that the resource belongs to now. Others belong to another tenant."""
    home = REVISION.c.content["organization_id"].as_string()
    return REVISION.c.resource_id == row.id, home.is_not_distinct_from(row.organization_id)


def _revision(row: Any) -> Revision:
    return Revision(
        version=row.version, at=row.at, by=row.by, action=row.action, changes=row.changes, request_id=row.request_id
    )


_REVISIONS = SqlListing(
    id=REVISION.c.version,
    fields={"action": REVISION.c.action, "by": REVISION.c.by},
    newest_first=True,
)
