"""A program for `tests.forks` that runs a federated training as an asset, and kills itself at a given point.

Arguments: `<point> <round>`; points: `none`, `commit` (before the round's commit), `edges` (after the commit, before
its lineage is recorded), `event` (before the round is reported), `training` (in the middle of the clients' work).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from assets.rounds.component import FederatedTrainingComponent
from core.db import METADATA, Database
from core.settings import load_settings
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.delta import Delta
from resources.flower import Flower

FEATURES, ROUNDS = "lab.features.visits", "lab.rounds.relapse"


def component() -> FederatedTrainingComponent:
    return FederatedTrainingComponent(
        asset=ROUNDS,
        description="Rounds of a model of relapses.",
        table=FEATURES,
        clients={name: f"site = '{name}'" for name in ("north", "south", "west")},
        features=["x0", "x1"],
        target="relapse",
        train_where="month <= 9",
        holdout_where="month >= 10",
        strategy="fedadam",
        rounds=6,
        local_epochs=10,
        batch_size=8,
        compare_alone=False,
    )


def prepare() -> Tables:
    settings = load_settings()
    database = Database(settings.effective_database_url)
    METADATA.create_all(database.engine)
    tables = Tables.from_settings(settings, database)
    if not tables.exists(FEATURES):
        rng = np.random.default_rng(4)
        x = rng.normal(size=(900, 2))
        tables.overwrite(
            FEATURES,
            pl.DataFrame(
                {
                    "site": rng.choice(["north", "south", "west"], size=900),
                    "month": rng.integers(1, 13, size=900),
                    "x0": x[:, 0],
                    "x1": x[:, 1],
                    "relapse": rng.random(900) < 1 / (1 + np.exp(-x[:, 0] + x[:, 1])),
                }
            ),
        )
    return tables


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, concerned: Callable[..., bool]) -> None:
    original = getattr(owner, name)

    def replaced(*args: Any, **options: Any) -> Any:
        if concerned(*args):
            die()
        return original(*args, **options)

    setattr(owner, name, replaced)


def arm(point: str, number: int) -> None:
    if point == "commit":
        before(Tables, "append", lambda _, table, rows: table == ROUNDS and rows["round"][0].as_py() == number)
    if point == "edges":
        before(
            Lineage,
            "record",
            lambda _, edges, *__: edges[0].out_asset == ROUNDS and edges[0].out_version[-1] == str(number - 1),
        )
    if point == "event":
        before(dg.AssetExecutionContext, "log_event", lambda _, event: event.metadata["round"].value == number)
    if point == "training":
        from federated import model

        calls: list[None] = []
        before(model, "train", lambda *_: calls.append(None) is None and len(calls) == 3 * (number - 1) + 2)


def run(arguments: Sequence[str]) -> None:
    """Trains until the point of the arguments."""
    point, number = arguments
    prepare()
    arm(point, int(number))
    definitions = component().build_defs(None)  # type: ignore[arg-type]
    with dg.DagsterInstance.get() as instance:
        done = dg.materialize(
            list(definitions.assets or []),  # type: ignore[arg-type]
            resources={"delta": Delta(), "flower": Flower()},
            instance=instance,
        )
    print("rounds reported:", len(done.filter_events(lambda event: event.is_step_materialization)))
