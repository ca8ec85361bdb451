"""Recipients of shares, and what they read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.references import PROJECT
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.kinds.recipient import RECIPIENT, Recipient, RecipientReference
from api.services.ai_catalog.kinds.share import SHARE, Share
from api.services.ai_catalog.logic import sharing
from api.services.ai_catalog.sharing_tables import SHARE_GRANT, SHARE_READ
from core.errors import Conflict, InvalidPayload


class ShareGrant(Request):
    """A recipient of a share."""

    recipient_id: RecipientReference
    """Id of the recipient."""


class ShareRecipient(Model):
    """A recipient of a share."""

    recipient_id: str
    """Id of the recipient."""

    name: str
    """Name of the recipient."""

    granted_at: datetime
    """Time at which it got the share."""

    granted_by: str
    """Name of the principal that granted it."""


class ShareRecipients(Model):
    """The recipients of a share."""

    items: list[ShareRecipient]
    """The recipients that the caller can see, by name."""

    hidden: bool
    """Whether there are others."""


class RecipientShare(Model):
    """A share of a recipient."""

    share_id: str
    """Id of the share."""

    name: str
    """Name of the share, under which the recipient sees it."""

    project_id: str
    """Id of the project of the share."""


class RecipientShares(Model):
    """The shares that a recipient has now."""

    items: list[RecipientShare]
    """The shares that the caller can see, by name."""

    hidden: bool
    """Whether there are others."""


class UsageQuery(Query):
    """The reads to return."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Maximum number of reads."""


class ShareRead(Model):
    """A query of a recipient."""

    at: datetime
    """Time of the query."""

    share_id: str
    """Id of the share."""

    recipient_id: str
    """Id of the recipient."""

    recipient: str
    """Name of the recipient at that time. `former-organization` if the project belonged to another one then."""

    asset: str
    """Id of the asset."""

    operation: str
    """`query` or `changes`."""

    version: int
    """Version of the table."""

    files: int
    """Number of files that the recipient got links to."""

    size_bytes: int
    """Size of these files."""

    client: str
    """Address that the query came from."""


class ShareUsage(Model):
    """The newest queries of recipients."""

    items: list[ShareRead]
    """The queries of tables that the caller can see, newest first."""


@SHARE.command("grant", request=ShareGrant, result=Share, role=Role.ADMIN, past="granted")
def grant_share(unit: Unit, share: Share, request: ShareGrant) -> Share:
    """Gives a recipient a share.

    The caller must be able to read the rows of every table in the share, because the recipient can.
    """
    recipient = unit.get(RECIPIENT, request.recipient_id)
    if recipient.organization_id != share.organization_id:
        fault = {"pointer": "/recipient_id", "detail": "belongs to another organization"}
        raise InvalidPayload("A recipient gets only shares of its organization.", errors=[fault])
    sharing.require_readable(unit, sharing.objects_of(unit.connection, share.id))
    _refuse_ambiguous(unit, share, recipient)
    unit.call.note(recipient_id=recipient.id)
    unit.connection.execute(
        SHARE_GRANT.insert().values(
            share_id=share.id,
            recipient_id=recipient.id,
            organization_id=share.organization_id,
            project_id=share.project_id,
            granted_at=unit.now,
            granted_by=unit.principal.name,
        )
    )
    return share


@SHARE.command("revoke", request=ShareGrant, result=Share, role=Role.ADMIN)
def revoke_share(unit: Unit, share: Share, request: ShareGrant) -> Share:
    """Takes a share away from a recipient. Its links to files of the share stop working immediately.

    Has no effect if the recipient doesn't have the share.
    """
    recipient = unit.get(RECIPIENT, request.recipient_id)
    granted = SHARE_GRANT.c.share_id == share.id, SHARE_GRANT.c.recipient_id == recipient.id
    ended = unit.connection.execute(SHARE_GRANT.delete().where(*granted)).rowcount
    unit.call.note(recipient_id=recipient.id, ended=bool(ended))
    return share


