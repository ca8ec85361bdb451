"""kill -9 between the commit of a link and its mail: the mail arrives, and its link works."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from api.kernel.credentials.tokens import issue_token
from core import clock
from core.db import Database
from core.settings import load_settings
from tests.api_process import prepare
from tests.dagster_processes import ROOT, until
from tests.mail_server import mail_server
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@contextmanager
def api_process(environment: dict[str, str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "api.main"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stderr=subprocess.DEVNULL)

    def live() -> bool:
        try:
            return httpx.get(f"{url}/health/live", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(live, 90, "the API")
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass
class Desk:
    """A platform that mails, not started yet, and an admin of it."""

    environment: dict[str, str]
    mail_port: int
    admin: httpx.Client
    anonymous: httpx.Client

    def kill_before_the_mail_is_sent(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Starts it, asks for something that is mailed, and kills it once the mail is under way."""
        # A server that lets one connect and then says nothing: the mail never leaves.
        with socket.create_server(("127.0.0.1", self.mail_port)) as silent, self.running() as process:
            answer = ask().raise_for_status()
            silent.settimeout(60)
            connection, _ = silent.accept()
            process.send_signal(signal.SIGKILL)
            process.wait()
            connection.close()
        return answer

    def running(self) -> AbstractContextManager[subprocess.Popen[bytes]]:
        return api_process(self.environment, self.environment["HEADWATER_URL"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    port, mail_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "HEADWATER_HOME": str(tmp_path),
        "HEADWATER_PORT": str(port),
        "HEADWATER_URL": url,
        "HEADWATER_SMTP_URL": f"smtp+plain://127.0.0.1:{mail_port}",
        "HEADWATER_MAIL_FROM": "headwater@example.org",
    }
    settings = load_settings(environment)
    prepare(settings)
    database = Database(settings.effective_database_url)
    token = issue_token(database, "admin", label="test", expires=clock.now() + timedelta(hours=1))
    database.close()
    base, headers = f"{url}/api/v1/admin", {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=base, headers=headers) as admin, httpx.Client(base_url=base) as anonymous:
        yield Desk(environment, mail_port, admin, anonymous)


def test_an_invitation_outlives_the_process_that_should_mail_it(desk: Desk) -> None:
    invited = desk.kill_before_the_mail_is_sent(
        lambda: desk.admin.post("/invitations", json={"email": "zoe@example.org"})
    ).json()
    with mail_server(desk.mail_port) as inbox, desk.running():
        until(lambda: len(inbox.mails) == 1, 90, "the mail")
        assert invited["token"] in inbox.mails[0].get_content()

        def noted() -> bool:
            return desk.admin.get(f"/invitations/{invited['id']}").json()["mailed_at"] is not None

        until(noted, 30, "the note of it")
    assert len(inbox.mails) == 1


def test_a_link_to_reset_a_password_outlives_the_process_that_should_mail_it(desk: Desk) -> None:
    def ask() -> httpx.Response:
        address = {"spec": {"emails": ["editor@example.org"]}}
        headers = {"content-type": "application/merge-patch+json"}
        desk.admin.patch("/users/editor", json=address, headers=headers).raise_for_status()
        return desk.anonymous.post("/sessions:request-password-reset", json={"name": "editor"})

    desk.kill_before_the_mail_is_sent(ask)
    with mail_server(desk.mail_port) as inbox, desk.running():
        until(lambda: len(inbox.mails) == 1, 90, "the mail")
        _, token = inbox.mails[0].get_content().split("/reset-password#")
        new = {"token": token.split()[0], "new_password": "another long password"}
        desk.anonymous.post("/sessions:reset-password", json=new).raise_for_status()
        login = {"name": "editor", "password": "another long password"}
        desk.anonymous.post("/sessions:login", json=login).raise_for_status()
        until(lambda: len(inbox.mails) == 2, 30, "the notice")
    assert [mail["subject"] for mail in inbox.mails] == ["Reset your password", "Your password was changed"]
