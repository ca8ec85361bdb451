"""Users of an identity provider, identified by issuer and subject, never by name or address."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import RESOURCE
from api.services.admin.login_tables import IDENTITY
from core import clock
from core.errors import Conflict


def user_of(connection: Connection, provider_id: str, organization_id: str | None, subject: str) -> str | None:
    """Returns the id of the user with this subject in the provider's organization, or None.

    It is the user who logged in with the subject before, or whose `external_id` an admin or a directory set to it.
    """
    linked = sa.select(IDENTITY.c.user_id).where(IDENTITY.c.provider_id == provider_id, IDENTITY.c.subject == subject)
    if user_id := connection.execute(linked).scalar_one_or_none():
        return str(user_id)
    declared = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.kind == "admin.user",
        RESOURCE.c.organization_id == organization_id,
        RESOURCE.c.deleted_at.is_(None),
        RESOURCE.c.spec["identity_provider_id"].as_string() == provider_id,
        RESOURCE.c.spec["external_id"].as_string() == subject,
    )
    ids = connection.execute(declared.limit(2)).scalars().all()
    return str(ids[0]) if len(ids) == 1 else None


def users_of(connection: Connection, provider_id: str) -> list[str]:
    """Returns the ids of the provider's users: they logged in with it, or an admin set their subject."""
    linked = sa.select(IDENTITY.c.user_id).where(IDENTITY.c.provider_id == provider_id)
    declared = sa.select(RESOURCE.c.id).where(
        RESOURCE.c.kind == "admin.user",
        RESOURCE.c.spec["identity_provider_id"].as_string() == provider_id,
    )
    return sorted({str(id) for id in connection.execute(sa.union(linked, declared)).scalars()})


def link(connection: Connection, provider_id: str, subject: str, user_id: str) -> None:
    """Stores which user a subject is.

    Raises:
        Conflict: The first login of this subject runs twice at the same time.
    """
    same = sa.and_(IDENTITY.c.provider_id == provider_id, IDENTITY.c.subject == subject)
    if connection.execute(sa.select(IDENTITY.c.user_id).where(same)).first() is not None:
        return
    values = {"provider_id": provider_id, "subject": subject, "user_id": user_id, "first_seen_at": clock.now()}
    try:
        connection.execute(IDENTITY.insert().values(**values))
    except sa.exc.IntegrityError as error:
        raise Conflict("Your first login runs twice at the same time. Start again.") from error
