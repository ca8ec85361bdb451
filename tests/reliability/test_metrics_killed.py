"""A process that is killed while it moves values of metrics to the lakehouse loses and doubles none."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api.kernel.platform import Platform
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.logic.metric_history import open_metric_history
from api.services.ai_catalog.logic.metric_mover import waiting_values
from api.services.ai_catalog.run_tables import METRIC_POINT, RUN
from core import clock
from core.settings import load_settings
from tests.databases import with_tables
from tests.orchestration import FakeOrchestrator

ROOT = Path(__file__).parents[2]
PROJECT, RUN_ID = "prj_06e1xq0000example000000000", "run_06e1xq0000example000000000"


def program(home: Path, death: str) -> int:
    command = [sys.executable, "-m", "tests.reliability.metric_program", str(home), death]
    return subprocess.run(command, cwd=ROOT, timeout=90).returncode


@pytest.mark.slow
def test_every_value_is_in_the_history_once_after_kills(tmp_path: Path) -> None:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path)})
    database = with_tables(settings.effective_database_url)
    platform = Platform(settings, database, FakeOrchestrator())
    now = clock.now()
    run = {"id": RUN_ID, "organization_id": "default", "project_id": PROJECT, "experiment_id": "exp", "name": "x"}
    run |= {"status": "RUNNING", "source": "EXTERNAL", "started_at": now, "created_at": now, "created_by": "ada"}
    points = [{"run_id": RUN_ID, "key": "loss", "step": n, "at_ms": n, "bits": n} for n in range(100)]
    project = {"id": PROJECT, "kind": "admin.project", "organization_id": "default", "project_id": PROJECT}
    project |= {"scope_id": "platform", "name": "flights", "owner": "", "generation": 1, "version": 1}
    project |= {"created_at": now, "created_by": "ada", "updated_at": now, "updated_by": "ada"}
    with database.write() as connection:
        connection.execute(RESOURCE.insert().values(**project, labels={}, spec={}, status={}))
        connection.execute(RUN.insert().values(run))
        connection.execute(METRIC_POINT.insert(), points)
    stages = (("announced", 100, 0), ("added", 100, 40), ("removed", 85, 40), ("added", 85, 55), ("never", 0, 100))
    for death, waits, moved in stages:
        assert program(tmp_path, death) == (0 if death == "never" else -signal.SIGKILL), death
        with database.read() as connection:
            assert waiting_values(connection) == waits, death
        series = platform.part(open_metric_history).series(PROJECT, RUN_ID, "loss")
        assert len(series.step) == moved, death
    tables = platform.part(open_metric_history)._tables
    assert sorted(tables.snapshot(f"{PROJECT}.runs.metrics").scan().collect()["step"]) == list(range(100))
    platform.close()
