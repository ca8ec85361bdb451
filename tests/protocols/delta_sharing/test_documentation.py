"""The commands of docs/how-to/share-tables-with-delta-sharing.md run as they are written."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.api_server import Server
from tests.protocols.delta_sharing.provider import Provider
from tests.protocols.mlflow.conftest import PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "share-tables-with-delta-sharing.md").read_text()
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_run(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with Server(tmp_path_factory.mktemp("home"), HEADWATER_RATE_LIMIT="") as server:
        provider = Provider(server)
        provider.make_tables()
        provider.http.close()
        # The program of the recipient runs between the commands of the provider.
        config = tmp_path / "config.share"
        address = f"""sed -i 's|"endpoint":"[^"]*"|"endpoint":"{server.url}/delta-sharing"|' {config}"""
        (tmp_path / "recipient.py").write_text("\n".join(text for kind, text in BLOCKS if kind == "python"))
        script = "set -e\n"
        for kind, text in BLOCKS:
            script += text if kind == "sh" else f"{address}\n{PYTHON} recipient.py\n"
        environment = os.environ | {"TOKEN": server.tokens["admin"]}
        done = subprocess.run(
            ["bash", "-c", script.replace("http://127.0.0.1:8400", server.url)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Table(name='flights', share='partners', schema='air')" in done.stdout
    assert "_change_type" in done.stdout
    assert '"operation":"changes"' in done.stdout
    assert json.loads((tmp_path / "link.json").read_text())["url"]
    assert '{"revoked":2}' in done.stdout
