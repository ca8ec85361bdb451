"""Verification of the chain of hashes through all audit events."""

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
    """The part of the chain to verify."""

    after: Annotated[int, Field(ge=0)] = 0
    """Sequence of the event after which verification starts. Its hash is trusted. 0 for the whole chain."""

    until: Annotated[int, Field(ge=1)] | None = None
    """Sequence of the last event to verify. By default the newest."""


class ChainState(Model):
    """Result of a verification."""

    holds: bool
    """Whether all events are as they were written."""

    sequence: int
    """Sequence of the last verified event, or of the first one at which the chain is broken."""

    hash: str | None
    """Hash of the last verified event. Stored elsewhere, it proves later that no event changed. Null if broken."""

    detail: str
    """The result as a sentence."""


@AUDIT_EVENT.collection_action("verify", request=VerifyEvents, result=ChainState, reads=True, role=Role.ADMIN)
async def verify_audit_events(ctx: Context, request: VerifyEvents) -> ChainState:
    """Recomputes the chain of hashes and returns the first event that was changed, inserted, moved, or removed.

    Requires the permission on the platform, because the chain covers all organizations.
    """

    def read(unit: Unit) -> ChainState:
        unit.require(AUDIT_EVENT.permission("verify"))
        fault = events.verify_chain(unit.connection, after=request.after, until=request.until)
        if fault is not None:
            return ChainState(holds=False, sequence=fault.sequence, hash=None, detail=fault.detail)
        sequence, hash = events.head(unit.connection)
        if request.until is not None and request.until < sequence:
            end = EVENT.c.sequence == request.until
            sequence, hash = request.until, unit.connection.execute(sa.select(EVENT.c.hash).where(end)).scalar_one()
        detail = f"Events {request.after + 1} to {sequence} are as they were written."
        return ChainState(holds=True, sequence=sequence, hash=hash, detail=detail)

    return await ctx.read(read)
