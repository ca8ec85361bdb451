"""The moves of the aliases of a registered model, from its revisions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import REVISION


@dataclass(frozen=True, slots=True)
class AliasMove:
    """A move of an alias to a version, or its removal."""

    version: int | None
    """Number of the version. None if the alias was removed."""
    at: datetime
    by: str


def alias_moves(connection: Connection, model: str, alias: str, until: datetime) -> list[AliasMove]:
    """Returns the moves of an alias of a registered model until a time, first to last."""
    revisions = connection.execute(
        sa.select(REVISION.c.at, REVISION.c.by, REVISION.c.content)
        .where(REVISION.c.resource_id == model, REVISION.c.at <= until)
        .order_by(REVISION.c.version)
    )
    moves: list[AliasMove] = []
    for revision in revisions:
        number = (revision.content.get("status") or {}).get("aliases", {}).get(alias)
        if number != (moves[-1].version if moves else None):
            moves.append(AliasMove(number, revision.at, revision.by))
    return moves
