"""What a version was copied from: over steps, columns, earlier versions of a table, and clones."""

from __future__ import annotations

import pyarrow as pa
import pytest

from core.db import Database
from lakehouse.copies import copied
from lakehouse.lineage import Lineage
from lakehouse.repair import repair_lineage
from lakehouse.step import Step
from lakehouse.tables import Tables

PEOPLE, CALLS, STAFF, REPORT = "a.raw.people", "a.raw.calls", "a.core.staff", "a.gold.report"


@pytest.fixture
def lineage(database: Database) -> Lineage:
    return Lineage(database)


def step(tables: Tables, lineage: Lineage, asset: str, run: str = "r") -> Step:
    names = {"run": run, "step": "s", "code_version": "1", "engine": "test", "principal": "ada"}
    return Step(tables, lineage, asset=asset, **names)


def make(tables: Tables, lineage: Lineage, asset: str, *inputs: str, run: str = "r", **columns: list) -> str:
    """Writes a table from others; with the sources of its columns, if given. Returns the version."""
    one = step(tables, lineage, asset, run)
    for name in inputs:
        one.read(name)
    if columns:
        one.declare_columns(columns)
    return one.overwrite(pa.table({name: [run] for name in columns or ("x",)})).data_version


def test_follows_steps_and_their_columns(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE, name=[], salary=[])
    make(tables, lineage, CALLS, caller=[], minutes=[])
    make(tables, lineage, STAFF, PEOPLE, CALLS, who=[(PEOPLE, "name")], long=[(CALLS, "minutes")])
    version = make(tables, lineage, REPORT, STAFF, who=[(STAFF, "who")])
    found = copied(lineage, REPORT, version)
    assert found.complete
    assert found.columns == {STAFF: {"who"}, PEOPLE: {"name"}}, "the report has no column of the calls"


def test_without_recorded_columns_everything_that_was_read_is_copied(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    make(tables, lineage, CALLS)
    make(tables, lineage, STAFF, PEOPLE, CALLS)
    version = make(tables, lineage, REPORT, STAFF, who=[(STAFF, "x")])
    assert copied(lineage, REPORT, version).columns == {STAFF: {"x"}, PEOPLE: None, CALLS: None}


def test_a_table_that_only_selects_rows_is_not_copied(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    make(tables, lineage, CALLS)
    version = make(tables, lineage, REPORT, PEOPLE, CALLS, who=[(PEOPLE, "x")])
    assert set(copied(lineage, REPORT, version).columns) == {PEOPLE}


def test_rows_of_earlier_versions_stay(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    make(tables, lineage, CALLS)
    first = make(tables, lineage, REPORT, PEOPLE, run="1")
    appending = step(tables, lineage, REPORT, "2")
    appending.read(CALLS)
    appending.declare_columns({"x": [(CALLS, "x")]})
    second = appending.append(pa.table({"x": ["2"]})).data_version
    third = make(tables, lineage, REPORT, CALLS, run="3")
    assert set(copied(lineage, REPORT, first).columns) == {PEOPLE}
    assert set(copied(lineage, REPORT, second).columns) == {PEOPLE, CALLS}
    assert set(copied(lineage, REPORT, third).columns) == {CALLS}, "it replaced all rows"
    assert set(copied(lineage, REPORT).columns) == {PEOPLE, CALLS}, "any version"


def test_a_restored_version_is_a_copy_of_what_any_version_before_was(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    make(tables, lineage, CALLS)
    make(tables, lineage, REPORT, PEOPLE, run="1")
    make(tables, lineage, REPORT, CALLS, run="2")
    restored = tables.restore(REPORT, 0).data_version
    assert set(copied(lineage, REPORT, restored).columns) == {PEOPLE, CALLS}


def test_a_version_that_is_used_again_keeps_its_sources(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    make(tables, lineage, CALLS)
    same = {"x": ["same"]}
    for name in (PEOPLE, CALLS):
        one = step(tables, lineage, REPORT, name)
        one.read(name)
        version = one.overwrite(pa.table(same)).data_version
    assert version.endswith("@0")
    assert set(copied(lineage, REPORT, version).columns) == {PEOPLE, CALLS}


def test_a_clone_is_a_copy(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    tables.clone(PEOPLE, STAFF)
    repair_lineage(tables, lineage, [STAFF])
    version = make(tables, lineage, REPORT, STAFF)
    assert copied(lineage, REPORT, version).columns == {STAFF: None, PEOPLE: {"x"}}


def test_a_deleted_source_stays_a_source(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    make(tables, lineage, STAFF, PEOPLE)
    version = make(tables, lineage, REPORT, STAFF)
    lineage.tombstone(STAFF)
    assert set(copied(lineage, REPORT, version).columns) == {STAFF, PEOPLE}


def test_a_walk_can_leave_out_assets_and_gives_up_at_its_limit(tables: Tables, lineage: Lineage) -> None:
    make(tables, lineage, PEOPLE)
    make(tables, lineage, STAFF, PEOPLE)
    version = make(tables, lineage, REPORT, STAFF)
    assert copied(lineage, REPORT, version, without=[STAFF]).columns == {}
    assert not copied(lineage, REPORT, version, max_versions=1).complete
