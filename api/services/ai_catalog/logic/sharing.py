"""Rights behind shares: who may share a table outside, and which shares and tables a recipient has now.

A table is shared in the name of the principal who added it. It is served only as long as this principal can read its
rows and may add tables to the share. Everything is checked when it is read, so that a right that ends ends the share.
Policies that restrict this principal, or everyone, restrict what recipients get.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.kinds import escalation
from api.kernel.kinds.unit import Unit
from api.kernel.lake.copies import may_read_copy, may_read_rows
from api.kernel.lake.row_access import is_restricted
from api.kernel.permissions import grants, row_policies
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import asset_securable
from api.kernel.platform import Platform
from api.kernel.references import ORGANIZATION, PROJECT
from api.kernel.securable import Securable
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.services.ai_catalog.logic.readable_tables import may_read
from api.services.ai_catalog.sharing_tables import SHARE_GRANT, SHARE_OBJECT
from core.errors import ExceedsRights

SHARE = "ai_catalog.share"
"""The kind of shares."""

ADD_OBJECT = f"{SHARE}.add_object"
"""The permission to share a table of a project outside."""

Row = sa.Row[Any]


def objects_of(connection: Connection, share_id: str) -> list[Row]:
    """Returns the rows of the tables in a share, by schema and name."""
    ordered = sa.select(SHARE_OBJECT).where(SHARE_OBJECT.c.share_id == share_id)
    return list(connection.execute(ordered.order_by(SHARE_OBJECT.c.schema_name, SHARE_OBJECT.c.table_name)))


def pin(unit: Unit, objects: Iterable[Row]) -> None:
    """Protects the shared versions from a vacuum: a fixed version, or the oldest one of a history."""
    from lakehouse.pins import add_pin

    for one in objects:
        version = one.history_from if one.version is None else one.version
        if version is not None:
            add_pin(unit.connection, one.id, one.asset, version)


def unpin(unit: Unit, objects: Iterable[Row]) -> None:
    """Ends the protection of the shared versions."""
    from lakehouse.pins import PIN

    if ids := [one.id for one in objects]:
        unit.connection.execute(PIN.delete().where(PIN.c.holder.in_(ids)))


def require_readable(unit: Unit, objects: Iterable[Row]) -> None:
    """Requires that the caller can read the rows of all these shared tables, because a recipient can.

    Raises:
        ExceedsRights: the caller can't. The error doesn't name the table.
    """
    access = escalation.rights_of_caller(unit)
    if not all(may_read(unit.platform, access, one.asset) for one in objects):
        raise ExceedsRights(
            "This would let a recipient read rows of a table that you can't read yourself. Ask a user who can read "
            "every table of the share."
        )


def objects_of_recipient(connection: Connection, recipient_id: str) -> list[Row]:
    """Returns the rows of the tables in all shares of a recipient, also those that have no effect now."""
    granted = sa.select(SHARE_GRANT.c.share_id).where(SHARE_GRANT.c.recipient_id == recipient_id)
    return list(connection.execute(sa.select(SHARE_OBJECT).where(SHARE_OBJECT.c.share_id.in_(granted))))


def shares_of_recipient(connection: Connection, recipient_id: str) -> list[Row]:
    """Returns the shares that a recipient has now, by name.

    The share, its project, its organization, and the recipient must exist, and they must be of one organization.
    """
    share, project, organization, recipient = (RESOURCE.alias(name) for name in ("share", "project", "org", "rcp"))
    select = (
        sa.select(share.c.id, share.c.name, share.c.organization_id, share.c.project_id, share.c.spec)
        .join(SHARE_GRANT, SHARE_GRANT.c.share_id == share.c.id)
        .join(project, project.c.id == share.c.project_id)
        .join(organization, organization.c.id == share.c.organization_id)
        .join(recipient, recipient.c.id == SHARE_GRANT.c.recipient_id)
        .where(SHARE_GRANT.c.recipient_id == recipient_id, share.c.kind == SHARE)
        .where(recipient.c.organization_id == share.c.organization_id)
        .where(SHARE_GRANT.c.organization_id == share.c.organization_id)
        .where(project.c.kind == PROJECT, organization.c.kind == ORGANIZATION, organization.c.state == "ACTIVE")
    )
    live = [one.c.deleted_at.is_(None) for one in (share, project, organization, recipient)]
    return list(connection.execute(select.where(*live).order_by(share.c.name, share.c.id)))


@dataclass(frozen=True, slots=True)
class Served:
    """A shared table that is served, with the readers whose policies restrict what recipients get of it."""

    row: Row
    sharer: Access | None
    """The rights of the principal who shared the table, if a policy restricts them."""
    recipients: Access | None
    """Recipients as readers, if a policy restricts everyone."""

    @property
    def restricted(self) -> bool:
        """Whether a policy hides anything of any version from the recipients."""
        return self.sharer is not None or self.recipients is not None


class Sharers:
    """The rights that principals who share tables hold now. One instance serves one transaction."""

    def __init__(self, platform: Platform, connection: Connection) -> None:
        self._platform = platform
        self._connection = connection
        self._held: dict[str, Access | None] = {}
        self._recipients: dict[str, Access] = {}

    def problem(self, shared: Row) -> str | None:
        """Returns why a shared table is not served, or None."""
        access = self._access(shared.shared_by_id)
        place = asset_securable(self._platform, shared.asset)
        if place.project_id != shared.project_id:
            return "The table belongs to another project now."
        project = Securable(PROJECT, shared.project_id, shared.organization_id, shared.project_id)
        if (
            access is None
            or not may_read_rows(self._platform, access, shared.asset)
            or not may_read_copy(self._platform, access, shared.asset)
        ):
            return "The principal who shared the table can no longer read its rows. A user who can may update it."
        if not access.allows(ADD_OBJECT, project):
            return "The principal who shared the table may no longer share tables. A user who may may update it."
        return None

    def listed(self, objects: Sequence[Row]) -> list[Row]:
        """Returns the shared tables that are served."""
        return [one for one in objects if self.problem(one) is None]

    def served(self, shared: Row) -> Served:
        """Returns a table that is served, with its restricted readers."""
        sharer = self._access(shared.shared_by_id)
        recipients = self._access_of_recipients(shared.organization_id)
        return Served(
            shared,
            *(
                reader if reader and is_restricted(self._platform, reader, shared.asset, self._connection) else None
                for reader in (sharer, recipients)
            ),
        )

    def _access_of_recipients(self, organization_id: str) -> Access:
        """Returns recipients as readers. Policies for everyone restrict them, and no policy can exempt them."""
        if organization_id not in self._recipients:
            active = row_policies.active(self._connection, [organization_id])
            reader = row_policies.Reader(policies=tuple(one for one in active if one.restricts(())))
            self._recipients[organization_id] = Access((), {}, reader=reader)
        return self._recipients[organization_id]

    def _access(self, principal_id: str) -> Access | None:
        if principal_id not in self._held:
            active = sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == principal_id, accounts.ACTIVE)
            known = self._connection.execute(active).first() is not None
            permissions = self._platform.permissions
            self._held[principal_id] = grants.access_of(self._connection, principal_id, permissions) if known else None
        return self._held[principal_id]
