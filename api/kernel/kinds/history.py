"""The history of resources: the revision that each change left."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from api.kernel.kinds.encoded import Encoded
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.resource import Revision
from api.kernel.kinds.standard import Method
from api.kernel.kinds.unit import Unit
from api.kernel.models import ListQuery, Page
from api.kernel.storage import store
from api.kernel.storage.listing import SqlListing
from api.kernel.storage.store import Stored
from api.kernel.tables import REVISION
from core.errors import NotFound

if TYPE_CHECKING:
    from api.kernel.kinds.resource_kind import ResourceKind


class RevisionsQuery(ListQuery):
    """Which revisions to list."""


def declare(kind: ResourceKind[Any]) -> None:
    """Hangs the two methods on a kind that has them."""
    if Method.HISTORY not in kind.methods:
        return
    one = f"{'an' if kind.title[0] in 'AEIO' else 'a'} {kind.title.lower()}"
    how: dict[str, Any] = {"right": "history", "reads": True, "role": kind.readers}
    kind.hang_unit(
        *(Shape.PART, "revisions", lambda unit, id, query: revisions(unit, kind, id, query)),
        f"Lists the changes of {one}, newest first, each with the fields that changed.",
        query=RevisionsQuery,
        result=Page[Revision],
        **how,
    )
    kind.hang_unit(
        *(Shape.PART_ITEM, "revisions", lambda unit, id, part: revision(unit, kind, id, part)),
        f"Returns {one} as it was after one of its changes.",
        result=kind.model,
        **how,
    )


def revisions(unit: Unit, kind: ResourceKind[Any], id: str, query: RevisionsQuery) -> Page[Revision]:
    """The history of a resource, newest first. What was deleted still has one."""
    row = _even_deleted(unit, kind, id)
    select = sa.select(REVISION, sa.cast(REVISION.c.version, sa.String).label("id"))
    rows, token = _REVISIONS.rows(unit.connection, select.where(REVISION.c.resource_id == row.id), query)
    return Page[Revision](items=[_revision(found) for found in rows], next_page_token=token)


def revision(unit: Unit, kind: ResourceKind[Any], id: str, part: str) -> Encoded:
    """A resource as it was after one of its changes."""
    row = _even_deleted(unit, kind, id)
    found = None
    if part.isascii() and part.isdigit() and len(part) < 10:
        ours = sa.and_(REVISION.c.resource_id == row.id, REVISION.c.version == int(part))
        found = unit.connection.execute(sa.select(REVISION).where(ours)).first()
    if found is None:
        raise NotFound(f"{kind.title} {id!r} has no revision {part!r}; its last one is {row.version}.")
    content: dict[str, Any] = dict(found.content)
    content |= {name: json.dumps(content[name]) for name in ("labels", "spec", "status")}
    content["deleted_at"] = None if content["deleted_at"] is None else found.at
    # A revision does not say in which shape it was written.
    content["shape"] = ""
    then = kind.current(replace(row, version=found.version, updated_at=found.at, updated_by=found.by, **content))
    return Encoded(then.encode(), then.etag)


def _even_deleted(unit: Unit, kind: ResourceKind[Any], id: str) -> Stored:
    row = store.find(unit.connection, kind.full_name, id, named=kind.named)
    if row is None or not unit.allows(kind.permission("get"), row.securable, row):
        raise kind.unknown(id)
    unit.require(kind.permission("history"), row.securable, row)
    return row


def _revision(row: Any) -> Revision:
    return Revision(
        version=row.version, at=row.at, by=row.by, action=row.action, changes=row.changes, request_id=row.request_id
    )


_REVISIONS = SqlListing(
    id=REVISION.c.version,
    fields={"action": REVISION.c.action, "by": REVISION.c.by},
    newest_first=True,
)
