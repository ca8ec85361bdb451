"""A kill between commit and publishing, and between publishing and cursor, loses nothing and gives nothing a new id."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.brokers import Broker

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_every_event_arrives_after_a_kill_and_what_comes_twice_has_one_id(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    def program(dies_at: int) -> int:
        arguments = [str(tmp_path), broker.url, topic, str(dies_at)]
        command = [sys.executable, "-m", "tests.protocols.relays.relay_program", *arguments]
        return subprocess.run(command, cwd=ROOT, timeout=90).returncode

    assert program(12) == -signal.SIGKILL
    published = [event.get_id() for event in broker.read(topic)]
    with sqlite3.connect(tmp_path / "metadata.db") as database:
        assert database.execute("SELECT sequence FROM outbox_cursor").fetchall() == [(0,)]
        database.execute("DELETE FROM lease")  # as if it had run out
        committed = [
            (id, subject) for id, subject in database.execute("SELECT id, subject FROM event ORDER BY sequence")
        ]
    database.close()
    assert 0 < len(published) < len(committed) == 20

    assert program(0) == 0
    received = [(event.get_id(), event.get_subject()) for event in broker.read(topic)]
    assert len(received) >= 20 + len(published), "what had moved no cursor came again"
    once = list(dict.fromkeys(received))
    for subject in ("usr_0", "usr_1", "usr_2"):
        assert [one for one in once if one[1] == subject] == [one for one in committed if one[1] == subject]
