"""The commands of docs/how-to/open-a-part-of-a-bucket.md run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.api_server import Server
from tests.s3_with_tokens import ROLE, s3_with_tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "open-a-part-of-a-bucket.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"HEADWATER_RATE_LIMIT": "", "HEADWATER_PRIVATE_SOURCES": "true"}
    with s3_with_tokens() as store, Server(tmp_path_factory.mktemp("home"), **settings) as server:
        body = {"name": "sales", "spec": {"title": "Sales"}}
        admin = {"authorization": f"Bearer {server.tokens['admin']}"}
        httpx.post(f"{server.url}/api/v1/admin/projects", json=body, headers=admin, timeout=60).raise_for_status()
        place = {"STORE_URL": store.url, "STORE_ROLE": ROLE, "TOKEN": server.api.editor.token}
        place |= {"STORE_KEY": store.access_key_id, "STORE_SECRET": store.secret_access_key}
        path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-c", "set -e\n" + "".join(BLOCKS).replace("http://127.0.0.1:8400", server.url)],
            cwd=tmp_path,
            env=os.environ | place | path,
            capture_output=True,
            text=True,
            check=False,
        )
        written = store.objects()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("True") == 2
    assert "['raw/2026/orders.csv']" in done.stdout
    assert "REVOKED" in done.stdout
    assert written == ["raw/2026/orders.csv"]
    assert store.secret_access_key not in done.stdout
