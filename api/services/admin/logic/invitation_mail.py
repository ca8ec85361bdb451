"""The mail of an invitation. Its link contains the token that the response returned; either can be used."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.tables import RESOURCE
from api.services.admin.logic.link_mail import Links, Waiting
from api.services.admin.login_tables import INVITATION
from core import clock


def _find(connection: Connection, id: str) -> Waiting | None:
    row = connection.execute(
        sa.select(INVITATION, RESOURCE.c.name.label("organization"), RESOURCE.c.spec.label("organization_spec"))
        .join(RESOURCE, RESOURCE.c.id == INVITATION.c.organization_id)
        .where(INVITATION.c.id == id, INVITATION.c.state == "PENDING", INVITATION.c.sealed.is_not(None))
        .where(INVITATION.c.expires_at > clock.now())
    ).first()
    if row is None:
        return None
    organization = row.organization_spec.get("title") or row.organization
    until = row.expires_at.strftime("%Y-%m-%d %H:%M UTC")

    def letter(link: str) -> tuple[str, str]:
        text = (
            f"{row.created_by} invites you to {organization} on Headwater.\n\n"
            f"Choose a user name and a password here, until {until}:\n\n{link}\n\n"
            "The link works once. If you don't know what this is about, ignore this mail.\n"
        )
        return f"Invitation to {organization}", text

    return Waiting(row.sealed, row.email, letter)


LINKS = Links(
    "invitation-mail",
    ("admin.invitation.created", "admin.invitation.resent"),
    INVITATION,
    page="/invitation",
    find=_find,
)
