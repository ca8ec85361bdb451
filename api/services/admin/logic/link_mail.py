"""Mails of links that work once, sent at least once even if the process dies.

The token of a link is stored encrypted in the row that it opens, in the transaction that creates it, and removed when
the mail server has accepted the mail. So the event that causes the mail contains no secret, and every attempt sends
the same link.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials.sealing import open_sealer
from api.kernel.credentials.tokens import digest_of
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.platform import Platform
from core import clock
from core.errors import HeadwaterError, MailRefused
from core.events import RecordedEvent
from core.mailer import Mail, Mailer

TIMEOUT_SECONDS = 60.0
_MAX_ATTEMPTS = 30  # 9 to 18 hours, so that a mail server can be down overnight


@dataclass(frozen=True, slots=True)
class Waiting:
    """A link that waits to be mailed."""

    sealed: str
    to: str
    letter: Callable[[str], tuple[str, str]]
    """Returns subject and text of the mail with this link."""


@dataclass(frozen=True, slots=True)
class Links:
    """All links that open the same type of row."""

    name: str
    """Name of the subscriber that sends them."""
    types: tuple[str, ...]
    """Types of events that cause the mail. Their subject is the id of the row."""
    table: sa.Table
    """Table of the rows, with the columns `id`, `sealed`, `mailed_at`, and `mail_problem`."""
    page: str
    """Path of the page. The token follows after #, because browsers send that part to no server."""
    find: Callable[[Connection, str], Waiting | None]
    """Returns the link of the row with this id, or None if it is no longer to be sent."""

    def waiting(self, platform: Platform, id: str, secret: str) -> dict[str, Any]:
        """Returns the columns of a row whose link is to be mailed, or is not, without a mail server."""
        sealed = platform.part(open_sealer).seal(secret, self.context(id)) if platform.mailer else None
        return {"sealed": sealed, "mailed_at": None, "mail_problem": None}

    def subscribers(self, platform: Platform) -> Sequence[Subscriber]:
        """Returns the subscriber that sends the links. There is none without a mail server."""
        if platform.mailer is None:
            return ()
        handle = _Sender(self, platform, platform.mailer).handle
        options: dict[str, Any] = {"max_attempts": _MAX_ATTEMPTS, "timeout_seconds": TIMEOUT_SECONDS}
        return (Subscriber(self.name, self.types, handle, **options),)

    def context(self, id: str) -> str:
        """Returns the context that the encrypted token of a row is bound to."""
        return f"{self.table.name}:{id}"


def new_token(prefix: str) -> tuple[str, str]:
    """Returns a new token of a link and its digest, which is stored."""
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    return secret, digest_of(secret)


class _Sender:
    def __init__(self, links: Links, platform: Platform, mailer: Mailer) -> None:
        self._links = links
        self._platform = platform
        self._mailer = mailer

    async def handle(self, item: RecordedEvent) -> None:
        """Sends the link of the event; raises an error if it must be tried again."""
        id = item.event.subject
        waiting = await self._platform.workers.read.run(self._find, id)
        if waiting is None:
            return
        try:
            secret = self._platform.part(open_sealer).unseal(waiting.sealed, self._links.context(id))
            link = f"{self._platform.settings.url.rstrip('/')}{self._links.page}#{secret}"
            await self._mailer.send(Mail(item.event.id, waiting.to, *waiting.letter(link)))
        except MailRefused as refused:
            await self._note(id, waiting, sealed=None, mail_problem=refused.detail[:500])
        except HeadwaterError as error:
            await self._note(id, waiting, mail_problem=f"{error.detail} It is tried again."[:500])
            raise
        else:
            await self._note(id, waiting, sealed=None, mailed_at=clock.now(), mail_problem=None)

    def _find(self, id: str) -> Waiting | None:
        with self._platform.database.read() as connection:
            return self._links.find(connection, id)

    async def _note(self, id: str, waiting: Waiting, **values: Any) -> None:
        await self._platform.workers.write.run(self._write, id, waiting, values)

    def _write(self, id: str, waiting: Waiting, values: dict[str, Any]) -> None:
        # A link that was replaced in the meantime has another token, which waits for its own mail.
        table = self._links.table
        same = table.c.id == id, table.c.sealed == waiting.sealed
        with self._platform.database.write() as connection:
            connection.execute(table.update().where(*same).values(**values))
