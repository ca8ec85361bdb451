"""Writers that are killed, and writers that meet: nothing is lost, halved or doubled."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.lineage import Lineage
from lakehouse.repair import repair_lineage
from lakehouse.tables import Tables
from tests.dagster_processes import until
from tests.databases import with_tables
from tests.forks import Forks, forks_of

TABLE, SOURCE, ROWS = "shop.silver.orders", "shop.bronze.orders", 3

pytestmark = pytest.mark.slow


class Lake:
    """A lakehouse that processes write to."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        self.folder, self.forks = folder, forks
        self.root, self.url = str(folder / "lakehouse"), f"sqlite:///{folder / 'metadata.db'}"
        self.database = with_tables(self.url)

    def opened(self) -> Tables:
        return Tables(self.root, self.database)

    def start(self, mode: str, writer: str, count: int) -> Writer:
        """Starts a writer and waits until it is ready to write."""
        return Writer(self, mode, writer, count)


class Writer:
    """A program that writes. Its output goes to a file: what a pipe holds when the program is killed may be lost."""

    def __init__(self, lake: Lake, mode: str, name: str, count: int) -> None:
        arguments = [mode, lake.root, lake.url, name, str(count)]
        self._fork = lake.forks.start(lake.folder / f"{name}.out", arguments, os.environ)
        until(lambda: "ready\n" in self.output() or self._fork.poll() is not None, 120, "the writer")
        assert "ready\n" in self.output(), self.output()

    def output(self) -> str:
        return self._fork.output.read_text() if self._fork.output.exists() else ""

    def acknowledged(self) -> list[int]:
        """Returns the numbers of the batches that the program has reported as committed."""
        lines = self.output().split("\n")[:-1]
        return [int(line.split()[1]) for line in lines if line.startswith("done ")]

    def kill(self) -> None:
        self._fork.kill()

    def finish(self) -> None:
        """Waits for the program, which must succeed."""
        assert self._fork.wait() == 0, self.output()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with forks_of("tests.reliability.lakehouse_writer") as started:
        yield started


@pytest.fixture
def lake(tmp_path: Path, forks: Forks) -> Iterator[Lake]:
    lake = Lake(tmp_path, forks)
    yield lake
    lake.database.close()


def batches(tables: Tables, table: str = TABLE) -> dict[tuple[str, int], int]:
    """Rows of each batch."""
    rows = tables.snapshot(table).to_arrow()
    return Counter(zip(rows["writer"].to_pylist(), rows["batch"].to_pylist(), strict=True))


@pytest.mark.parametrize("mode", ["append", "mixed"])
def test_a_killed_writer_leaves_whole_batches_and_exact_lineage(lake: Lake, mode: str) -> None:
    chance = random.Random(mode)
    lake.opened().append(SOURCE, pa.table({"id": [1]}))
    promised: set[tuple[str, int]] = set()
    for round_number in range(6):
        writer = f"w{round_number}"
        process = lake.start(mode, writer, 1000)
        if round_number % 2:
            until(lambda process=process: bool(process.acknowledged()), 60, "a batch")  # type: ignore[misc]
        time.sleep(chance.uniform(0.02, 0.5))
        process.kill()
        promised |= {(writer, number) for number in process.acknowledged()}
        tables = lake.opened()
        if not tables.exists(TABLE):
            assert not promised
            continue
        committed = batches(tables)
        assert set(committed.values()) <= {ROWS}, "half or doubled batches"
        assert promised <= committed.keys(), "an acknowledged batch is gone"
        # At most the batch that was under way when the process was killed was committed without being acknowledged.
        assert len(committed) - len(promised) <= round_number + 1
        assert tables.verify(TABLE) == []
        promised = set(committed)
    assert promised
    tables, lineage = lake.opened(), Lineage(lake.database)
    repair_lineage(tables, lineage)
    source = tables.snapshot(SOURCE).data_version
    for commit in tables.history(TABLE, limit=10_000):
        if commit.operation in ("WRITE", "MERGE"):
            edges = lineage.provenance(TABLE, commit.data_version)
            assert (SOURCE, source) in {(edge.in_asset, edge.in_version) for edge in edges}
            assert len({edge.run for edge in edges}) == 1
    after = tables.append(TABLE, pa.table({"writer": ["end"], "batch": [0], "row": [0]}))
    assert after.row_count == len(promised) * ROWS + 1


def test_a_writer_killed_while_it_makes_a_table_leaves_none_or_a_whole_one(lake: Lake) -> None:
    chance = random.Random(7)
    for round_number in range(4):
        process = lake.start("create", f"w{round_number}", 1000)
        time.sleep(chance.uniform(0.02, 0.4))
        process.kill()
        tables = lake.opened()
        made = tables.list("shop.made.")
        promised = {f"shop.made.w{round_number}_{number}" for number in process.acknowledged()}
        assert promised <= set(made)
        for table in made:
            assert set(batches(tables, table).values()) == {ROWS}
        following = f"shop.made.w{round_number}_{len(promised)}"
        tables.overwrite(following, pa.table({"writer": ["x"], "batch": [0], "row": [0]}))
        assert tables.snapshot(following).row_count == 1
        assert tables.verify(following) == []
        tables.overwrite(following, pa.table({"writer": ["x"] * 3, "batch": [0] * 3, "row": [0, 1, 2]}))


def test_appends_of_two_processes_all_stand(lake: Lake) -> None:
    lake.opened().append(SOURCE, pa.table({"id": [1]}))
    processes = [lake.start("append", writer, 25) for writer in ("a", "b")]
    for process in processes:
        process.finish()
        assert process.acknowledged() == list(range(25))
    tables = lake.opened()
    assert batches(tables) == {(writer, number): ROWS for writer in ("a", "b") for number in range(25)}
    assert tables.snapshot(TABLE).version == 49
    assert tables.verify(TABLE) == []
    lineage = Lineage(lake.database)
    runs = {
        edge.run
        for commit in tables.history(TABLE, limit=100)
        for edge in lineage.provenance(TABLE, commit.data_version)
    }
    assert runs == {f"{writer}-{number}" for writer in ("a", "b") for number in range(25)}


def test_updates_of_two_processes_are_never_lost(lake: Lake) -> None:
    lake.opened().append(TABLE, pa.table({"id": [1], "n": [0]}))
    processes = [lake.start("merge", writer, 10) for writer in ("a", "b")]
    for process in processes:
        process.finish()
    snapshot = lake.opened().snapshot(TABLE)
    assert snapshot.to_arrow()["n"].to_pylist() == [20]
    assert snapshot.version == 20
