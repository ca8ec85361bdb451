"""The platform must always have somebody who can administer it."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.credentials import accounts
from api.kernel.kinds.unit import Unit
from api.kernel.permissions import grants
from api.kernel.securable import PLATFORM, ROOT
from api.kernel.tables import GRANT, MEMBER, PRINCIPAL
from core.errors import Conflict

GRANT_PERMISSION = "admin.grant.create"


def refuse_lockout(unit: Unit) -> None:
    """Refuses a change after which nobody who can log in may grant rights on the platform.

    Raises:
        Conflict: so it would be; the change is then undone.
    """
    connection = unit.connection
    holders = set(connection.execute(sa.select(GRANT.c.principal_id).where(GRANT.c.securable_id == PLATFORM)).scalars())
    wave = holders
    while wave:
        members = connection.execute(sa.select(MEMBER.c.member_id).where(MEMBER.c.group_id.in_(wave))).scalars()
        wave = set(members) - holders
        holders |= wave
    working = connection.execute(sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id.in_(holders), accounts.WORKING))
    for id in working.scalars():
        if grants.access_of(connection, id, unit.platform.permissions).allows(GRANT_PERMISSION, ROOT):
            return
    raise Conflict("Then nobody could administer the platform: this is the last active admin. Make another one first.")
