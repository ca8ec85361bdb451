"""The programs of docs/tutorials/notebook-to-reproducible-model.md, as a reader would type them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_documented_commands import DOCS, blocks
from tests.running_platform import ROOT, Running

pytestmark = pytest.mark.slow
PAGE = DOCS / "tutorials/notebook-to-reproducible-model.md"
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
"""The environment of `make setup-clients`, in place of the one that the tutorial creates."""


def test_a_model_of_a_notebook_leads_back_to_its_data(platform: Running, tmp_path: Path) -> None:
    settings = dict(re.findall(r"^export (\w+)=(.*)$", "\n".join(blocks(PAGE, "sh")), re.MULTILINE))
    environment = dict(os.environ) | settings
    environment |= {
        "MLFLOW_TRACKING_URI": settings["MLFLOW_TRACKING_URI"].replace("http://127.0.0.1:8400", platform.url),
        "MLFLOW_TRACKING_TOKEN": platform.headwater("token").stdout.strip(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    program = tmp_path / "notebook.py"
    program.write_text("\n".join(blocks(PAGE, "python")))
    done = subprocess.run([PYTHON, program], env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    for printed in ("SUCCEEDED EQUAL", '"flights.gold.route_delays"', "flights.gold.route_delays"):
        assert printed in done.stdout, done.stdout
    with platform.client() as client:
        found = client.get("ai-catalog/search", params={"q": "route-delay"}).json()["items"]
        assert "ai_catalog.registered_model" in {item["kind"] for item in found}
        impact = client.get("ai-catalog/assets/flights.silver.airports/impact").json()
        assert "route-delay" in str(impact), impact
