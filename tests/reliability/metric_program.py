"""A process that moves logged values of metrics. Arguments: home, and where it dies.

`announced`: before values are added to the lakehouse. `added`: after the commit of the table, before they are removed
from the database. `removed`: after a part of them is removed. `never`: moves all.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from api.kernel.platform import Platform
from api.services.ai_catalog.logic import metric_mover
from core.db import Database
from core.settings import load_settings
from lakehouse.metric_history import MetricHistory
from tests.orchestration import FakeOrchestrator


def main(home: str, death: str) -> None:
    settings = load_settings({"HEADWATER_HOME": home})
    platform = Platform(settings, Database(settings.effective_database_url), FakeOrchestrator())
    metric_mover._BATCH, metric_mover._REMOVED_AT_ONCE = 40, 15
    kill = {
        "announced": (MetricHistory, "add", 1),
        "added": (metric_mover, "_remove", 1),
        "removed": (metric_mover, "_remove", 2),
    }.get(death)
    if kill:
        _die_at(*kill)
    metric_mover.MetricMover(platform).move()
    platform.close()


def _die_at(owner: Any, name: str, call: int) -> None:
    original, calls = getattr(owner, name), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, name, counted)


if __name__ == "__main__":
    main(*sys.argv[1:])
