"""Access requests: users ask the owner of an asset for the right to read it, or for a release of copies of it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.resource import Text
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.copies import may_read_rows
from api.kernel.lake.names import AssetId
from api.kernel.models import Model, Request, Timestamp
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.services.ai_catalog.access_tables import ACCESS_REQUEST as TABLE
from api.services.ai_catalog.kinds.release import Copies, require_copies
from core.errors import Conflict, InvalidPayload, UnknownAsset
from core.ids import new_id


class AccessRequestState(StrEnum):
    """State of a request. An APPROVED one has given what was asked for. An EXPIRED one was open when its time ended."""

    OPEN = "OPEN"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


class AccessRequest(Model):
    """A request to read an asset, or to release copies of it, with the decision of its owner."""

    id: str
    """Id of the request."""

    organization_id: str
    """Id of the organization that it belongs to."""

    project_id: str
    """Id of the project of the asset."""

    asset: str
    """Id of the asset that the right is asked for."""

    copies: str | None
    """Copies whose release is asked for. Null if the right to read the asset is."""

    purpose: str
    """What the rows are needed for."""

    until: datetime | None
    """Time until which access is asked for. Null for no end."""

    state: AccessRequestState
    """State of the request. Filters find a request that is EXPIRED as OPEN."""

    requested_by: str
    """Name of the principal that asks."""

    requested_at: datetime
    """Time of the request."""

    comment: str
    """Reason of the decision. Empty until then."""

    ended_by: str | None
    """Name of the principal that approved, rejected, or withdrew it. Null until then."""

    ended_at: datetime | None
    """Time of that. Null until then."""

    grant_id: str | None
    """Id of the grant that gives the right. Null unless it was approved."""

    release_id: str | None
    """Id of the release. Null unless it was approved."""


class NewAccessRequest(Request):
    """What to ask for. The part `access` of an asset lists what is missing, in the same form."""

    asset: AssetId
    """Id of the asset."""

    copies: Copies | None = None
    """Copies to release: an asset, a schema, or a project. By default, the right to read the asset is asked for."""

    purpose: Annotated[Text, Field(min_length=1)]
    """What the rows are needed for."""

    until: Timestamp | None = None
    """Time until which access is needed. By default it has no end."""


class AccessRequestKind(TableKind[AccessRequest]):
    """Requests. Who decides follows from the rights on the asset. The principal that asks sees its own."""

    def place(self, unit: Unit, row: Row) -> Securable:
        """Returns the asset."""
        return asset_securable(unit.platform, row.asset)

    def visible(self, unit: Unit) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that the caller can see: their own, and those that they may decide on.

        Requests from before a project moved can name what only the former organization has.
        """
        access = unit.principal.access
        permissions = (self.permission("get"), READ_ASSET)
        granted = (access.where(permission, TABLE, id=TABLE.c.asset) for permission in permissions)
        unmoved = TABLE.c.requested_in == TABLE.c.organization_id
        return sa.or_(TABLE.c.requested_by_id == unit.principal.id, sa.and_(unmoved, *granted))


def _request(unit: Unit, row: Row) -> AccessRequest:
    values = {name: getattr(row, name) for name in AccessRequest.model_fields}
    if row.state == AccessRequestState.OPEN.value and row.until is not None and row.until <= unit.now:
        values["state"] = AccessRequestState.EXPIRED
    return AccessRequest(**values)


ACCESS_REQUEST = AccessRequestKind(
    AccessRequest,
    TABLE,
    plural="access-requests",
    prefix="acr",
    filter_by=("asset", "copies", "state", "requested_by", "requested_at"),
    owner="requested_by_id",
    item=_request,
    readers=Role.ADMIN,
    writers=Role.ADMIN,
    powers={
        "create": Power.NOTHING,
        "approve": Power.GRANTS,
        "reject": Power.NOTHING,
        "cancel": Power.NOTHING,
    },
)


@ACCESS_REQUEST.creation(request=NewAccessRequest, result=AccessRequest)
def create_access_request(unit: Unit, request: NewAccessRequest) -> AccessRequest:
    """Asks the owner of an asset that the caller can see for the right to read it, or for a release of copies of it.

    It needs no permission but to see the asset, and the copies. A principal has one open request for the same thing.
    """
    place = asset_securable(unit.platform, request.asset)
    if request.asset not in unit.platform.orchestrator.view().nodes or not unit.allows(READ_ASSET, place):
        raise UnknownAsset(f"There is no asset {request.asset!r}.")
    if place.project_id is None:
        raise Conflict(f"{request.asset} belongs to no registered project, so that it has no owner to ask.")
    if request.until is not None and request.until <= unit.now:
        fault = {"pointer": "/until", "detail": "is in the past"}
        raise InvalidPayload("The access would have ended already.", errors=[fault])
    if request.copies is not None:
        require_copies(unit, request.copies, place)
    elif may_read_rows(unit.platform, unit.principal.access, request.asset):
        raise Conflict(
            f"You have the right to read {request.asset}. If its rows are closed, it was copied from other tables: see "
            "its part `access`."
        )
    key = hashlib.sha256("\0".join((unit.principal.id, request.asset, request.copies or "")).encode()).hexdigest()
    _require_first(unit, key)
    unit.creates(new_id(ACCESS_REQUEST.prefix), place)
    unit.call.note(asset=request.asset, copies=request.copies)
    values = {
        "id": unit.call.subject,
        "organization_id": place.organization_id,
        "project_id": place.project_id,
        "asset": request.asset,
        "copies": request.copies,
        "purpose": request.purpose,
        "until": request.until,
        "state": AccessRequestState.OPEN.value,
        "requested_by": unit.principal.name,
        "requested_by_id": unit.principal.id,
        "requested_at": unit.now,
        "requested_from": unit.principal.organization_id,
        "requested_in": place.organization_id,
        "open_key": key,
        "comment": "",
    }
    try:
        unit.connection.execute(TABLE.insert().values(values))
    except sa.exc.IntegrityError as error:
        raise Conflict("You asked for the same at the same time.") from error
    return stored(unit, unit.call.subject)


def stored(unit: Unit, id: str) -> AccessRequest:
    """Returns a request as it is stored now."""
    return ACCESS_REQUEST.item(unit, unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id)).one())


def _require_first(unit: Unit, key: str) -> None:
    """Requires that the principal has no open request for the same. One whose time ended makes way for another."""
    expired = TABLE.c.open_key == key, TABLE.c.until <= unit.now
    unit.connection.execute(TABLE.update().where(*expired).values(open_key=None))
    if id := unit.connection.execute(sa.select(TABLE.c.id).where(TABLE.c.open_key == key)).scalar():
        raise Conflict(f"Your request {id} for the same is open. Cancel it first.", metadata={"request": id})
