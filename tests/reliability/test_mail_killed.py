"""kill -9 between the commit of an invitation and its mail: the mail arrives, with the link that was promised."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.mail_server import free_port, mail_server

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


def test_a_mail_outlives_the_process_that_should_send_it(tmp_path: Path) -> None:
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
    headers = {"authorization": f"Bearer {token}"}
    # A server that lets one connect and then says nothing: the mail is under way, and never leaves.
    with socket.create_server(("127.0.0.1", mail_port)) as silent, api_process(environment, url) as process:
        body = {"email": "zoe@example.org"}
        answer = httpx.post(f"{url}/api/v1/admin/invitations", json=body, headers=headers).raise_for_status()
        silent.settimeout(60)
        connection, _ = silent.accept()
        process.send_signal(signal.SIGKILL)
        process.wait()
        connection.close()
    with mail_server(mail_port) as inbox, api_process(environment, url):
        until(lambda: len(inbox.mails) == 1, 90, "the mail")
        assert answer.json()["token"] in inbox.mails[0].get_content()
        invitation = f"{url}/api/v1/admin/invitations/{answer.json()['id']}"
        until(lambda: httpx.get(invitation, headers=headers).json()["mailed_at"] is not None, 30, "the note of it")
    assert len(inbox.mails) == 1