@SHARE.view("recipients", query=Query, result=ShareRecipients)
def get_share_recipients(unit: Unit, share: Share, query: Query) -> ShareRecipients:
    """Returns the recipients of a share."""
    rows = _grants(unit, SHARE_GRANT.c.share_id == share.id, SHARE_GRANT.c.recipient_id)
    visible = [row for row in rows if unit.allows(RECIPIENT.permission("get"), _place(row))]
    items = [
        ShareRecipient(
            recipient_id=row.recipient_id, name=row.name, granted_at=row.granted_at, granted_by=row.granted_by
        )
        for row in visible
    ]
    return ShareRecipients(items=items, hidden=len(items) < len(rows))


@RECIPIENT.view("shares", query=Query, result=RecipientShares)
def get_recipient_shares(unit: Unit, recipient: Recipient, query: Query) -> RecipientShares:
    """Returns the shares that a recipient has now."""
    rows = sharing.shares_of_recipient(unit.connection, recipient.id)
    visible = [row for row in rows if unit.allows(SHARE.permission("get"), _place(row))]
    items = [RecipientShare(share_id=row.id, name=row.name, project_id=row.project_id) for row in visible]
    return RecipientShares(items=items, hidden=len(items) < len(rows))


@SHARE.view("usage", query=UsageQuery, result=ShareUsage)
def get_share_usage(unit: Unit, share: Share, query: UsageQuery) -> ShareUsage:
    """Returns who queried which table of a share at which version, newest first."""
    return _usage(unit, SHARE_READ.c.share_id == share.id, query.limit)


@RECIPIENT.view("usage", query=UsageQuery, result=ShareUsage)
def get_recipient_usage(unit: Unit, recipient: Recipient, query: UsageQuery) -> ShareUsage:
    """Returns which tables a recipient queried at which version, newest first."""
    return _usage(unit, SHARE_READ.c.recipient_id == recipient.id, query.limit)


def _usage(unit: Unit, condition: sa.ColumnElement[bool], limit: int) -> ShareUsage:
    rows: list[Any] = []
    access = unit.principal.access
    select = sa.select(SHARE_READ).where(
        condition, access.where(SHARE.permission("get"), SHARE_READ, id=SHARE_READ.c.organization_id)
    )
    for row in unit.connection.execute(select.order_by(SHARE_READ.c.at.desc(), SHARE_READ.c.id.desc())):
        if access.allows(READ_ASSET, asset_securable(unit.platform, row.asset)):
            rows.append(row)
        if len(rows) == limit:
            break
    fields = ShareRead.model_fields
    return ShareUsage(items=[ShareRead(**{name: getattr(row, name) for name in fields}) for row in rows])


def _refuse_ambiguous(unit: Unit, share: Share, recipient: Recipient) -> None:
    held = _grants(unit, SHARE_GRANT.c.recipient_id == recipient.id, SHARE_GRANT.c.share_id)
    if any(row.share_id == share.id for row in held):
        raise Conflict(f"{recipient.name} has the share already.")
    if any(row.name == share.name for row in held):
        raise Conflict(f"{recipient.name} has another share with the name {share.name}. Rename one of them.")


def _grants(unit: Unit, condition: sa.ColumnElement[bool], resource: sa.ColumnElement[Any]) -> Sequence[Any]:
    """Returns grants with the name and place of one side of each, by name."""
    select = (
        sa.select(SHARE_GRANT, RESOURCE.c.name, RESOURCE.c.organization_id.label("place"))
        .join(RESOURCE, RESOURCE.c.id == resource)
        .where(condition, RESOURCE.c.deleted_at.is_(None))
    )
    return unit.connection.execute(select.order_by(RESOURCE.c.name)).all()


def _place(row: Any) -> Securable:
    """Returns a share as a part of its project, or a recipient as a part of its organization."""
    if "place" in row._mapping:
        return Securable(RECIPIENT.full_name, row.recipient_id, row.place)
    return Securable(PROJECT, row.project_id, row.organization_id, row.project_id)
