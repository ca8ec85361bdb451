"""The instance folder of Dagster, with `dagster.yaml` and `workspace.yaml`, which depend only on the settings.

As a program, it writes the folder of the current settings. Writing it again changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from core.pipelines import QUEUE_TAG
from core.private import make_private
from core.settings import Settings, load_settings

FLIGHTS_LOCATION = "flights"
PUBLISHED_LOCATION = "published"
LOCATION_MODULES = {FLIGHTS_LOCATION: "dagster_project.definitions", PUBLISHED_LOCATION: "dagster_project.published"}
"""Module of each code location, in the order of start."""

_DEQUEUE_SECONDS = 1
_TICK_DAYS = {"purge_after_days": {"skipped": 7, "started": 30, "success": 90, "failure": 90}}


def write_instance(settings: Settings) -> None:
    """Creates or updates the two files of the instance folder. Each file is replaced atomically."""
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    _replace(settings.dagster_home / "dagster.yaml", instance_config(settings))
    _replace(settings.dagster_home / "workspace.yaml", workspace_config(settings))


def instance_config(settings: Settings) -> dict[str, Any]:
    """Returns the content of `dagster.yaml`, without secrets: Dagster reads a database URL from the environment."""
    home = settings.dagster_home
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        **_storage(settings),
        "compute_logs": _plugin("dagster_project.logs", "FileComputeLogManager", base_dir=str(home / "compute_logs")),
        "defs_state_storage": _plugin("dagster", "UPathDefsStateStorage", base_path=(home / "defs_state").as_uri()),
        **_launching(settings),
        "concurrency": {
            "runs": {
                "max_concurrent_runs": settings.max_concurrent_runs,
                "tag_concurrency_limits": [{"key": QUEUE_TAG, "limit": 1, "value": {"applyLimitPerUniqueValue": True}}],
            },
            # A pool without configuration represents one device.
            "pools": {"granularity": "op", "default_limit": 1},
        },
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 2,
            "start_timeout_seconds": 60,
            "cancel_timeout_seconds": 30,
            "max_resume_run_attempts": 0,
            "free_slots_after_run_end_seconds": 5,
        },
        # Ticks are purged. Events of assets are history and are never purged.
        "retention": {"schedule": _TICK_DAYS, "sensor": _TICK_DAYS, "auto_materialize": _TICK_DAYS},
        # A slow sensor or schedule must not delay others.
        "schedules": {"use_threads": True, "num_workers": 4},
        "sensors": {"use_threads": True, "num_workers": 4},
    }


def workspace_config(settings: Settings) -> dict[str, Any]:
    """Returns the content of `workspace.yaml`, with one code server per location."""
    ports = {
        FLIGHTS_LOCATION: settings.code_server_port,
        PUBLISHED_LOCATION: settings.published_code_server_port,
    }
    return {
        "load_from": [
            {"grpc_server": {"host": "127.0.0.1", "port": ports[name], "location_name": name}}
            for name in LOCATION_MODULES
        ]
    }


def _storage(settings: Settings) -> dict[str, Any]:
    if settings.dagster_database_url:
        return {"storage": {"postgres": {"postgres_url": {"env": "HEADWATER_DAGSTER_DATABASE_URL"}}}}
    base_dir = str(settings.dagster_home / "storage")
    return {
        "run_storage": _plugin("dagster_project.storage", "EmbeddedRunStorage", base_dir=base_dir),
        "event_log_storage": _plugin("dagster_project.storage", "EmbeddedEventLogStorage", base_dir=base_dir),
        "schedule_storage": _plugin("dagster_project.storage", "EmbeddedScheduleStorage", base_dir=base_dir),
    }


def _launching(settings: Settings) -> dict[str, Any]:
    queue = {"dequeue_interval_seconds": _DEQUEUE_SECONDS}
    if settings.launcher == "default":
        return {
            "run_coordinator": _plugin("dagster", "QueuedRunCoordinator", **queue),
            "run_launcher": _plugin("dagster", "DefaultRunLauncher"),
        }
    run_dir = str(settings.run_dir)
    return {
        "run_coordinator": _plugin("dagster_project.coordinator", "PromptRunCoordinator", run_dir=run_dir, **queue),
        "run_launcher": _plugin("dagster_project.launcher", "WarmRunLauncher", run_dir=run_dir),
    }


def _plugin(module: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class": name, "config": config}


def _replace(path: Path, content: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(content), sort_keys=False)
    if path.exists() and path.read_text() == text:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    current = load_settings()
    make_private(current.home)
    write_instance(current)
