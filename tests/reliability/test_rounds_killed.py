"""kill -9 of a training at critical moments: the next run ends with the weights of an uninterrupted training."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from core.db import Database
from core.settings import load_settings
from federated.history import from_row
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.forks import Fork, Forks, forks_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FEATURES, ROUNDS, LAST = "lab.features.visits", "lab.rounds.relapse", 6


class Place:
    """A home folder with its Dagster instance."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        self.folder = folder
        self.forks = forks
        dagster_home = folder / "dagster"
        dagster_home.mkdir(parents=True)
        (dagster_home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        self.environment = os.environ | {
            "HEADWATER_HOME": str(folder),
            "DAGSTER_HOME": str(dagster_home),
        }

    def start(self, point: str = "none", number: int = 0) -> Fork:
        return self.forks.start(self.folder / "output", [point, str(number)], self.environment)

    def run(self, point: str = "none", number: int = 0) -> tuple[int, str]:
        fork = self.start(point, number)
        return fork.wait(), fork.output.read_text()

    @property
    def database(self) -> Database:
        return Database(load_settings(self.environment).effective_database_url)

    @property
    def tables(self) -> Tables:
        return Tables.from_settings(load_settings(self.environment), self.database)

    def weights(self) -> bytes:
        rows = self.tables.snapshot(ROUNDS).scan().sort("round").collect()
        assert rows["round"].to_list() == list(range(1, LAST + 1))
        assert rows["training"].n_unique() == 1
        last = from_row(rows.row(-1, named=True))
        return b"".join(array.tobytes() for _, array in sorted((last.weights | last.optimizer).items()))

    def assert_every_round_is_traced_and_reported(self) -> None:
        tables = self.tables
        lineage = Lineage(self.database)
        features, rounds = tables.snapshot(FEATURES), tables.snapshot(ROUNDS)
        assert rounds.version == LAST - 1
        versions = [f"{rounds.table_id}@{number}" for number in range(LAST)]
        for version in versions:
            inputs = {(edge.in_asset, edge.in_version) for edge in lineage.provenance(ROUNDS, version)}
            assert (FEATURES, features.data_version) in inputs
        with dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"]) as instance:
            records = instance.fetch_materializations(dg.AssetKey(ROUNDS.split(".")), limit=100).records
        reported = [record.asset_materialization for record in reversed(records)]
        assert [m.metadata["round"].value for m in reported if m] == list(range(1, LAST + 1))
        assert [(m.tags or {})["dagster/data_version"] for m in reported if m] == versions


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with forks_of("tests.reliability.rounds_program") as started:
        yield started


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> bytes:
    place = Place(tmp_path_factory.mktemp("unbroken"), forks)
    code, output = place.run()
    assert code == 0, output
    place.assert_every_round_is_traced_and_reported()
    return place.weights()


@pytest.mark.parametrize(
    ("point", "number"), [("training", 3), ("commit", 3), ("edges", 3), ("event", 3), ("commit", 1)]
)
def test_a_killed_training_ends_like_an_uninterrupted_one(
    point: str, number: int, tmp_path: Path, forks: Forks, unbroken: bytes
) -> None:
    place = Place(tmp_path, forks)
    code, output = place.run(point, number)
    assert code == -signal.SIGKILL, output
    code, output = place.run()
    assert code == 0, output
    stored = number if point in ("edges", "event") else number - 1
    # The run that resumes reports a round that was committed but not reported.
    expected = LAST - stored + (1 if point in ("edges", "event") else 0)
    assert re.search(r"rounds reported: (\d+)", output).group(1) == str(expected)  # type: ignore[union-attr]
    assert place.weights() == unbroken
    place.assert_every_round_is_traced_and_reported()


def test_killed_repeatedly_from_outside(tmp_path: Path, forks: Forks, unbroken: bytes) -> None:
    place = Place(tmp_path, forks)
    log = tmp_path / "lakehouse" / "lab" / "rounds" / "relapse" / "_delta_log"
    killed = 0
    for version in (0, 2, 3):
        training = place.start()
        deadline = time.monotonic() + 120
        while training.poll() is None and not (log / f"{version:020}.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        killed += training.poll() is None
        training.kill()
    assert killed
    code, output = place.run()
    assert code == 0, output
    assert place.weights() == unbroken
    place.assert_every_round_is_traced_and_reported()
