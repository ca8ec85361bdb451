"""Landing files: once per content, also after a crash at any point, and never a file that is still growing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import Unavailable
from lakehouse.delimited import Column
from lakehouse.files.options import FileOptions
from lakehouse.landing import Landing, quarantine_table
from lakehouse.landing_files import LandingFile, files_in, unchanged_files
from lakehouse.landing_record import LandingRecord
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests.databases import with_tables

TABLE = "p.bronze.orders"
COLUMNS = [Column("id", "int64", nullable=False), Column("name", "string")]


class Lake:
    """A lakehouse with one landing table."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "landing"
        self.folder.mkdir()
        self.database = with_tables(f"sqlite:///{root / 'metadata.db'}")
        self.tables = Tables(str(root / "lakehouse"), self.database)
        self.lineage = Lineage(self.database)
        self.record = LandingRecord(self.database)
        self.landing = self.opened(self.record)

    def opened(self, record: LandingRecord) -> Landing:
        landing = Landing(
            TABLE, COLUMNS, record, self.step, options=FileOptions(null_values=("NA",)), descriptions={"id": "The key."}
        )
        landing.prepare()
        return landing

    def step(self, asset: str) -> Step:
        return Step(
            self.tables, self.lineage, asset=asset, run="run", step="land", code_version="1", engine="polars",
            principal="tester",
        )  # fmt: skip

    def drop(self, name: str, content: bytes) -> LandingFile:
        (self.folder / name).write_bytes(content)
        found = LandingFile.at(self.folder / name)
        assert found
        return found

    def ids(self) -> list[int]:
        return sorted(self.tables.snapshot(TABLE).to_arrow().column("id").to_pylist())

    def quarantined(self) -> list[tuple[int, str]]:
        rows = self.tables.snapshot(quarantine_table(TABLE)).to_arrow().to_pylist()
        return sorted((row["line"], row["raw"]) for row in rows)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def test_good_rows_load_and_the_rest_is_kept_with_reasons(lake: Lake) -> None:
    landed = lake.landing.ingest(lake.drop("a.csv", b"id,name\n1,a\nx,b\n2,caf\xe9\n3,c\n"))
    assert landed
    assert (landed.row_count, landed.rejected_count) == (2, 2)
    assert lake.ids() == [1, 3]
    rows = lake.tables.snapshot(quarantine_table(TABLE)).to_arrow().to_pylist()
    by_line = {row["line"]: row for row in rows}
    assert by_line[3]["reason"] == "id: 'x' is not a valid int64"
    assert (by_line[3]["raw"], by_line[3]["raw_bytes"]) == ("x,b", None)
    assert (by_line[4]["raw"], by_line[4]["raw_bytes"]) == ("2,caf\\xe9", b"2,caf\xe9")
    assert {row["_file"] for row in rows} == {"a.csv"}


def test_a_row_knows_its_file_line_and_lineage(lake: Lake) -> None:
    landed = lake.landing.ingest(lake.drop("a.csv", b"id,name\n1,a\n"))
    assert landed
    snapshot = lake.tables.snapshot(TABLE)
    (row,) = snapshot.to_arrow().to_pylist()
    assert (row["_file"], row["_line"], row["_sha256"]) == ("a.csv", 2, landed.digest)
    edges = lake.lineage.provenance(TABLE, snapshot.data_version)
    assert ("file:a.csv", f"sha256:{landed.digest}") in {(edge.in_asset, edge.in_version) for edge in edges}
    assert snapshot.schema.field("id").metadata == {b"comment": b"The key."}


def test_the_same_content_is_ingested_once_whatever_its_name(lake: Lake) -> None:
    for name in ("a.csv", "a.csv", "copy.csv"):
        lake.landing.ingest(lake.drop(name, b"id,name\n1,a\nx,b\n"))
    assert lake.ids() == [1]
    assert lake.quarantined() == [(3, "x,b")]
    assert [item.file for item in lake.record.files(TABLE)] == ["a.csv"]


