"""The mails of subscriptions. Each is sent only if the subscriber still can see what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.credentials import accounts
from api.kernel.outbox.subscriber import Subscriber
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import Platform
from api.kernel.storage import store
from api.kernel.tables import PRINCIPAL, RESOURCE
from api.services.ai_catalog.logic.subscription_watch import NOTIFIED
from api.services.ai_catalog.subscription_tables import SUBSCRIPTION
from core import clock
from core.errors import HeadwaterError, MailRefused
from core.events import RecordedEvent
from core.mailer import Mail, Mailer

_TIMEOUT_SECONDS = 60.0
_TEXTS = {
    "NEW_VERSION": "There is a new version of {name}: {detail}.",
    "FAILED": "The run {detail} of {name} failed.",
    "SUCCEEDED": "The run {detail} of {name} succeeded.",
    "CHECK_FAILED": "Checks of {name} failed: {detail}.",
    "CONTRACT": "Another contract of {name} is active: {detail}.",
    "CONTRACT_BROKEN": "A version of {name} breaks its contract: {detail}.",
    "ALIAS": "An alias of {name} names another version: {detail}.",
}


def subscribers(platform: Platform) -> Sequence[Subscriber]:
    """Returns the consumer that sends the mails. There is none without a mail server."""
    if platform.mailer is None:
        return ()
    handle = _Sender(platform, platform.mailer).handle
    return (Subscriber("subscription-mail", (NOTIFIED,), handle, timeout_seconds=_TIMEOUT_SECONDS),)


class _Sender:
    def __init__(self, platform: Platform, mailer: Mailer) -> None:
        self._platform = platform
        self._mailer = mailer

    async def handle(self, item: RecordedEvent) -> None:
        """Mails the notice of an event; raises an error if it must be tried again."""
        event = item.event
        found = await self._platform.workers.read.run(self._find, event.subject)
        if found is None:
            return
        address, name, problem = found
        if problem:
            await self._note(event.subject, mail_problem=problem)
            return
        text = _TEXTS[event.data["notice"]].format(name=name, detail=event.data["detail"])
        link = f"{self._platform.settings.url.rstrip('/')}/console"
        body = f"{text}\n\n{event.at:%Y-%m-%d %H:%M} UTC\n{link}\n\nYou subscribed to {name} on Headwater.\n"
        try:
            await self._mailer.send(Mail(event.id, address, text.rstrip("."), body))
        except MailRefused as refused:
            await self._note(event.subject, mail_problem=refused.detail[:500])
        except HeadwaterError as error:
            await self._note(event.subject, mail_problem=f"{error.detail} It is tried again."[:500])
            raise
        else:
            await self._note(event.subject, mailed_at=clock.now(), mail_problem=None)

    async def _note(self, id: str, **values: Any) -> None:
        await self._platform.workers.write.run(self._write, id, values)

    def _write(self, id: str, values: dict[str, Any]) -> None:
        with self._platform.database.write() as connection:
            connection.execute(SUBSCRIPTION.update().where(SUBSCRIPTION.c.id == id).values(**values))

    def _find(self, id: str) -> tuple[str, str, str] | None:
        """Returns the address, the name of the target, and why no mail is sent; None if the subscription ended."""
        with self._platform.database.read() as connection:
            row = connection.execute(sa.select(SUBSCRIPTION).where(SUBSCRIPTION.c.id == id)).first()
            if row is None:
                return None
            if not connection.execute(
                sa.select(PRINCIPAL.c.id).where(PRINCIPAL.c.id == row.principal_id, accounts.ACTIVE)
            ).first():
                return "", "", "The subscriber can't log in any more."
            user = connection.execute(sa.select(RESOURCE.c.spec).where(RESOURCE.c.id == row.principal_id)).scalar()
            access = grants.access_of(connection, row.principal_id, self._platform.permissions)
            name = self._visible_name(connection, row, access)
            if name is None:
                return "", "", "The subscriber can't see the target any more."
            emails = (user or {}).get("emails") or [""]
            return emails[0], name, "" if emails[0] else "The subscriber has no mail address."

    def _visible_name(self, connection: Connection, row: sa.Row[Any], access: Access) -> str | None:
        """Returns the name of the target if the subscriber can see it now."""
        if row.asset:
            place = asset_securable(self._platform, row.asset)
            # After a move of the project, the subscription belongs to another organization than at its start.
            return row.asset if access.allows(READ_ASSET, place) else None
        found = store.find_any(connection, row.registered_model_id or row.pipeline_id)
        if found is None or found.deleted_at is not None:
            return None
        return found.name if access.allows(f"{found.kind}.get", found.securable, found) else None
