"""The commands of docs/how-to/subscribe-to-changes.md subscribe to assets."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api_server import Server

PAGE = Path(__file__).parents[3] / "docs/how-to/subscribe-to-changes.md"

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
            found = admin.get("/ai-catalog/subscriptions").raise_for_status().json()["items"]
            assert {one["asset"]: len(one["notices"]) for one in found} == {
                "flights.silver.flights": 5,
                "flights.gold.route_delays": 2,
            }
