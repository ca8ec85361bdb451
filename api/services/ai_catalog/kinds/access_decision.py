"""Decisions on access requests: an owner approves or rejects, and the principal that asked cancels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import accounts
from api.kernel.kinds import escalation
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request, Timestamp
from api.kernel.permissions import grants
from api.kernel.permissions.grants import Effect, GrantRow
from api.kernel.permissions.graph import READ_ASSET, READ_ROWS
from api.kernel.permissions.power import ending
from api.kernel.permissions.principal import PrincipalKind
from api.kernel.securable import Securable
from api.kernel.tables import GRANT, PRINCIPAL
from api.services.ai_catalog.access_tables import ACCESS_REQUEST as TABLE
from api.services.ai_catalog.kinds.access_request import ACCESS_REQUEST, AccessRequest, AccessRequestState, stored
from api.services.ai_catalog.kinds.release import RELEASE, release
from core.errors import Conflict, PermissionDenied
from core.ids import new_id

Comment = Annotated[str, Field(max_length=2000)]
"""Reason, as text."""


class ApproveAccess(Request):
    """An approval."""

    comment: Comment = ""
    """Reason."""

    until: Timestamp | None = None
    """An earlier end than the request asks for. By default that of the request."""


class RejectAccess(Request):
    """A rejection."""

    comment: Annotated[Comment, Field(min_length=1)]
    """Reason, for the principal that asked."""


@ACCESS_REQUEST.command("approve", request=ApproveAccess, result=AccessRequest, past="approved")
def approve_access_request(unit: Unit, access_request: Row, request: ApproveAccess) -> AccessRequest:
    """Approves a request: grants the right to read the asset, or releases the copies, until the time asked for.

    Needs the permission on the asset, and the rights that it gives, for as long. The principal that asked, and service
    accounts, can't approve.
    """
    place = _decidable(unit, access_request, "approve")
    until = min((time for time in (access_request.until, request.until) if time is not None), default=None)
    if until is not None and until <= unit.now:
        raise Conflict("The time until which access was asked for has passed. The principal may ask again.")
    _require_requester(unit, access_request, place)
    given: dict[str, str] = {}
    if access_request.copies is None:
        given["grant_id"] = _grant(unit, access_request.requested_by_id, place, until)
    else:
        with unit.part(RELEASE, "create"):
            reason = f"Access request {access_request.id}: {access_request.purpose}"[:2000]
            given["release_id"] = release(unit, access_request.asset, access_request.copies, reason, until).id
    return _ended(unit, access_request, AccessRequestState.APPROVED, request.comment, **given)


@ACCESS_REQUEST.command("reject", request=RejectAccess, result=AccessRequest, past="rejected")
def reject_access_request(unit: Unit, access_request: Row, request: RejectAccess) -> AccessRequest:
    """Rejects a request with a reason. Needs the permission on the asset."""
    _decidable(unit, access_request, "reject")
    return _ended(unit, access_request, AccessRequestState.REJECTED, request.comment)


@ACCESS_REQUEST.command("cancel", request=Request, result=AccessRequest, past="canceled")
def cancel_access_request(unit: Unit, access_request: Row, request: Request) -> AccessRequest:
    """Cancels a request. Only the principal that made it can do that. Others reject it."""
    if access_request.requested_by_id != unit.principal.id:
        raise PermissionDenied("Only the principal that made a request can cancel it. Reject it instead.")
    _require_open(access_request)
    return _ended(unit, access_request, AccessRequestState.CANCELED, "")


def _require_open(row: Row) -> None:
    if row.state != AccessRequestState.OPEN.value:
        raise Conflict(f"The request {row.id} is {row.state} already.")


def _decidable(unit: Unit, row: Row, verb: str) -> Securable:
    """Returns the asset of an open request that the caller may decide on.

    Raises:
        PermissionDenied: the caller may not, made the request, or is a service account.
        Conflict: the request is not open.
    """
    place = ACCESS_REQUEST.place(unit, row)
    unit.require(ACCESS_REQUEST.permission(verb), place)
    if row.requested_by_id == unit.principal.id:
        raise PermissionDenied("You made this request. Another user must decide on it.")
    if unit.principal.kind is not PrincipalKind.USER:
        raise PermissionDenied("A service account can't decide, because the user who controls it may have asked.")
    _require_open(row)
    return place


def _require_requester(unit: Unit, row: Row, place: Securable) -> None:
    """Requires that what was asked for still makes sense: the asset is there, and the principal can see it.

    Raises:
        Conflict: the asset or the principal has gone or moved.
    """
    if row.asset not in unit.platform.orchestrator.view().nodes or place.organization_id != row.requested_in:
        raise Conflict(f"{row.asset} was removed, or its project moved, after the request. Reject it.")
    active = sa.select(PRINCIPAL.c.id).where(
        PRINCIPAL.c.id == row.requested_by_id, PRINCIPAL.c.organization_id == row.requested_from, accounts.ACTIVE
    )
    if unit.connection.execute(active).first() is None:
        raise Conflict("The principal that asked is no longer active, or belongs to another organization. Reject it.")
    held = grants.access_of(unit.connection, row.requested_by_id, unit.platform.permissions)
    if not held.allows(READ_ASSET, place):
        raise Conflict("The principal that asked can no longer see the asset. Reject it.")


def _grant(unit: Unit, principal_id: str, place: Securable, until: datetime | None) -> str:
    """Gives the right to read an asset, unless the principal has the same grant for as long. Returns its id."""
    same = sa.select(GRANT.c.id, GRANT.c.expires_at).where(
        GRANT.c.principal_id == principal_id,
        GRANT.c.permission == READ_ROWS,
        GRANT.c.securable_id == place.id,
        GRANT.c.effect == Effect.ALLOW.value,
        GRANT.c.condition == "",
    )
    escalation.require_rights(unit, ending(escalation.rules_on((READ_ROWS,), place), until))
    for known in unit.connection.execute(same.order_by(GRANT.c.id)):
        if known.expires_at is None or (until is not None and known.expires_at >= until):
            return str(known.id)
    grant = GrantRow(
        id=new_id("gra"),
        principal_id=principal_id,
        role_id=None,
        permission=READ_ROWS,
        effect=Effect.ALLOW.value,
        securable_id=place.id,
        securable_kind=place.kind,
        organization_id=place.organization_id,
        project_id=place.project_id,
        condition="",
        expires_at=until,
        created_at=unit.now,
        created_by=unit.principal.name,
    )
    escalation.store_grant(unit, grant)
    unit.emit("admin.grant.given", grant.id, place, **grants.facts(grant))
    return grant.id


def _ended(unit: Unit, row: Row, state: AccessRequestState, comment: str, **given: str) -> AccessRequest:
    values = {"state": state.value, "comment": comment, "ended_by": unit.principal.name, "ended_at": unit.now}
    unit.connection.execute(TABLE.update().where(TABLE.c.id == row.id).values(**values, **given, open_key=None))
    unit.call.subject = row.id
    unit.call.note(asset=row.asset, copies=row.copies, requested_by=row.requested_by, **given)
    return stored(unit, row.id)
