"""Mails links that open something once, at least once, whatever dies in between.

The token of a link waits sealed in the row of what it opens, in the transaction that made it, and is removed from
there when the mail was handed over. So the event that makes it be sent holds nothing secret, and every try sends the
same link.
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
from core.events import Recorded
from core.ports import Mail, Mailer

TIMEOUT_SECONDS = 60.0
_MAX_ATTEMPTS = 30  # 9 to 18 hours: a mail server may be away over night


@dataclass(frozen=True, slots=True)
class Waiting:
    """A link that waits to be sent."""

    sealed: str
    to: str
    letter: Callable[[str], tuple[str, str]]
    """Subject and text around the link."""


@dataclass(frozen=True, slots=True)
class Links:
    """All links that open the same sort of thing."""

    name: str
    """Of the subscriber that sends them."""
    types: tuple[str, ...]
    """Events that make them be sent. Their subject is the id of the row."""
    table: sa.Table
    """Its rows have an `id`, and `sealed`, `mailed_at` and `mail_problem`."""
    page: str
    """Where they lead. The token follows behind a #, which browsers send to no server."""
    find: Callable[[Connection, str], Waiting | None]
    """The one in the row with this id, if it still shall be sent."""

    def waiting(self, platform: Platform, id: str, secret: str) -> dict[str, Any]:
        """Columns of a row whose link shall be mailed, or, without a mailer, shall not."""
        sealed = platform.part(open_sealer).seal(secret, self.context(id)) if platform.mailer else None
        return {"sealed": sealed, "mailed_at": None, "mail_problem": None}

    def subscribers(self, platform: Platform) -> Sequence[Subscriber]:
        """Who sends them: nobody without a mailer."""
        if platform.mailer is None:
            return ()
        handle = _Sender(self, platform, platform.mailer).handle
        how: dict[str, Any] = {"max_attempts": _MAX_ATTEMPTS, "timeout_seconds": TIMEOUT_SECONDS}
        return (Subscriber(self.name, self.types, handle, **how),)

    def context(self, id: str) -> str:
        """What the sealed token in a row is bound to."""
        return f"{self.table.name}:{id}"


def new_token(prefix: str) -> tuple[str, str]:
    """The token of a link, and the form in which it is kept."""
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    return secret, digest_of(secret)


class _Sender:
    def __init__(self, links: Links, platform: Platform, mailer: Mailer) -> None:
        self._links = links
        self._platform = platform
        self._mailer = mailer

    async def handle(self, item: Recorded) -> None:
        """Sends what waits to be sent; raises if it should be tried again."""
        id = item.event.subject
        found = await self._platform.workers.read.run(self._find, id)
        if found is None:
            return
        try:
            secret = self._platform.part(open_sealer).unseal(found.sealed, self._links.context(id))
            link = f"{self._platform.settings.url.rstrip('/')}{self._links.page}#{secret}"
            await self._mailer.send(Mail(item.event.id, found.to, *found.letter(link)))
        except MailRefused as refused:
            await self._note(id, found, sealed=None, mail_problem=refused.detail[:500])
        except HeadwaterError as error:
            await self._note(id, found, mail_problem=f"{error.detail} It is tried again."[:500])
            raise
        else:
            await self._note(id, found, sealed=None, mailed_at=clock.now(), mail_problem=None)

    def _find(self, id: str) -> Waiting | None:
        with self._platform.database.read() as connection:
            return self._links.find(connection, id)

    async def _note(self, id: str, found: Waiting, **values: Any) -> None:
        await self._platform.workers.write.run(self._write, id, found, values)

    def _write(self, id: str, found: Waiting, values: dict[str, Any]) -> None:
        # One that was made anew meanwhile has another token, which waits for its own mail.
        table = self._links.table
        same = table.c.id == id, table.c.sealed == found.sealed
        with self._platform.database.write() as connection:
            connection.execute(table.update().where(*same).values(**values))
