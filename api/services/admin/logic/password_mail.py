"""Mails about passwords: the link to reset a forgotten one, and the notice of a change."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.platform import Platform
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.services.admin.logic.link_mail import TIMEOUT_SECONDS, Links, Waiting
from api.services.admin.login_tables import PASSWORD_RESET
from core import clock
from core.errors import MailRefused
from core.events import RecordedEvent
from core.mailer import Mail, Mailer

FORGOTTEN_PAGE = "/forgot-password"
_MAX_NOTICE_AGE = timedelta(days=1)
"""Maximum age of a change to send a notice of, so that a new mail server causes no notices about last month."""
_log = logging.getLogger("headwater.mail")


def subscribers(platform: Platform) -> Sequence[Subscriber]:
    """Returns the subscribers that send the mails. There are none without a mail server."""
    if platform.mailer is None:
        return ()
    types = ("admin.session.password_reset", "admin.session.password_changed")
    handle = _Notifier(platform, platform.mailer).handle
    notices = Subscriber("password-notice", types, handle, from_beginning=False, timeout_seconds=TIMEOUT_SECONDS)
    return *LINKS.subscribers(platform), notices


class _Notifier:
    def __init__(self, platform: Platform, mailer: Mailer) -> None:
        self._platform = platform
        self._mailer = mailer

    async def handle(self, item: RecordedEvent) -> None:
        """Sends a user the notice that their password was changed; raises an error if it must be tried again."""
        event = item.event
        if event.at < clock.now() - _MAX_NOTICE_AGE:
            return
        recipient = await self._platform.workers.read.run(self._find, event.subject)
        if recipient is None:
            return
        name, address = recipient
        text = (
            f"The password of {name} on Headwater was changed on {event.at:%Y-%m-%d at %H:%M} UTC, "
            "and all logins were ended.\n\n"
            "If it was you, ignore this mail. If not, set a new password now and tell an admin:\n\n"
            f"{self._platform.settings.url.rstrip('/')}{FORGOTTEN_PAGE}\n"
        )
        try:
            await self._mailer.send(Mail(event.id, address, "Your password was changed", text))
        except MailRefused as refused:
            _log.warning("%s got no notice of their password change: %s", event.subject, refused.detail)

    def _find(self, id: str) -> tuple[str, str] | None:
        """Returns login name and primary address."""
        select = sa.select(RESOURCE.c.spec["emails"].label("emails")).where(RESOURCE.c.id == id)
        with self._platform.database.read() as connection:
            row = connection.execute(select).first()
            return (accounts.login_name(connection, id), row.emails[0]) if row and row.emails else None


def _find(connection: Connection, id: str) -> Waiting | None:
    row = connection.execute(
        sa.select(PASSWORD_RESET)
        .join(PRINCIPAL, PRINCIPAL.c.id == PASSWORD_RESET.c.id)
        .where(PASSWORD_RESET.c.id == id, PASSWORD_RESET.c.sealed.is_not(None), accounts.ACTIVE)
        .where(PASSWORD_RESET.c.expires_at > clock.now())
    ).first()
    if row is None:
        return None
    # Several accounts can share an address, or a name.
    name = accounts.login_name(connection, id)
    until = row.expires_at.strftime("%Y-%m-%d %H:%M UTC")

    def letter(link: str) -> tuple[str, str]:
        text = (
            f"A reset of the password of {name} on Headwater was requested.\n\n"
            f"Choose a new password here, until {until}:\n\n{link}\n\n"
            "The link works once. If you didn't request it, ignore this mail: your password doesn't change.\n"
        )
        return "Reset your password", text

    return Waiting(row.sealed, row.email, letter)


LINKS = Links(
    "password-reset-mail",
    ("admin.session.password_reset_requested",),
    PASSWORD_RESET,
    page="/reset-password",
    find=_find,
)
