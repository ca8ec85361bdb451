"""The reference implementation of Croissant accepts the documents of data sets, and loads their rows."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from api.kernel.platform import open_tables
from tests.api.admin.tenants import made
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator

FOLDER = Path(__file__).parent
PYTHON = FOLDER.parents[2] / ".venv-clients" / "bin" / "python"
SILVER = "flights.silver.flights"

pytestmark = pytest.mark.slow


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with running(tmp_path, FakeOrchestrator()) as started:
        yield started


async def test_mlcroissant_loads_what_is_exported(api: Api, tmp_path: Path) -> None:
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    rows = pa.table(
        {
            "id": [1, 2],
            "late": [True, False],
            "delay": pa.array([1.5, None], pa.float64()),
            "price": pa.array([Decimal("1.10"), Decimal("2.00")], pa.decimal128(10, 2)),
            "day": [date(2013, 1, 1), date(2013, 1, 2)],
            "at": pa.array([datetime(2013, 1, 1, 5, tzinfo=UTC)] * 2, pa.timestamp("us", "UTC")),
            "tail number": ["N1", "N\u00e9"],
        }
    )
    api.app.platform.part(open_tables).append(SILVER, rows)
    body = {"asset": SILVER, "title": "Flights", "license": "CC0-1.0", "citation": "Ada", "contact": "Ada"}
    id = (await made(api.editor.post("ai-catalog/datasets", body)))["id"]
    document = json.loads((await api.viewer.get(f"ai-catalog/datasets/{id}/croissant")).response.text)
    (tmp_path / "data.jsonl").write_bytes((await api.viewer.get(f"ai-catalog/datasets/{id}/data")).response.content)
    document["distribution"][0]["contentUrl"] = "data.jsonl"
    file = tmp_path / "croissant.json"
    file.write_text(json.dumps(document))
    assert PYTHON.exists(), "run `make setup-clients`"
    done = subprocess.run(
        [PYTHON, FOLDER / "loader_program.py", file], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["errors"], found["warnings"]) == ([], [])
    assert [one["records/id"] for one in found["records"]] == ["1", "2"]
    assert found["records"][1]["records/column_6"] == "N\u00e9"
