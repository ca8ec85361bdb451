"""Versions of landed files are made again from the same files, or refused by the name of a file that is gone.

The kind: a reproduction that ingests other files than the version, one that changes the record of ingested files so
that a file is never ingested, and a missing file that is a failure without a verdict.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from core.settings import load_settings
from lakehouse import branch_records
from lakehouse.landing_files import landing_folder
from lakehouse.landing_record import LandingRecord
from tests import slices
from tests.assets.test_branches import Branched
from tests.assets.test_landing_table import HEADER, KEYS, QUARANTINE, ROW, TABLE

BAD = "2014,13,1,x,515,2,830,819,11,UA,1,N1,EWR,IAH,227,1400,5,15,\n"


class Landed(Branched):
    """A table that ingested two files, of which the second one has a bad line."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        super().__init__(instance)
        self.folder = landing_folder(load_settings().effective_landing_url, TABLE)
        self.folder.mkdir(parents=True)
        for name, rows in (("a.csv", ROW.format(day=1, flight=1)), ("b.csv", ROW.format(day=2, flight=1) + BAD)):
            self.land(name, rows)
            assert slices.run(self.definitions, instance, dg.AssetSelection.assets(*KEYS)).success

    def land(self, name: str, rows: str) -> None:
        (self.folder / name).write_text(HEADER + rows)

    def version(self, table: str, number: int) -> str:
        return f"{self.tables.snapshot(table).table_id}@{number}"

    def ingested(self) -> list[str]:
        return [one.file for one in LandingRecord(self.database).files(TABLE)]


@pytest.fixture
def place(home: Path) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Landed(instance)


def test_each_version_is_made_from_its_own_file(place: Landed) -> None:
    place.land("c.csv", ROW.format(day=3, flight=1))
    newest = place.tables.snapshot(TABLE).version
    for table, number, rows in ((TABLE, newest - 1, 1), (TABLE, newest, 1), (TABLE, 0, 0), (QUARANTINE, 1, 1)):
        row = place.reproduced(table, place.version(table, number))
        assert (row.verdict, row.reason) == ("EQUAL", f"All rows are equal: {rows} of {rows}."), (table, number)
    assert (place.ingested(), place.tables.snapshot(TABLE).version) == (["a.csv", "b.csv"], newest)


@pytest.mark.parametrize("change", ["removed", "changed", "renamed"])
def test_a_file_that_is_gone_is_named(place: Landed, change: str) -> None:
    file = place.folder / "b.csv"
    match change:
        case "removed":
            file.unlink()
        case "changed":
            place.land("b.csv", ROW.format(day=4, flight=1))
        case _:
            file.rename(place.folder / "other.csv")
    row = place.reproduced(TABLE)
    assert row.verdict == "NOT_REPRODUCIBLE"
    assert "b.csv was removed from the landing folder, or changed" in row.reason


def test_a_branch_ingests_files_and_its_merge_keeps_them_once(place: Landed) -> None:
    with place.database.write() as connection:
        versions = {name: place.tables.snapshot(name).data_version for name in (TABLE, QUARANTINE)}
        connection.execute(branch_records.BRANCH.update().values(versions=versions))
    place.land("c.csv", ROW.format(day=3, flight=1))
    place.make(TABLE, QUARANTINE)
    assert (place.view().snapshot(TABLE).row_count, place.tables.snapshot(TABLE).row_count) == (3, 2)
    assert place.ingested() == ["a.csv", "b.csv"]
    place.merge()
    assert place.tables.snapshot(TABLE).row_count == 3
    assert slices.run(place.definitions, place.instance, dg.AssetSelection.assets(*KEYS)).success
    assert (place.tables.snapshot(TABLE).row_count, place.ingested()) == (3, ["a.csv", "b.csv", "c.csv"])
