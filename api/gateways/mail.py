"""Mail by SMTP, with a verified TLS certificate, a time limit, and a circuit breaker."""

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
from core.mailer import Mail
from core.settings import Settings

_PORTS = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
_TIMEOUT_SECONDS = 20.0
_PERMANENT = 500


class SmtpMailer:
    """A mailer that sends each mail over a new connection to one mail server.

    Args:
        url: `smtps://` (TLS), `smtp://` (required STARTTLS), or `smtp+plain://` (a local relay without login).
        sender: the From address.

    Raises:
        InvalidArgument: an argument is not valid. The detail never contains the URL.
    """

    def __init__(self, url: str, sender: str) -> None:
        self._server = _server(url)
        try:
            self._from = _address(*parseaddr(sender))
        except ValueError:
            raise InvalidArgument(
                "HEADWATER_MAIL_FROM is not an address. Set it as in Headwater <headwater@example.org>."
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
        """Returns the mailer of the settings, or `None` if mail is not configured.

        Raises:
            InvalidArgument: a setting is missing or not valid.
        """
        if not settings.smtp_url:
            return None
        if not settings.url:
            raise InvalidArgument("HEADWATER_SMTP_URL needs HEADWATER_URL, the address of links in mails.")
        return cls(settings.smtp_url, settings.mail_from)

    async def send(self, mail: Mail) -> None:
        """Sends a mail.

        Raises:
            MailRefused: the address is not valid, or the server permanently refuses the mail.
            Unavailable: the server does not respond, refuses the mail temporarily, or has an invalid certificate.
        """
        message = self._message(mail)
        try:
            await self.dependency.call(lambda: self._send(message), idempotent=False)
        except TimeoutError:
            raise Unavailable("The mail server did not respond in time.") from None

    async def _send(self, message: EmailMessage) -> None:
        import aiosmtplib

        # A response may repeat the mail, which contains a secret. Therefore errors contain only the code.
        try:
            async with aiosmtplib.SMTP(**self._server, timeout=_TIMEOUT_SECONDS) as connection:
                await connection.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            raise _refusal("recipient", refused.recipients[0].code) from None
        except aiosmtplib.SMTPDataError as refused:
            raise _refusal("mail", refused.code) from None
        except aiosmtplib.SMTPResponseException as error:
            raise Unavailable(f"The mail server responded with {error.code} ({type(error).__name__}).") from None
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
        raise InvalidArgument("HEADWATER_SMTP_URL must begin with smtps://, smtp:// or smtp+plain://.") from None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidArgument("HEADWATER_SMTP_URL must name only a server: smtps://user:password@host:465.")
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


def _refusal(subject: str, code: int) -> Exception:
    if code >= _PERMANENT:
        return MailRefused(f"The mail server refused the {subject} ({code}).")
    return Unavailable(f"The mail server does not accept the {subject} now ({code}).")


def _cause(error: BaseException) -> str:
    """Returns the type of the root cause, such as an invalid certificate."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return type(error).__name__


def _recipient(address: str) -> Address:
    try:
        return _address("", address)
    except ValueError:
        raise MailRefused("The address is not a valid mail address.") from None


def _address(name: str, address: str) -> Address:
    """Returns the address. Raises `ValueError` if it is not valid."""
    try:
        parsed = Address(_line(name), addr_spec=address)
    except (HeaderParseError, IndexError) as error:
        raise ValueError(address) from error
    if not (parsed.username and parsed.domain):
        raise ValueError(address)
    return parsed


def _line(text: str) -> str:
    """Returns the text on one line, because a line break in a header starts another header."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
