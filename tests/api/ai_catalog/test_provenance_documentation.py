"""The commands of docs/explanation/provenance.md: their requests are answered, and its program verifies offline."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.tables import Tables
from tests.api.admin.tenants import made
from tests.api.ai_catalog.provenance_tables import make_provenance
from tests.api_process import Api
from tests.lakehouse_tables import BRONZE, SILVER

PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "provenance.md").read_text()
REQUESTS = re.findall(r'"\$URL(/api/v1/[^"]+)"', PAGE)
(BODY,) = re.findall(r"-d '([^']+)'", PAGE)
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


async def test_the_requests_and_the_program(api: Api, tables: Tables, tmp_path: Path) -> None:
    export, create, envelope, keys = (path.replace("flights.gold.route_delays", SILVER) for path in REQUESTS)
    assert (await api.editor.get(export)).status == 200
    id = (await made(api.editor.post(create, json.loads(BODY) | {"asset": SILVER})))["id"]
    found = await made(api.viewer.get(envelope.replace("$ID", id)))
    (tmp_path / "keys.json").write_text((await api.anonymous.get(keys)).response.text)

    def verified(document: dict[str, object]) -> subprocess.CompletedProcess[str]:
        (tmp_path / "envelope.json").write_text(json.dumps(document))
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    intact = verified(found)
    assert intact.returncode == 0, intact.stderr
    assert SILVER in intact.stdout
    forged = base64.b64decode(found["payload"]).replace(SILVER.encode(), BRONZE.encode())
    assert "InvalidSignature" in verified(found | {"payload": base64.b64encode(forged).decode()}).stderr
