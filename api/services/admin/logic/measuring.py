"""Measurements of the platform: its processes, its requests, its database, and its disks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from api.kernel.http.metrics import BOUNDS
from api.kernel.http.readings import Responses, Values
from core import supervisor
from core.db import Database
from core.errors import HeadwaterError
from core.settings import Settings

_SHARE = 0.95


def processes(settings: Settings) -> list[dict[str, Any]] | None:
    """Returns the processes of the supervisor of this home folder, or None if none runs here."""
    state = supervisor.read_state(settings.run_dir) if settings.run_dir.is_dir() else None
    if state is None:
        return None
    return [
        {
            "name": one["name"],
            "state": one["state"],
            "restarts": one["restarts"],
            "exit_code": one["exit_code"],
            **_use(one["pid"]),
        }
        for one in state["processes"]
    ]


def _use(pid: int | None) -> dict[str, Any]:
    """Returns when a process started, and what it and its children use."""
    import psutil  # slow to import, and only needed here

    used: dict[str, Any] = {"started_at": None, "memory_bytes": None, "cpu_seconds": None}
    if pid is None:
        return used
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        used["started_at"] = datetime.fromtimestamp(process.create_time(), UTC)
        used["memory_bytes"] = sum(one.memory_info().rss for one in family)
        used["cpu_seconds"] = round(sum(sum(one.cpu_times()[:2]) for one in family), 3)
    except psutil.Error:
        # It has exited in the meantime, or belongs to another user.
        pass
    return used


def loads(responses: Iterable[Responses]) -> list[dict[str, Any]]:
    """Returns the requests of each operation, ordered by service and operation."""
    found: dict[tuple[str, str], list[Responses]] = {}
    for one in responses:
        found.setdefault((one.service, one.operation), []).append(one)
    return [
        {
            "service": service,
            "operation": operation,
            "requests": sum(one.count for one in parts),
            "refused": sum(one.count for one in parts if 400 <= one.status < 500),
            "failed": sum(one.count for one in parts if one.status >= 500),
            "seconds": round(sum(one.seconds for one in parts), 6),
            "p95_seconds": quantile([sum(bins) for bins in zip(*(one.bins for one in parts), strict=True)]),
        }
        for (service, operation), parts in sorted(found.items())
    ]


def quantile(bins: Sequence[int]) -> float | None:
    """Returns the bound below which 95 percent of the responses are. None if there are none, or no bound is."""
    total, below = sum(bins), 0
    for bound, count in zip(BOUNDS, bins, strict=False):
        below += count
        if total and below >= total * _SHARE:
            return bound
    return None


def labeled(values: Values) -> list[tuple[str, float]]:
    """Returns the values of a gauge with their labels."""
    if isinstance(values, Mapping):
        return [(label, float(value)) for label, value in sorted(values.items())]
    return [("", float(values))]


def database(opened: Database) -> dict[str, Any]:
    """Returns the system of the database, its size, and how long a short read takes."""
    measured: dict[str, Any] = {"system": opened.engine.dialect.name, "bytes": None, "seconds": None}
    try:
        started = time.perf_counter()
        with opened.read() as connection:
            connection.execute(sa.select(1))
            measured["seconds"] = round(time.perf_counter() - started, 6)
            if measured["system"] == "postgresql":
                size = sa.select(sa.func.pg_database_size(sa.func.current_database()))
                measured["bytes"] = int(connection.execute(size).scalar_one())
    except HeadwaterError:
        return measured
    if measured["system"] == "sqlite" and (name := opened.engine.url.database):
        files = [Path(f"{name}{suffix}") for suffix in ("", "-wal")]
        measured["bytes"] = sum(file.stat().st_size for file in files if file.is_file())
    return measured


def volumes(settings: Settings) -> list[dict[str, Any]]:
    """Returns the free space of the places that the platform stores data in."""
    places = {
        "Home folder": str(settings.home),
        "Lakehouse": settings.effective_lakehouse_url,
        "Vectors": settings.effective_vectors_url,
    }
    return [{"purpose": purpose, **_space(place)} for purpose, place in places.items()]


def _space(place: str) -> dict[str, Any]:
    if "://" in place:
        return {"total_bytes": None, "free_bytes": None}
    folder = Path(place).absolute()
    while not folder.exists():
        # The folder is created with its first table.
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    return {"total_bytes": usage.total, "free_bytes": usage.free}
