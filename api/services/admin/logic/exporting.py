"""Everything in an organization as lines, page by page, so that a large one needs no large memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, MEMBER, RESOURCE

_PAGE = 500


async def contents(ctx: Context, organization_id: str) -> AsyncGenerator[bytes, None]:
    """The lines: things by id, then grants, then memberships; of each, what the caller may see."""
    for read in (_resources, _grants, _members):
        after = ""
        while True:
            lines, after = await ctx.read(_page(read, organization_id, after))
            if lines:
                yield b"".join(lines)
            if len(lines) < _PAGE:
                break


Read = Callable[[Unit, str, str], tuple[list[bytes], str]]


def _page(read: Read, organization_id: str, after: str) -> Callable[[Unit], tuple[list[bytes], str]]:
    return lambda unit: read(unit, organization_id, after)


def _resources(unit: Unit, organization_id: str, after: str) -> tuple[list[bytes], str]:
    """Things of every kind; a kind that the caller may not read is left out as a whole."""
    readable = [
        sa.and_(RESOURCE.c.kind == kind, unit.principal.access.where(f"{kind}.get"))
        for kind in unit.platform.kinds
        if unit.principal.access.anywhere(f"{kind}.get")
    ]
    select = (
        sa.select(*store.COLUMNS)
        .where(RESOURCE.c.organization_id == organization_id, RESOURCE.c.deleted_at.is_(None))
        .where(sa.or_(sa.false(), *readable), RESOURCE.c.id > after)
        .order_by(RESOURCE.c.id)
        .limit(_PAGE)
    )
    rows = [_current(unit, store.stored(row)) for row in unit.connection.execute(select)]
    return [_line("resource", row.document()) for row in rows], rows[-1].id if rows else after


def _current(unit: Unit, row: Stored) -> Stored:
    kind = unit.platform.kinds[row.kind]
    return kind.current(row) if isinstance(kind, ResourceKind) else row


def _grants(unit: Unit, organization_id: str, after: str) -> tuple[list[bytes], str]:
    seen = unit.principal.access.where("admin.grant.get", GRANT, id=GRANT.c.securable_id)
    select = sa.select(GRANT).where(GRANT.c.organization_id == organization_id, GRANT.c.id > after, seen)
    rows = unit.connection.execute(select.order_by(GRANT.c.id).limit(_PAGE)).all()
    return [_line("grant", dict(row._mapping)) for row in rows], rows[-1].id if rows else after


def _members(unit: Unit, organization_id: str, after: str) -> tuple[list[bytes], str]:
    key = MEMBER.c.group_id + "/" + MEMBER.c.member_id
    select = (
        sa.select(MEMBER, key.label("key"))
        .join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
        .where(RESOURCE.c.organization_id == organization_id, RESOURCE.c.deleted_at.is_(None), key > after)
        .where(unit.principal.access.where("admin.group.get"))
    )
    rows = unit.connection.execute(select.order_by(key).limit(_PAGE)).all()
    kept = [{name: value for name, value in row._mapping.items() if name != "key"} for row in rows]
    return [_line("member", row) for row in kept], rows[-1].key if rows else after


def _line(what: str, document: Any) -> bytes:
    return msgspec.json.encode({what: document}) + b"\n"
