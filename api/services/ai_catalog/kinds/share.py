"""Shares: tables of a project that recipients outside the platform read with Delta Sharing."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.kinds.resource import Level, NoStatus, Resource, Spec, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.roles import Role
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic import sharing
from api.services.ai_catalog.sharing_tables import SHARE_GRANT
from core.errors import Conflict


class ShareSpec(Spec):
    """A share."""

    title: Title
    """Display name."""

    comment: Text = ""
    """Purpose of the share, for its recipients."""


class Share(Resource[ShareSpec, NoStatus]):
    """Tables of a project that recipients outside the platform read with Delta Sharing, under the name of the share."""


SHARE = ResourceKind(
    Share, plural="shares", prefix="shr", level=Level.PROJECT, writers=Role.ADMIN, filter_by=("spec.title",)
)


@SHARE.validate
def require_unambiguous_name(unit: Unit, share: Share, before: Share | None) -> None:
    """Refuses a name that a recipient of this share already has another share under."""
    if before is None or before.name == share.name:
        return
    held = sa.select(SHARE_GRANT.c.recipient_id).where(SHARE_GRANT.c.share_id == share.id)
    others = (
        sa.select(RESOURCE.c.id)
        .join(SHARE_GRANT, SHARE_GRANT.c.share_id == RESOURCE.c.id)
        .where(SHARE_GRANT.c.recipient_id.in_(held), RESOURCE.c.name == share.name, RESOURCE.c.id != share.id)
    )
    if unit.connection.execute(others.limit(1)).first():
        raise Conflict(f"A recipient has another share with the name {share.name}. Choose another name.")


@SHARE.after("delete")
def release_versions(unit: Unit, share: Share) -> None:
    """Lets a vacuum delete the versions that only this share needed."""
    sharing.unpin(unit, sharing.objects_of(unit.connection, share.id))


@SHARE.before("restore")
def protect_versions(unit: Unit, share: Share) -> None:
    """Protects the shared versions from a vacuum again."""
    sharing.pin(unit, sharing.objects_of(unit.connection, share.id))
