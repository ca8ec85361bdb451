"""Sends invitations by mail, at least once, whatever dies in between.

The token waits sealed in the row of the invitation, in the transaction that made it, and is removed from there when the
mail was handed over. So the event that makes it be sent holds nothing secret, every try sends the same link, and it is
the one that the answer showed. Minting the token when the mail is sent would make that answer worthless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.credentials.sealing import open_sealer
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.platform import Platform
from api.kernel.tables import RESOURCE
from api.services.admin.login_tables import INVITATION
from core import clock
from core.errors import HeadwaterError, MailRefused
from core.events import Recorded
from core.ports import Mail, Mailer

PAGE = "/invitation"
"""Where an invited person accepts. The token follows behind a #, which browsers send to no server."""

_MAX_ATTEMPTS = 30  # 9 to 18 hours: a mail server may be away over night
_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    sealed: str
    email: str
    inviter: str
    organization: str
    expires_at: datetime


def waiting(platform: Platform, id: str, secret: str) -> dict[str, Any]:
    """Columns of an invitation whose token shall be mailed, or of one whose token shall not."""
    sealed = platform.part(open_sealer).seal(secret, _context(id)) if platform.mailer else None
    return {"sealed": sealed, "mailed_at": None, "mail_problem": None}


def subscribers(platform: Platform) -> Sequence[Subscriber]:
    """Who sends invitations: nobody without a mailer."""
    if platform.mailer is None:
        return ()
    handle = _Sender(platform, platform.mailer).handle
    types = ("admin.invitation.created", "admin.invitation.resent")
    how: dict[str, Any] = {"max_attempts": _MAX_ATTEMPTS, "timeout_seconds": _TIMEOUT_SECONDS}
    return (Subscriber("invitation-mail", types, handle, **how),)


class _Sender:
    def __init__(self, platform: Platform, mailer: Mailer) -> None:
        self._platform = platform
        self._mailer = mailer

    async def handle(self, item: Recorded) -> None:
        """Sends what waits to be sent; raises if it should be tried again."""
        id = item.event.subject
        found = await self._platform.workers.read.run(self._find, id)
        if found is None:
            return
        try:
            secret = self._platform.part(open_sealer).unseal(found.sealed, _context(id))
            link = f"{self._platform.settings.url.rstrip('/')}{PAGE}#{secret}"
            await self._mailer.send(Mail(item.event.id, found.email, *_letter(found, link)))
        except MailRefused as refused:
            await self._note(id, found, sealed=None, mail_problem=refused.detail[:500])
        except HeadwaterError as error:
            await self._note(id, found, mail_problem=f"{error.detail} It is tried again for some hours."[:500])
            raise
        else:
            await self._note(id, found, sealed=None, mailed_at=clock.now(), mail_problem=None)

    def _find(self, id: str) -> _Waiting | None:
        with self._platform.database.read() as connection:
            row = connection.execute(
                sa.select(INVITATION, RESOURCE.c.name.label("organization"), RESOURCE.c.spec.label("organization_spec"))
                .join(RESOURCE, RESOURCE.c.id == INVITATION.c.organization_id)
                .where(INVITATION.c.id == id, INVITATION.c.state == "PENDING", INVITATION.c.sealed.is_not(None))
                .where(INVITATION.c.expires_at > clock.now())
            ).first()
        if row is None:
            return None
        organization = row.organization_spec.get("title") or row.organization
        return _Waiting(row.sealed, row.email, row.created_by, organization, row.expires_at)

    async def _note(self, id: str, found: _Waiting, **values: Any) -> None:
        await self._platform.workers.write.run(self._write, id, found, values)

    def _write(self, id: str, found: _Waiting, values: dict[str, Any]) -> None:
        # One that was sent again meanwhile has another token, which waits for its own mail.
        same = INVITATION.c.id == id, INVITATION.c.sealed == found.sealed
        with self._platform.database.write() as connection:
            connection.execute(INVITATION.update().where(*same).values(**values))


def _letter(found: _Waiting, link: str) -> tuple[str, str]:
    """Subject and text."""
    until = found.expires_at.strftime("%Y-%m-%d %H:%M UTC")
    text = (
        f"{found.inviter} invites you to {found.organization} on Headwater.\n\n"
        f"Choose a user name and a password here, until {until}:\n\n{link}\n\n"
        "The link works once. If you do not know what this is about, do nothing.\n"
    )
    return f"Invitation to {found.organization}", text


def _context(id: str) -> str:
    return f"invitation:{id}"
