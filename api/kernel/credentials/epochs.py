"""The authentication epoch: a counter in the database that makes every process clear its cache of credentials."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import AUTH_EPOCH
from core.db import Prepared, insert

_ROW = 1
_NEXT = Prepared(
    AUTH_EPOCH.update()
    .where(AUTH_EPOCH.c.id == sa.literal_column(str(_ROW)))
    .values(value=AUTH_EPOCH.c.value + sa.literal_column("1"))
)


def current(connection: Connection) -> int:
    """Returns the current epoch. It is 0 before the first revocation."""
    return connection.execute(sa.select(AUTH_EPOCH.c.value).where(AUTH_EPOCH.c.id == _ROW)).scalar_one_or_none() or 0


def bump(connection: Connection) -> None:
    """Starts a new epoch. Call it in the transaction of the revocation."""
    if _NEXT.run(connection, [{}]) == 0:
        first = insert(connection, AUTH_EPOCH).values(id=_ROW, value=1)
        connection.execute(first.on_conflict_do_update(index_elements=["id"], set_={"value": AUTH_EPOCH.c.value + 1}))
