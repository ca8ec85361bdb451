"""Which user somebody is whom an identity provider vouches for: by issuer and subject, never by name or address."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import RESOURCE
from api.services.admin.login_tables import IDENTITY
from core import clock
from core.errors import Conflict


def user_of(connection: Connection, provider_id: str, organization_id: str | None, subject: str) -> str | None:
    """Id of the user with this subject, of the provider's own organization; None if there is none.

    It is the one who logged in so before, or one whom an admin or a directory has given this external id.
    """
    known = sa.select(IDENTITY.c.user_id).where(IDENTITY.c.provider_id == provider_id, IDENTITY.c.subject == subject)
    if user_id := connection.execute(known).scalar_one_or_none():
        return str(user_id)
    given = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.kind == "admin.user",
        RESOURCE.c.organization_id == organization_id,
        RESOURCE.c.deleted_at.is_(None),
        RESOURCE.c.spec["identity_provider_id"].as_string() == provider_id,
        RESOURCE.c.spec["external_id"].as_string() == subject,
    )
    found = connection.execute(given.limit(2)).scalars().all()
    return str(found[0]) if len(found) == 1 else None


def link(connection: Connection, provider_id: str, subject: str, user_id: str) -> None:
    """Remembers who it is.

    Raises:
        Conflict: somebody with this subject logs in for the first time at this very moment.
    """
    known = sa.and_(IDENTITY.c.provider_id == provider_id, IDENTITY.c.subject == subject)
    if connection.execute(sa.select(IDENTITY.c.user_id).where(known)).first() is not None:
        return
    values = {"provider_id": provider_id, "subject": subject, "user_id": user_id, "first_seen_at": clock.now()}
    try:
        connection.execute(IDENTITY.insert().values(**values))
    except sa.exc.IntegrityError as error:
        raise Conflict("You log in for the first time twice at once. Begin again.") from error
