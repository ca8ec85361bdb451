"""The commands of docs/how-to/request-access.md run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api_server import Server
from tests.lakehouse_tables import BRONZE, SILVER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "request-access.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_RATE_LIMIT="") as server:
        admin = {"authorization": f"Bearer {server.tokens['admin']}"}
        with httpx.Client(base_url=f"{server.url}/api/v1/admin/", headers=admin, timeout=120) as client:

            def create(path: str, **body: object) -> str:
                return str(client.post(path, json=body).raise_for_status().json()["id"])

            create("projects", name="flights", spec={"title": "Flights"})
            ada = create("users", name="ada", spec={})
            for right, asset in (("get", BRONZE), ("*", SILVER)):
                place = {"securable_id": asset, "securable_kind": "ai_catalog.asset"}
                create("grants", principal_id=ada, permission=f"ai_catalog.asset.{right}", **place)
        done = subprocess.run(
            ["bash", "-c", "set -e\n" + "".join(BLOCKS).replace("http://127.0.0.1:8400", server.url)],
            cwd=tmp_path,
            env=os.environ | {"TOKEN": server.api.caller("ada").token, "OWNER": server.tokens["admin"]},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'"needs":[{{"asset":"{BRONZE}","copies":"{SILVER}"}}]' in done.stdout
    assert '"state":"APPROVED"' in done.stdout
    assert '"row_count":25' in done.stdout
