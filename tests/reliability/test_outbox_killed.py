"""A kill between commit and dispatch, or between effect and cursor, loses and doubles nothing."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def program(home: Path, death: str) -> int:
    command = [sys.executable, "-m", "tests.reliability.outbox_program", str(home), death]
    return subprocess.run(command, cwd=ROOT, timeout=90).returncode


@pytest.mark.slow
def test_every_event_has_its_effect_once_after_two_kills(tmp_path: Path) -> None:
    assert program(tmp_path, "committed") == -signal.SIGKILL
    with sqlite3.connect(tmp_path / "metadata.db") as database:
        assert database.execute("SELECT count(*) FROM event").fetchone() == (10,)
        assert database.execute("SELECT count(*) FROM effect").fetchone() == (0,)
    assert program(tmp_path, "handled") == -signal.SIGKILL
    with sqlite3.connect(tmp_path / "metadata.db") as database:
        assert database.execute("SELECT count(*) FROM outbox_seen").fetchone() > (0,)
        assert database.execute("SELECT sequence FROM outbox_cursor").fetchone() == (0,)
    assert program(tmp_path, "never") == 0
    with sqlite3.connect(tmp_path / "metadata.db") as database:
        delivered = database.execute("SELECT event FROM effect ORDER BY event").fetchall()
        assert delivered == database.execute("SELECT id FROM event ORDER BY id").fetchall()
        assert len(delivered) == 20
        assert database.execute("SELECT sequence FROM outbox_cursor").fetchone() == (20,)
    database.close()
