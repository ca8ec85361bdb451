"""kill -9 while a lineage event is stored: nothing of it is there, and the emitter's retry stores all of it once.

Kind of fault: an event that counts as received, so that a retry changes nothing, and whose edges were never recorded.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from api.services.ai_catalog.lineage_tables import EXTERNAL_DATASET, EXTERNAL_RUN, LINEAGE_EVENT
from core.db import Database
from core.settings import load_settings
from lakehouse.lineage import LINEAGE_EDGE
from tests.api_process import prepare

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def run(home: Path, where: str) -> int:
    command = [sys.executable, "-m", "tests.reliability.lineage_program", str(home), where]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


@pytest.mark.parametrize("where", ["edges", "commit"])
def test_a_killed_receiver_stores_nothing_and_a_retry_everything(tmp_path: Path, where: str) -> None:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path)})
    prepare(settings)

    def counts() -> list[int]:
        database = Database(settings.effective_database_url)
        try:
            with database.read() as connection:
                tables = (LINEAGE_EVENT, EXTERNAL_RUN, EXTERNAL_DATASET, LINEAGE_EDGE)
                return [connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables]
        finally:
            database.close()

    assert run(tmp_path, where) == -signal.SIGKILL
    assert counts() == [0, 0, 0, 0]
    for _ in range(2):
        assert run(tmp_path, "never") == 0
        assert counts() == [1, 1, 2, 1]
