"""The users, service accounts, and groups that can own things and hold grants, as the caller may see them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.references import PRINCIPAL_KINDS
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from api.kernel.tables import RESOURCE
from core.errors import InvalidPayload


def holder(unit: Unit, id: str, pointer: str) -> Stored:
    """Returns the user, service account, or group with this id.

    Args:
        unit: the transaction of the request.
        id: the id.
        pointer: JSON pointer of the field that contains it, for the error.

    Raises:
        InvalidPayload: there is none that the caller can see.
    """
    row = store.find_any(unit.connection, id)
    live = row is not None and row.kind in PRINCIPAL_KINDS and row.deleted_at is None
    if row is None or not live or not (id == unit.principal.id or unit.allows(f"{row.kind}.get", row.securable, row)):
        fault = {"pointer": pointer, "detail": "is the id of no user, service account or group that you may see"}
        raise InvalidPayload(f"There is no user, service account or group {id!r}.", errors=[fault])
    return row


def visible_holders(unit: Unit, table: Any = RESOURCE) -> sa.ColumnElement[bool]:
    """Returns the condition on rows of `table` for the users, service accounts, and groups that the caller can see."""
    visible = (
        sa.and_(table.c.kind == kind, unit.principal.access.where(f"{kind}.get", table)) for kind in PRINCIPAL_KINDS
    )
    return sa.or_(table.c.id == unit.principal.id, *visible)
