"""A whole platform as its users meet it: make, the command line and HTTP."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.ports import free_ports

ROOT = Path(__file__).parents[1]
PASSWORD = "a password of this test only"


@dataclass(frozen=True)
class Running:
    """A platform in its own home."""

    home: Path
    url: str
    environment: dict[str, str]
    output: str

    def headwater(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the `headwater` command against it."""
        command = [str(ROOT / ".venv" / "bin" / "headwater"), *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, cwd=ROOT, check=False)

    def client(self) -> httpx.Client:
        """An HTTP client with the admin's token."""
        token = self.headwater("token").stdout.strip()
        return httpx.Client(base_url=f"{self.url}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=120)

    def login(self, name: str = "admin", password: str = PASSWORD) -> httpx.Client:
        """An HTTP client with a login cookie, as a browser has it."""
        client = httpx.Client(base_url=self.url, headers={"origin": self.url}, timeout=60)
        client.post("/api/v1/admin/sessions:login", json={"name": name, "password": password}).raise_for_status()
        return client


def make(target: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a make target as a user would."""
    command = ["make", "--no-print-directory", target, *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def started(home: Path, **variables: str) -> Iterator[Running]:
    """The platform after `make up DETACH=1` on an empty home."""
    port = free_ports(5)
    environment = dict(os.environ) | {
        "HEADWATER_HOME": str(home),
        "HEADWATER_PORT": str(port),
        "HEADWATER_ADMIN_PASSWORD": PASSWORD,
        **variables,
    }
    up = make("up", environment, "DETACH=1")
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        yield Running(home, f"http://127.0.0.1:{port}", environment, up.stdout)
    finally:
        assert make("down", environment).returncode == 0
