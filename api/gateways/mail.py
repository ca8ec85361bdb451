"""Mail by SMTP: TLS with a verified certificate, a time limit, and a breaker for a server that is away."""

from __future__ import annotations

import ssl
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any
from urllib.parse import unquote, urlsplit

from api.kernel.breakers import Dependency
from core import clock
from core.errors import InvalidArgument, MailRefused, Unavailable
from core.ports import Mail
from core.settings import Settings

_PORTS = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
_TIMEOUT_SECONDS = 20.0
_PERMANENT = 500


class SmtpMailer:
    """Hands mails to one mail server, over a new connection each."""

    def __init__(self, url: str, sender: str) -> None:
        """`url` is `smtps://` (TLS), `smtp://` (STARTTLS, demanded) or `smtp+plain://` (a relay nearby, no login).

        Raises:
            InvalidArgument: one of the two is not what it must be. The text never repeats the URL.
        """
        self._server = _server(url)
        try:
            self._from = _address(*parseaddr(sender))
        except ValueError:
            raise InvalidArgument(
                "HEADWATER_MAIL_FROM is no address. Set it as in Headwater <headwater@example.org>."
            ) from None
        self.dependency = Dependency(
            "mail server",
            timeout_seconds=_TIMEOUT_SECONDS,
            is_failure=lambda error: isinstance(error, Unavailable),
            failures=5,
            open_seconds=10.0,
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> SmtpMailer | None:
        """The mailer that the settings describe, if any.

        Raises:
            InvalidArgument: a setting that it needs is missing or wrong.
        """
        if not settings.smtp_url:
            return None
        if not settings.url:
            raise InvalidArgument("HEADWATER_SMTP_URL needs HEADWATER_URL, which links in mails begin with.")
        return cls(settings.smtp_url, settings.mail_from)

    async def send(self, mail: Mail) -> None:
        """Hands a mail over.

        Raises:
            MailRefused: the address cannot be written to, or the server takes no mail like this for it.
            Unavailable: the server is away or cannot take it now, or is not who it should be.
        """
        message = self._message(mail)
        try:
            await self.dependency.call(lambda: self._hand_over(message), idempotent=False)
        except TimeoutError:
            raise Unavailable("The mail server did not answer in time.") from None

    async def _hand_over(self, message: EmailMessage) -> None:
        import aiosmtplib

        # What a server answers may repeat what it was sent, and that holds a secret. So only its code is told.
        try:
            async with aiosmtplib.SMTP(**self._server, timeout=_TIMEOUT_SECONDS) as connection:
                await connection.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            raise _refusal("recipient", refused.recipients[0].code) from None
        except aiosmtplib.SMTPDataError as refused:
            raise _refusal("mail", refused.code) from None
        except aiosmtplib.SMTPResponseException as error:
            raise Unavailable(f"The mail server answered {error.code} ({type(error).__name__}).") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Unavailable(f"The mail server cannot be used ({_cause(error)}).") from None

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._from
        message["To"] = _recipient(mail.to)
        message["Subject"] = _line(mail.subject)
        message["Date"] = format_datetime(clock.now())
        message["Message-ID"] = f"<{mail.id}@{self._from.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text, cte="quoted-printable")
        return message


def _server(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise InvalidArgument("HEADWATER_SMTP_URL begins with smtps://, smtp:// or smtp+plain://.") from None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidArgument("HEADWATER_SMTP_URL is a server and nothing else: smtps://user:password@host:465.")
    secure = parts.scheme != "smtp+plain"
    if not secure and (parts.username or parts.password):
        raise InvalidArgument("HEADWATER_SMTP_URL would send a password without TLS. Use smtps:// or smtp://.")
    return {
        "hostname": parts.hostname,
        "port": port,
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "use_tls": parts.scheme == "smtps",
        "start_tls": parts.scheme == "smtp",
        "tls_context": ssl.create_default_context() if secure else None,
    }


def _refusal(what: str, code: int) -> Exception:
    if code >= _PERMANENT:
        return MailRefused(f"The mail server refused the {what} ({code}).")
    return Unavailable(f"The mail server does not take the {what} now ({code}).")


def _cause(error: BaseException) -> str:
    """What kind of error it was at the bottom, such as a certificate that does not hold."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return type(error).__name__


def _recipient(address: str) -> Address:
    try:
        return _address("", address)
    except ValueError:
        raise MailRefused("The address is none that mail can be sent to.") from None


def _address(name: str, address: str) -> Address:
    """The address. Raises `ValueError` if it is none."""
    try:
        found = Address(_line(name), addr_spec=address)
    except (HeaderParseError, IndexError) as error:
        raise ValueError(address) from error
    if not (found.username and found.domain):
        raise ValueError(address)
    return found


def _line(text: str) -> str:
    """The text on one line: a line break in a header would begin another one."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
