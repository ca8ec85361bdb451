"""`dagster.yaml` and `workspace.yaml`: made from settings, accepted by Dagster, safe to write again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from core.settings import Settings, load_settings
from dagster_project import storage
from dagster_project.coordinator import PromptRunCoordinator
from dagster_project.instance import instance_config, workspace_config, write_instance
from dagster_project.launcher import WarmRunLauncher
from dagster_project.logs import FileComputeLogManager
from dagster_project.storage import EmbeddedEventLogStorage, EmbeddedRunStorage, EmbeddedScheduleStorage


def settings(home: Path, **extra: str) -> Settings:
    return load_settings({"HEADWATER_HOME": str(home), **{f"HEADWATER_{k.upper()}": v for k, v in extra.items()}})


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    storage.close()


def test_dagster_accepts_it_and_finds_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(tmp_path, max_concurrent_runs="3")
    write_instance(chosen)
    monkeypatch.setenv("DAGSTER_HOME", str(chosen.dagster_home))
    with dg.DagsterInstance.get() as instance:
        assert isinstance(instance.run_storage, EmbeddedRunStorage)
        assert isinstance(instance.event_log_storage, EmbeddedEventLogStorage)
        assert isinstance(instance.schedule_storage, EmbeddedScheduleStorage)
        assert isinstance(instance.compute_log_manager, FileComputeLogManager)
        assert isinstance(instance.run_coordinator, PromptRunCoordinator)
        assert isinstance(instance.run_coordinator, dg.QueuedRunCoordinator)
        assert instance.run_coordinator.dequeue_interval_seconds == 1
        assert isinstance(instance.run_launcher, WarmRunLauncher)
        assert isinstance(instance.defs_state_storage, dg.UPathDefsStateStorage)
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds <= 3
        concurrency = instance.get_concurrency_config()
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 3
        assert concurrency.pool_config.default_pool_limit == 1


def test_the_default_launcher_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(tmp_path, launcher="default")
    write_instance(chosen)
    monkeypatch.setenv("DAGSTER_HOME", str(chosen.dagster_home))
    with dg.DagsterInstance.get() as instance:
        assert type(instance.run_launcher) is dg.DefaultRunLauncher
        assert type(instance.run_coordinator) is dg.QueuedRunCoordinator


def test_postgresql_is_named_by_a_variable_so_that_no_password_is_written(tmp_path: Path) -> None:
    chosen = settings(tmp_path, dagster_database_url="postgresql://u:secret@db/dagster")
    write_instance(chosen)
    text = (chosen.dagster_home / "dagster.yaml").read_text()
    assert "secret" not in text
    assert yaml.safe_load(text)["storage"]["postgres"]["postgres_url"] == {"env": "HEADWATER_DAGSTER_DATABASE_URL"}
    assert chosen.environment()["HEADWATER_DAGSTER_DATABASE_URL"] == "postgresql+psycopg2://u:secret@db/dagster"


def test_two_locations_on_the_ports_of_the_settings(tmp_path: Path) -> None:
    chosen = settings(tmp_path, port="9100")
    servers = [entry["grpc_server"] for entry in workspace_config(chosen)["load_from"]]
    assert servers == [
        {"host": "127.0.0.1", "port": chosen.code_server_port, "location_name": "flights"},
        {"host": "127.0.0.1", "port": chosen.published_code_server_port, "location_name": "published"},
    ]


def test_it_is_a_function_of_the_settings(tmp_path: Path) -> None:
    assert instance_config(settings(tmp_path)) == instance_config(settings(tmp_path))


def test_writing_again_leaves_the_files_alone_and_a_changed_setting_replaces_them(tmp_path: Path) -> None:
    write_instance(settings(tmp_path))
    path = settings(tmp_path).dagster_home / "dagster.yaml"
    first = path.stat()
    write_instance(settings(tmp_path))
    assert path.stat().st_mtime_ns == first.st_mtime_ns
    write_instance(settings(tmp_path, max_concurrent_runs="5"))
    assert yaml.safe_load(path.read_text())["concurrency"]["runs"]["max_concurrent_runs"] == 5
    assert [entry.name for entry in path.parent.iterdir() if entry.name.startswith(".")] == []
