"""The past of aliases: which versions they named, and the way back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.services.ai_catalog.kinds.registered_model import (
    REGISTERED_MODEL,
    RegisteredModel,
    move_alias,
    require_version,
)
from api.services.ai_catalog.logic.alias_moves import alias_moves
from api.services.ai_catalog.logic.model_gates import require_gates
from core.errors import Conflict, NotFound

AliasName = Annotated[str, Field(max_length=64)]
"""Name of an alias."""


class AliasHistoryQuery(Query):
    """An alias."""

    alias: AliasName = "champion"
    """Name of the alias."""


class RecordedMove(Model):
    """A move of an alias."""

    version: int | None
    """Number of the version that it named since then. Null if it was removed."""

    at: datetime
    """Time of the move."""

    moved_by: str
    """Name of the principal that moved it."""


class AliasHistory(Model):
    """The moves of an alias."""

    alias: str
    """Name of the alias."""

    moves: list[RecordedMove]
    """Moves, last to first. At most the last 1,000."""


class Rollback(Request):
    """An alias to move back."""

    alias: AliasName = "champion"
    """Name of the alias."""


@REGISTERED_MODEL.view("alias-history", query=AliasHistoryQuery, result=AliasHistory)
def get_registered_model_alias_history(unit: Unit, model: RegisteredModel, query: AliasHistoryQuery) -> AliasHistory:
    """Returns the versions that an alias named, with the time and the principal of each move."""
    moves = alias_moves(unit.connection, model.id, query.alias, unit.now)
    if not moves:
        raise NotFound(f"{model.name} never had an alias {query.alias!r}.")
    recorded = [RecordedMove(version=move.version, at=move.at, moved_by=move.by) for move in reversed(moves[-1000:])]
    return AliasHistory(alias=query.alias, moves=recorded)


@REGISTERED_MODEL.command("rollback", request=Rollback, result=RegisteredModel, past="alias_reverted")
def roll_back_registered_model(unit: Unit, model: RegisteredModel, request: Rollback) -> RegisteredModel:
    """Moves an alias back to the version that it named before. The move stays on record, as any other.

    A version that was deleted since, or fails a gate now, is skipped. A stage that it has lost since is no obstacle.
    """
    current = model.status.aliases.get(request.alias)
    if current is None:
        raise NotFound(f"{model.name} has no alias {request.alias!r}.")
    earlier = [move.version for move in alias_moves(unit.connection, model.id, request.alias, unit.now)]
    for number in dict.fromkeys(number for number in reversed(earlier) if number not in (None, current)):
        assert number is not None
        try:
            require_gates(unit, model.spec.title, require_version(unit, model, number))
        except (Conflict, NotFound):
            continue
        move_alias(unit, model, request.alias, number)
        return model
    raise Conflict(f"There is no earlier version that the alias {request.alias!r} can go back to.")
