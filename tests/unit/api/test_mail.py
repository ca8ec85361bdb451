"""Mail as a real server receives it, and as a bad one does not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from api.gateways import mail
from api.gateways.mail import SmtpMailer
from api.kernel.breakers import BreakerState
from core.errors import InvalidArgument, MailRefused, Unavailable
from core.mailer import Mail
from core.settings import load_settings
from tests.mail_server import PASSWORD, USER, Inbox, certificate, mail_server
from tests.ports import free_port

SENDER = "Hauptquelle Zürich <headwater@example.org>"
SECRET = "hwi_a-secret-that-nobody-is-told"


def letter(to: str = "zoe@example.org", subject: str = "Einladung für Zoë") -> Mail:
    return Mail("evt_1", to, subject, f"Grüße,\nhttps://headwater.example.org/invitation#{SECRET}\n")


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The certificate of a server whose authority this process trusts."""
    chain, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(chain))
    return chain, key


def check(inbox: Inbox) -> None:
    (message,) = inbox.mails
    assert inbox.recipients == ["zoe@example.org"]
    assert message["to"] == "zoe@example.org"
    assert message["from"] == SENDER
    assert message["subject"] == "Einladung für Zoë"
    assert message["message-id"] == "<evt_1@example.org>"
    assert abs((message["date"].datetime - datetime.now(UTC)).total_seconds()) < 60
    assert message["auto-submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert message.get_content() == letter().text.replace("\n", "\r\n") or message.get_content() == letter().text


async def test_with_tls_from_the_start(tls: tuple[Path, Path]) -> None:
    with mail_server(free_port(), tls) as inbox:
        await SmtpMailer(f"smtps://127.0.0.1:{inbox.port}", SENDER).send(letter())
        check(inbox)
        assert inbox.secure == [True]


async def test_with_starttls_and_a_login(tls: tuple[Path, Path]) -> None:
    with mail_server(free_port(), tls, start_tls=True) as inbox:
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        await SmtpMailer(f"smtp://{login}@127.0.0.1:{inbox.port}", SENDER).send(letter())
        check(inbox)
        assert inbox.secure == [True]
        with pytest.raises(Unavailable, match=r"535 \(SMTPAuthenticationError\)") as refused:
            await SmtpMailer(f"smtp://{USER}:wrong-secret@127.0.0.1:{inbox.port}", SENDER).send(letter())
        assert "wrong-secret" not in refused.value.detail


async def test_without_tls_only_if_that_is_said() -> None:
    with mail_server(free_port()) as inbox:
        with pytest.raises(Unavailable):
            await SmtpMailer(f"smtp://127.0.0.1:{inbox.port}", SENDER).send(letter())
        assert inbox.mails == []
        await SmtpMailer(f"smtp+plain://127.0.0.1:{inbox.port}", SENDER).send(letter())
        check(inbox)


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
async def test_a_server_with_another_certificate_gets_nothing(
    tmp_path: Path, tls: tuple[Path, Path], scheme: str
) -> None:
    for host in ("127.0.0.1", "127.0.0.2"):  # an unknown authority, and a known one with a certificate for another host
        other = certificate(tmp_path / host, host=host)
        if host != "127.0.0.1":
            tls[0].write_bytes(other[0].read_bytes())
        with mail_server(free_port(), other, start_tls=scheme == "smtp") as inbox:
            login = f"{USER}:{quote(PASSWORD, safe='')}@" if scheme == "smtp" else ""
            with pytest.raises(Unavailable, match="SSLCertVerificationError"):
                await SmtpMailer(f"{scheme}://{login}127.0.0.1:{inbox.port}", SENDER).send(letter())
            assert inbox.mails == []


async def test_what_the_server_refuses_for_good_and_for_now() -> None:
    with mail_server(free_port()) as inbox:
        mailer = SmtpMailer(f"smtp+plain://127.0.0.1:{inbox.port}", SENDER)
        inbox.refuse_recipients = "550 no such user"
        with pytest.raises(MailRefused, match=r"refused the recipient \(550\)"):
            await mailer.send(letter())
        inbox.refuse_recipients = "450 try later"
        with pytest.raises(Unavailable, match=r"not accept the recipient now \(450\)"):
            await mailer.send(letter())
        inbox.refuse_recipients, inbox.refuse_mails = "", f"554 spam: {SECRET}"
        with pytest.raises(MailRefused) as refused:
            await mailer.send(letter())
        assert (refused.value.detail, SECRET in repr(refused.value)) == (
            "The mail server refused the mail (554).",
            False,
        )


@pytest.mark.parametrize(
    ("code", "error"),
    [(421, Unavailable), (450, Unavailable), (499, Unavailable), (500, MailRefused), (550, MailRefused)],
)
def test_codes_from_500_on_are_for_good(code: int, error: type[Exception]) -> None:
    assert isinstance(mail._refusal("mail", code), error)


async def test_a_server_that_is_away_is_left_alone_for_a_while() -> None:
    port = free_port()
    mailer = SmtpMailer(f"smtp+plain://127.0.0.1:{port}", SENDER)
    for _ in range(5):
        with pytest.raises(Unavailable, match="ConnectionRefusedError"):
            await mailer.send(letter())
    assert mailer.dependency.state is BreakerState.OPEN
    with mail_server(port) as inbox:
        with pytest.raises(Unavailable, match="calls are refused"):
            await mailer.send(letter())
        assert inbox.mails == []


@pytest.mark.parametrize("to", ["a@b\r\nBcc: eve@example.org", "zoe", "zoe@example.org, eve@example.org", "a@b@c", ""])
async def test_an_address_that_is_none_is_refused(to: str) -> None:
    with mail_server(free_port()) as inbox:
        with pytest.raises(MailRefused, match="is not a valid mail address"):
            await SmtpMailer(f"smtp+plain://127.0.0.1:{inbox.port}", SENDER).send(letter(to=to))
        assert (inbox.mails, inbox.recipients) == ([], [])


async def test_no_subject_begins_another_header() -> None:
    with mail_server(free_port()) as inbox:
        mailer = SmtpMailer(f"smtp+plain://127.0.0.1:{inbox.port}", SENDER)
        await mailer.send(letter(subject="Hello\r\nBcc: eve@example.org\r\n\r\nbuy\u2028this\x00"))
        (message,) = inbox.mails
        assert message["subject"] == "Hello Bcc: eve@example.org buy this"
        assert (message["bcc"], inbox.recipients) == (None, ["zoe@example.org"])


@pytest.mark.parametrize(
    ("variables", "reported"),
    [
        ({"HEADWATER_URL": ""}, "needs HEADWATER_URL"),
        ({"HEADWATER_MAIL_FROM": ""}, "HEADWATER_MAIL_FROM"),
        ({"HEADWATER_MAIL_FROM": "absent"}, "HEADWATER_MAIL_FROM"),
        ({"HEADWATER_SMTP_URL": "http://u:secret@mail.example.org"}, "smtps://"),
        ({"HEADWATER_SMTP_URL": "smtps://u:secret@"}, "must name only a server"),
        ({"HEADWATER_SMTP_URL": "smtps://u:secret@mail.example.org:port"}, "must begin with"),
        ({"HEADWATER_SMTP_URL": "smtp+plain://u:secret@mail.example.org"}, "without TLS"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(tmp_path: Path, variables: dict[str, str], reported: str) -> None:
    right = {
        "HEADWATER_HOME": str(tmp_path),
        "HEADWATER_URL": "https://headwater.example.org",
        "HEADWATER_SMTP_URL": "smtps://u:secret@mail.example.org",
        "HEADWATER_MAIL_FROM": SENDER,
    }
    assert SmtpMailer.from_settings(load_settings(right))
    with pytest.raises(InvalidArgument, match=re.escape(reported)) as refused:
        SmtpMailer.from_settings(load_settings(right | variables))
    assert "secret" not in refused.value.detail