def test_another_content_under_the_same_name_is_another_file(lake: Lake) -> None:
    lake.landing.ingest(lake.drop("a.csv", b"id,name\n1,a\n"))
    lake.landing.ingest(lake.drop("a.csv", b"id,name\n2,a\n"))
    assert lake.ids() == [1, 2]


@pytest.mark.parametrize("point", ["before quarantine", "before record"])
def test_a_crash_at_any_point_and_a_repetition_give_the_rows_once(lake: Lake, point: str) -> None:
    class Dies(LandingRecord):
        def record(self, *args: object) -> None:
            raise Unavailable("killed")

    file = lake.drop("a.csv", b"id,name\n1,a\nx,b\n2,c\n")
    broken = lake.opened(Dies(lake.database))
    if point == "before quarantine":

        def step(asset: str) -> Step:
            if asset == quarantine_table(TABLE):
                raise Unavailable("killed")
            return lake.step(asset)

        broken._open_step = step
    with pytest.raises(Unavailable):
        broken.ingest(file)
    assert lake.record.files(TABLE) == []
    lake.landing.ingest(file)
    assert lake.ids() == [1, 2]
    assert lake.quarantined() == [(3, "x,b")]


def test_two_runs_at_once_give_the_rows_once(lake: Lake, tmp_path: Path) -> None:
    files = [lake.drop(f"{n}.csv", f"id,name\n{n},a\nx{n},b\n".encode()) for n in range(6)]
    failures: list[Exception] = []

    def ingest(tables: Tables) -> None:
        def step(asset: str) -> Step:
            return Step(
                tables, Lineage(lake.database), asset=asset, run="r", step="s", code_version="1", engine="polars",
                principal="tester",
            )  # fmt: skip

        landing = Landing(TABLE, COLUMNS, lake.record, step)
        for file in files:
            try:
                landing.ingest(file)
            except Exception as error:  # a clear conflict is allowed, a doubled row is not
                failures.append(error)

    # Two instances of Tables know nothing of each other, like two processes.
    threads = [threading.Thread(target=ingest, args=(Tables(lake.tables.storage.root, lake.database),)) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for file in files:
        lake.landing.ingest(file)
    assert lake.ids() == list(range(6)), failures
    assert len(lake.quarantined()) == 6


class TestUnfinishedFiles:
    def test_a_file_that_changes_while_it_is_read_is_left_alone(self, lake: Lake) -> None:
        seen = lake.drop("a.csv", b"id,name\n1,a\n")
        lake.drop("a.csv", b"id,name\n1,a\n2,b\n")
        assert lake.landing.ingest(seen) is None
        assert lake.ids() == []

    def test_a_growing_file_is_not_settled(self, lake: Lake) -> None:
        quiet, growing = lake.drop("a.csv", b"1"), lake.drop("b.csv", b"1")
        stop = threading.Event()

        def grow() -> None:
            while not stop.is_set():
                with growing.path.open("ab") as file:
                    file.write(b"1")
                time.sleep(0.01)

        thread = threading.Thread(target=grow)
        thread.start()
        try:
            assert unchanged_files([quiet, growing], seconds=0.2) == [quiet]
        finally:
            stop.set()
            thread.join()

    @pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to("/etc/hostname")])
    def test_folders_and_links_are_no_files(self, lake: Lake, make: Callable[[Path], None]) -> None:
        make(lake.folder / "a.csv")
        assert files_in(lake.folder, "*.csv") == []

    def test_hidden_and_partial_files_are_passed_over(self, lake: Lake) -> None:
        for name in (".a.csv", "a.csv.part", "a.csv.tmp", "b.txt", "c.csv"):
            lake.drop(name, b"x")
        assert [file.path.name for file in files_in(lake.folder, "*.csv*")] == ["c.csv"]


def test_preparing_again_changes_nothing(lake: Lake) -> None:
    before = lake.tables.snapshot(TABLE).data_version
    lake.landing.prepare()
    assert lake.tables.snapshot(TABLE).data_version == before
