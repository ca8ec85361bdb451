"""Names of resources, for answers that refer to them by id."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.storage import store
from api.kernel.tables import RESOURCE


def names_of(unit: Unit, ids: Iterable[str | None]) -> dict[str, str]:
    """Returns the names of those resources that the caller can see, by id."""
    rows = unit.connection.execute(sa.select(*store.COLUMNS).where(RESOURCE.c.id.in_({id for id in ids if id})))
    found = (store.stored(row) for row in rows)
    return {row.id: row.name for row in found if unit.allows(f"{row.kind}.get", row.securable, row)}
