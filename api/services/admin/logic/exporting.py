"""Contents of an organization as lines, page by page, so that a large one needs little memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from api.kernel.kinds.context import Context
from api.kernel.kinds.holders import visible_holders
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import GRANT, MEMBER, RESOURCE

_PAGE = 500


async def contents(ctx: Context, organization_id: str) -> AsyncGenerator[bytes, None]:
    """Yields the lines: resources by id, then grants, then memberships, as far as the caller can see them."""
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
    """Returns a page of resources. Kinds that the caller can't read at all are left out of the query."""
    readable = [
        sa.and_(RESOURCE.c.kind == kind, unit.principal.access.where(f"{kind}.get"))
        for kind in unit.platform.part(Kinds)
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
    kind = unit.platform.part(Kinds)[row.kind]
    return kind.current(row) if isinstance(kind, StoredKind) else row


def _grants(unit: Unit, organization_id: str, after: str) -> tuple[list[bytes], str]:
    visible = unit.principal.access.where("admin.grant.get", GRANT, id=GRANT.c.securable_id)
    select = sa.select(GRANT).where(GRANT.c.organization_id == organization_id, GRANT.c.id > after, visible)
    rows = unit.connection.execute(select.order_by(GRANT.c.id).limit(_PAGE)).all()
    return [_line("grant", dict(row._mapping)) for row in rows], rows[-1].id if rows else after


def _members(unit: Unit, organization_id: str, after: str) -> tuple[list[bytes], str]:
    key = MEMBER.c.group_id + "/" + MEMBER.c.member_id
    member = RESOURCE.alias("member_of_group")
    select = (
        sa.select(MEMBER, key.label("key"))
        .join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
        .join(member, member.c.id == MEMBER.c.member_id)
        .where(
            visible_holders(unit, member),
            RESOURCE.c.organization_id == organization_id,
            RESOURCE.c.deleted_at.is_(None),
            key > after,
        )
        .where(unit.principal.access.where("admin.group.get"))
    )
    rows = unit.connection.execute(select.order_by(key).limit(_PAGE)).all()
    documents = [{name: value for name, value in row._mapping.items() if name != "key"} for row in rows]
    return [_line("member", document) for document in documents], rows[-1].key if rows else after


def _line(type: str, document: Any) -> bytes:
    return msgspec.json.encode({type: document}) + b"\n"
