"""The programs of docs/how-to/use-the-feast-client.md run as they are written."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from api.services.ai_catalog.logic.feature_views import open_online_store
from core import clock
from features.online import serving
from features.rows import ViewColumns, microseconds, read_rows
from lakehouse.tables import Tables
from tests.api_server import Server
from tests.protocols.feast.test_feast import PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "use-the-feast-client.md").read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TABLE, ONLINE = "flights.features.departures", "flights.online.congestion"


def test_the_programs_run(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with Server(tmp_path / "home", HEADWATER_RATE_LIMIT="") as server:
        admin = {"authorization": f"Bearer {server.tokens['admin']}"}
        project = {"name": "flights", "spec": {"title": "Flights"}}
        httpx.post(f"{server.url}/api/v1/admin/projects", headers=admin, json=project).raise_for_status()
        platform = server.api.app.platform
        tables = Tables.from_settings(platform.settings, platform.database)
        features = ("origin_departures", "origin_departure_delay")
        instant = pa.array([datetime(2013, 7, 1, 12, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        numbers = {name: pa.array([12.5], pa.float32()) for name in features}
        tables.overwrite(TABLE, pa.table({"origin": ["JFK"], "carrier": ["UA"], "predicted_at": instant, **numbers}))
        snapshot = tables.snapshot(TABLE)
        made = serving(
            read_rows(snapshot, ViewColumns(("origin", "carrier"), "predicted_at", features)),
            table=TABLE,
            table_id=snapshot.table_id,
            table_version=snapshot.version,
            as_of=microseconds(clock.now()),
        )
        platform.part(open_online_store).write(ONLINE, made.served, made.batches)
        (tmp_path / "program.py").write_text("\n".join(PROGRAMS))
        environment = dict(os.environ) | {"HEADWATER_URL": server.url, "HEADWATER_TOKEN": server.tokens["admin"]}
        done = subprocess.run(
            [PYTHON, "program.py"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "'origin_departures': [12.5, None]" in done.stdout
