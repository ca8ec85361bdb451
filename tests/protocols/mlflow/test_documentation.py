"""The programs of docs/how-to/use-the-mlflow-client.md run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api_server import Server
from tests.protocols.mlflow.conftest import PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "use-the-mlflow-client.md").read_text()
PROGRAMS = [
    program
    for program in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    # It needs a training of the platform: `trainings.py` runs the same calls.
    if "flights.models.arrival_delay" not in program
]
SETTINGS = dict(re.findall(r"^export (\w+)=(.*)$", PAGE, re.MULTILINE))


def test_the_programs_run(server: Server, tmp_path: Path) -> None:
    assert set(SETTINGS) == {"MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_WORKSPACE"}
    written = tmp_path / "notebook.py"
    written.write_text("\n".join(PROGRAMS))
    environment = dict(os.environ) | SETTINGS
    environment |= {
        "MLFLOW_TRACKING_URI": SETTINGS["MLFLOW_TRACKING_URI"].replace("http://127.0.0.1:8400", server.url),
        "MLFLOW_TRACKING_TOKEN": server.tokens["admin"],
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    done = subprocess.run([PYTHON, written], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for printed in (
        "0.333",
        "The loss falls with each step.",
        "[30.]",
        "Summarize in 20 words: ...",
        "49 tokens",
        "mention time",
    ):
        assert printed in done.stdout, done.stdout
    headers = {"authorization": f"Bearer {server.tokens['viewer']}"}
    search = {"filter": "attributes.run_name = 'deeper trees'"}
    found = httpx.post(f"{server.url}/api/v1/ai-catalog/runs:search", headers=headers, json=search).json()["items"]
    assert [one["tags"]["team"] for one in found] == ["data science"]
