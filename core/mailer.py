"""The port that sends mail. `api.gateways.mail` implements it over SMTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """A plain-text mail to one recipient. The text may contain a secret, so it's excluded from the representation."""

    id: str
    """Stays the same when the mail is sent again, so that mail programs can remove duplicates."""

    to: str
    subject: str
    text: str = field(repr=False)


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> None:
        """Passes a mail to the mail server for delivery.

        Raises `MailRefused` if a retry can't succeed, `Unavailable` if it can.
        """
