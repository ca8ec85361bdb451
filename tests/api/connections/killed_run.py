"""A run of a table from a connection, for a test that kills it: `python -m tests.api.connections.killed_run`.

With `committed`, it ends itself after the commit, before Dagster learns of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import dagster as dg

from assets.datasets import connected
from tests import slices
from tests.api.connections.connected_tables import definition, definitions


def end(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(source: str, moment: str) -> None:
    if moment == "committed":
        connected.materialized = end  # type: ignore[assignment]
    with dg.DagsterInstance.ephemeral() as instance:
        slices.run(definitions(definition(**json.loads(source))), instance)


if __name__ == "__main__":
    main(*sys.argv[1:])
