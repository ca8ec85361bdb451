"""The chain of hashes through all audit events, and whether it holds."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.admin.kinds.audit import AUDIT_EVENT
from core import events
from core.events import EVENT


class VerifyEvents(Request):
    """Which part of the chain to verify."""

    after: Annotated[int, Field(ge=0)] = 0
    """Begin behind the event with this sequence, whose hash is trusted; 0 for the whole chain."""

    until: Annotated[int, Field(ge=1)] | None = None
    """Sequence of the last event to look at; the newest by default."""


class ChainState(Model):
    """Whether the chain of hashes holds."""

    holds: bool
    """Whether every event is as it was written."""

    sequence: int
    """Sequence of the newest event, or of the first one where the chain does not hold."""

    hash: str | None
    """Hash of the newest event: kept elsewhere, it proves later that nothing was rewritten. Null if it is broken."""

    detail: str
    """What was found, for people."""


@AUDIT_EVENT.collection_action("verify", request=VerifyEvents, result=ChainState, reads=True, role=Role.ADMIN)
async def verify_audit_events(ctx: Context, request: VerifyEvents) -> ChainState:
    """Recomputes the chain of hashes and tells the first event that was altered, inserted, moved or removed.

    Needs the permission on the platform: the chain runs through all organizations.
    """

    def work(unit: Unit) -> ChainState:
        unit.require(AUDIT_EVENT.permission("verify"))
        found = events.verify(unit.connection, after=request.after, until=request.until)
        if found is not None:
            return ChainState(holds=False, sequence=found.sequence, hash=None, detail=found.detail)
        sequence, hash = events.head(unit.connection)
        if request.until is not None and request.until < sequence:
            end = EVENT.c.sequence == request.until
            sequence, hash = request.until, unit.connection.execute(sa.select(EVENT.c.hash).where(end)).scalar_one()
        detail = f"Every event from {request.after + 1} to {sequence} is as it was written."
        return ChainState(holds=True, sequence=sequence, hash=hash, detail=detail)

    return await ctx.read(work)
