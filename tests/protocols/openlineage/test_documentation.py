"""The programs of docs/how-to/send-openlineage-events.md run as they are written, and do what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.api_server import Server
from tests.lakehouse_tables import BRONZE
from tests.protocols.openlineage.conftest import Emitter

PAGE = Path(__file__).parents[3] / "docs/how-to/send-openlineage-events.md"


def test_the_page(server: Server, emitter: Emitter) -> None:
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    program = program.replace("http://127.0.0.1:8400", server.url)
    environment = os.environ | {"TOKEN": server.tokens["admin"]}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{BRONZE} None" in done.stdout
    assert "['flights']" in done.stdout
    assert re.search(r"external:flights:xds_\S+ .*reports\.public\.flights", done.stdout)
