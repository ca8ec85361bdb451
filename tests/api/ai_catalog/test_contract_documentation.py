"""The commands of docs/how-to/write-a-contract.md agree on a contract, and weaken it with the consent of consumers."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api_server import Server

PAGE = Path(__file__).parents[3] / "docs/how-to/write-a-contract.md"

pytestmark = pytest.mark.slow


def test_the_page(tmp_path: Path) -> None:
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    with Server(tmp_path) as server:
        headers = {"authorization": f"Bearer {server.tokens['admin']}"}
        with httpx.Client(base_url=f"{server.url}/api/v1", headers=headers, timeout=120) as admin:
            project = {"name": "flights", "spec": {"title": "Flights"}}
            admin.post("/admin/projects", json=project).raise_for_status()
            script = script.replace("$(.venv/bin/headwater token)", server.tokens["admin"])
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script.replace("http://127.0.0.1:8400", server.url)],
                cwd=tmp_path,
                env=dict(os.environ),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, script + done.stdout + done.stderr
            assert '"verdict":"MET"' in done.stdout
            assert "Weaker limit: at least 3 rows become at least 1 rows." in done.stdout
            found = admin.get("/ai-catalog/contracts").raise_for_status().json()["items"]
            assert {one["version"]: one["state"] for one in found} == {1: "SUPERSEDED", 2: "ACTIVE"}
