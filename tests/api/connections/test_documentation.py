"""The commands of docs/how-to/connect-a-database.md run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api_server import Server
from tests.remote_postgresql import RemotePostgreSql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "connect-a-database.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, remote: RemotePostgreSql) -> None:
    settings = {"HEADWATER_RATE_LIMIT": "", "HEADWATER_PRIVATE_SOURCES": "true"}
    with Server(tmp_path_factory.mktemp("home"), **settings) as server:
        body = {"name": "sales", "spec": {"title": "Sales"}}
        admin = {"authorization": f"Bearer {server.tokens['admin']}"}
        httpx.post(f"{server.url}/api/v1/admin/projects", json=body, headers=admin, timeout=60).raise_for_status()
        place = {"DB_HOST": "127.0.0.1", "DB_PORT": str(remote.port), "DB_NAME": remote.database}
        login = {"DB_USER": remote.user, "DB_PASSWORD": remote.password, "TOKEN": server.api.editor.token}
        done = subprocess.run(
            ["bash", "-c", "set -e\n" + "".join(BLOCKS).replace("http://127.0.0.1:8400", server.url)],
            cwd=tmp_path,
            env=os.environ | place | login,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("True") == 2
    assert '"resumed":false' in done.stdout
    assert remote.password not in done.stdout
