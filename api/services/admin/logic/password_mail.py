"""Mails about passwords: the link to reset a forgotten one, and the notice that one was changed."""

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
from core.events import Recorded
from core.ports import Mail, Mailer

FORGOTTEN_PAGE = "/forgot-password"
_NEWS = timedelta(days=1)
"""How old a change may be to be told of: who has a mailer again tells nobody what happened last month."""
_log = logging.getLogger("headwater.mail")


def subscribers(platform: Platform) -> Sequence[Subscriber]:
    """Who sends them: nobody without a mailer."""
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

    async def handle(self, item: Recorded) -> None:
        """Tells somebody that his password was changed; raises if it should be tried again."""
        event = item.event
        if event.at < clock.now() - _NEWS:
            return
        found = await self._platform.workers.read.run(self._find, event.subject)
        if found is None:
            return
        name, address = found
        text = (
            f"The password of {name} on Headwater was changed on {event.at:%Y-%m-%d at %H:%M} UTC, "
            "and all logins were ended.\n\n"
            "If it was you, do nothing. If it was not, set another one at once and tell an admin:\n\n"
            f"{self._platform.settings.url.rstrip('/')}{FORGOTTEN_PAGE}\n"
        )
        try:
            await self._mailer.send(Mail(event.id, address, "Your password was changed", text))
        except MailRefused as refused:
            _log.warning("%s was not told of the change of his password: %s", event.subject, refused.detail)

    def _find(self, id: str) -> tuple[str, str] | None:
        """Login name and main address."""
        select = sa.select(PRINCIPAL.c.name, RESOURCE.c.spec["emails"].label("emails"))
        with self._platform.database.read() as connection:
            row = connection.execute(
                select.join(RESOURCE, RESOURCE.c.id == PRINCIPAL.c.id).where(PRINCIPAL.c.id == id)
            ).first()
        return (row.name, row.emails[0]) if row and row.emails else None


def _find(connection: Connection, id: str) -> Waiting | None:
    row = connection.execute(
        sa.select(PASSWORD_RESET, PRINCIPAL.c.name)
        .join(PRINCIPAL, PRINCIPAL.c.id == PASSWORD_RESET.c.id)
        .where(PASSWORD_RESET.c.id == id, PASSWORD_RESET.c.sealed.is_not(None), accounts.WORKING)
        .where(PASSWORD_RESET.c.expires_at > clock.now())
    ).first()
    if row is None:
        return None
    until = row.expires_at.strftime("%Y-%m-%d %H:%M UTC")

    def letter(link: str) -> tuple[str, str]:
        text = (
            f"Somebody asked to reset the password of {row.name} on Headwater.\n\n"
            f"Choose another one here, until {until}:\n\n{link}\n\n"
            "The link works once. If you did not ask for it, do nothing: your password stays as it is.\n"
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
