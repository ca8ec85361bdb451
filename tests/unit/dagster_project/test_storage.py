"""Pooled SQLite storage: Dagster's tables, fewer connections, safe for many processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from core.settings import load_settings
from dagster_project import storage
from dagster_project.instance import write_instance

ROOT = Path(__file__).parents[3]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path)})
    write_instance(settings)
    monkeypatch.setenv("DAGSTER_HOME", str(settings.dagster_home))
    with dg.DagsterInstance.get() as instance:
        yield instance
    storage.close()


@dg.asset(key=["t", "bronze", "one"])
def one() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(data_version=dg.DataVersion("table@7"))


def test_a_materialization_is_found_again_by_a_new_instance(instance: dg.DagsterInstance) -> None:
    assert dg.materialize([one], instance=instance).success
    with dg.DagsterInstance.from_ref(instance.get_ref()) as again:
        event = again.get_latest_materialization_event(one.key)
    assert event is not None
    assert event.asset_materialization is not None
    assert (event.asset_materialization.tags or {})["dagster/data_version"] == "table@7"


def test_a_run_opens_few_connections(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    dg.materialize([one], instance=instance)
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: (opened.append(a), connect(*a, **k))[1])
    dg.materialize([one], instance=instance)
    assert opened == []


def test_an_engine_is_not_shared_with_a_forked_child(instance: dg.DagsterInstance) -> None:
    dg.materialize([one], instance=instance)
    url = instance.run_storage._conn_string  # type: ignore[attr-defined]
    engine = storage._engine(url)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, b"own" if storage._engine(url) is not engine else b"shared")
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 10) == b"own"


def test_the_files_use_a_write_ahead_log(instance: dg.DagsterInstance) -> None:
    dg.materialize([one], instance=instance)
    for name in ("runs", "event_log", "schedules"):
        path = Path(os.environ["DAGSTER_HOME"]) / "storage" / f"{name}.db"
        with sqlite3.connect(path) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.slow
def test_processes_that_start_at_once_create_the_tables_once(tmp_path: Path) -> None:
    settings = load_settings({"HEADWATER_HOME": str(tmp_path)})
    write_instance(settings)
    program = (
        "import dagster as dg\n"
        "with dg.DagsterInstance.get() as i:\n"
        "    i.event_log_storage; i.schedule_storage; print(i.get_runs_count(), i.all_asset_keys())"
    )
    environment = {**os.environ, "DAGSTER_HOME": str(settings.dagster_home), "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(5)
    ]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        assert out.decode().strip() == "0 []"
