"""Tests that a slow machine leaves out of `make test`, so that it ends in time: the marker `exhaustive`.

They take the longest. Most of what they test has a cheaper test beside it: another engine of the same code, another
moment of the same kill, another whole platform. The clients of Feast and Flower, Apache Spark, and the Superlink are
tested only here. So run them (`EXHAUSTIVE=1`) before you change these. On a machine of the usual speed, they are a part
of `make test`.
"""

from __future__ import annotations

import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import PurePath

from tests.budget import Budget
from tests.cost import piece_seconds

MARK = "exhaustive"

SLOWER = 1.5
"""How many times slower than the machine of the recorded figures a machine leaves these tests out."""

_SECONDS = 10.0
"""How long the machine is measured."""

FOLDERS = (
    "tests/file_corpus",
    "tests/fuzz",
    *(f"tests/protocols/{name}" for name in ("feast", "flower_app", "relays", "spark")),
)

FILES = {
    *(f"tests/assets/test_{name}.py" for name in ("device", "model_full_size", "rounds")),
    *(f"tests/protocols/mlflow/test_{name}.py" for name in ("evaluations", "traces")),
    "tests/protocols/scim/test_filtering.py",
    *(f"tests/protocols/test_dagster_{name}.py" for name in ("lock", "on_postgresql", "websocket")),
    *(f"tests/protocols/test_{name}.py" for name in ("feature_backfill", "federated_superlink")),
    *(f"tests/reliability/test_index_{name}.py" for name in ("killed", "s3")),
    *(f"tests/reliability/test_lakehouse_{name}.py" for name in ("disk_full", "s3")),
    *(f"tests/reliability/test_spark_{name}.py" for name in ("jars", "s3", "server")),
    *(f"tests/reliability/test_{name}_killed.py" for name in ("lineage", "mail", "metrics", "rounds")),
    *(f"tests/reliability/test_{name}.py" for name in ("landed_chain", "launcher", "sample_tables")),
    "tests/reliability/test_trainer_cancelled.py",
    *(f"tests/reliability/publishing/test_{name}.py" for name in ("retired", "retired_readers")),
    *(f"tests/e2e/test_{name}.py" for name in ("at_scale", "branches", "dagster_dev", "empty_lakehouse")),
    *(f"tests/e2e/test_{name}.py" for name in ("notebook_tutorial", "path_prefix", "pipelines", "reproduce")),
    "tests/e2e/test_runs_on_dagster.py",
}


def is_exhaustive(file: str) -> bool:
    """Whether a test file, such as `tests/e2e/test_at_scale.py`, is one that a slow machine leaves out."""
    return file in FILES or any(PurePath(file).is_relative_to(folder) for folder in FOLDERS)


def slowness() -> float:
    """How many times slower this machine is than that of the recorded figures, with all its cores busy."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as processes:
        measured = [one for found in processes.map(_pieces, range(cores)) for one in found]
    return 1000 * statistics.median(measured) / Budget.read().piece_ms


def _pieces(_core: int) -> list[float]:
    """What the piece of work takes, again and again, on one core."""
    end, measured = time.monotonic() + _SECONDS, []
    while time.monotonic() < end:
        measured.append(piece_seconds())
    return measured


def selection() -> list[str]:
    """Options of pytest for this machine. Prints it if tests are left out; `EXHAUSTIVE=1` leaves none out."""
    if os.environ.get("EXHAUSTIVE") or (found := slowness()) < SLOWER:
        return []
    print(
        f"SLOW MACHINE: it takes {found:.1f} times as long as that of tests/budget.toml. Tests marked `{MARK}` don't "
        "run. To run them, set EXHAUSTIVE=1.",
        flush=True,
    )
    return ["-m", f"not {MARK}"]
