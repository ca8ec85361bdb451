"""The commands of the tutorials, as a reader would type them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.api_server import Server

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def test_onboard_a_team(tmp_path: Path) -> None:
    page = (ROOT / "docs/tutorials/onboard-a-team.md").read_text()
    # `!` is no failure to `set -e`, so what must be refused is turned into a separate check.
    blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    script = re.sub(
        r"^! (.+)$", r"if \1 2> /dev/null; then echo 'should be refused: \1'; exit 1; fi", blocks, flags=re.MULTILINE
    )
    with Server(tmp_path) as server:
        variables = {**os.environ, "API": f"{server.url}/api/v1", "TOKEN": server.tokens["admin"] or ""}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
