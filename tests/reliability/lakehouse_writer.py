"""A program for `tests.forks` that writes to a lakehouse and prints what is committed. Meant to be killed.

Arguments: the work (`append`, `mixed`, `merge`, `create`), the root, the database URL, a name of the writer, a count.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import deltalake.writer  # noqa: F401 - the forks share what is imported
import pyarrow as pa

from core.db import Database
from core.errors import WriteConflict
from lakehouse.environment import env_digest, git_sha
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables

TABLE = "shop.silver.orders"
SOURCE = "shop.bronze.orders"
ROWS = 3
"""Rows of one batch: a batch that is there in part shows as fewer."""


def batch(writer: str, number: int) -> pa.Table:
    return pa.table({"writer": [writer] * ROWS, "batch": [number] * ROWS, "row": list(range(ROWS))})


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def run(arguments: Sequence[str]) -> None:
    mode, root, url, writer, count = arguments
    tables, database = Tables(root, Database(url)), Database(url)
    lineage = Lineage(database)
    # The libraries load with the first write: a writer must be killed while it writes, not while it imports.
    tables.append(f"shop.warm.{writer}", batch(writer, 0))
    env_digest(), git_sha()
    say("ready")
    for number in range(int(count)):
        if mode == "create":
            tables.append(f"shop.made.{writer}_{number}", batch(writer, number))
        elif mode == "merge":
            increment(tables)
        else:
            step = Step(
                tables,
                lineage,
                asset=TABLE,
                run=f"{writer}-{number}",
                step="write",
                code_version="1",
                engine="test",
                principal="test",
            )
            step.read(SOURCE)
            step.append(batch(writer, number))
            if mode == "mixed" and number % 4 == 3:
                step.merge(batch(writer, number), ["writer", "batch", "row"])
            if mode == "mixed" and number % 5 == 4:
                tables.optimize(TABLE)
        say("done", number)


def increment(tables: Tables) -> None:
    """Adds one to the counter, again and again until it stands."""
    while True:
        snapshot = tables.snapshot(TABLE)
        count = snapshot.to_arrow()["n"].to_pylist()[0]
        try:
            tables.merge(TABLE, pa.table({"id": [1], "n": [count + 1]}), ["id"], if_version=snapshot.version)
        except WriteConflict:
            continue
        return
