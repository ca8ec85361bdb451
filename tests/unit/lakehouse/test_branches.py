"""Tables as a branch sees them: its own, and those of the lakehouse at pinned versions.

The kind: a write in a branch that reaches the lakehouse, a read that moves on with it, and an append that is repeated
because a copy doesn't know it.
"""

from __future__ import annotations

import pyarrow as pa
import pytest

from core.db import Database
from core.errors import UnknownVersion, WriteConflict
from lakehouse.branch_merge import MergeState, merge_steps, merge_table
from lakehouse.branches import BranchLineage, BranchPlan, BranchTables, areas, remove_area
from lakehouse.lineage import Lineage
from lakehouse.query import Query
from lakehouse.step import Step
from lakehouse.tables import Tables

INPUT, OUTPUT = "shop.raw.orders", "shop.gold.totals"


def rows(*values: int) -> pa.Table:
    return pa.table({"value": pa.array(values, pa.int64())})


def values(tables: Tables, table: str) -> list[int]:
    return sorted(tables.snapshot(table).to_arrow()["value"].to_pylist())


def step(tables: Tables, lineage: Lineage, asset: str = OUTPUT) -> Step:
    return Step(tables, lineage, asset=asset, run="r", step="s", code_version="1", engine="test", principal="ann")


@pytest.fixture
def branch(tables: Tables) -> BranchTables:
    """A branch of an input with 1 and an output with 10, which are 1, 2 and 10, 20 in the lakehouse by now."""
    tables.append(INPUT, rows(1))
    tables.append(OUTPUT, rows(10), once="first")
    pins = {INPUT: tables.snapshot(INPUT).data_version}
    plan = BranchPlan("bra_1", (OUTPUT,), pins, {OUTPUT: tables.snapshot(OUTPUT).data_version})
    tables.append(INPUT, rows(2))
    opened = BranchTables(tables, BranchPlan.from_json(plan.to_json()))
    opened.start()
    return opened


def test_every_read_is_of_the_pinned_version(tables: Tables, branch: BranchTables) -> None:
    assert (values(branch, INPUT), values(tables, INPUT)) == ([1], [1, 2])
    assert Query(branch).sql(f"SELECT sum(value) AS total FROM {INPUT}").table["total"].to_pylist() == [1]
    assert branch.snapshot(INPUT, version=1).row_count == 2, "a version that is named is that version"


def test_writes_reach_only_the_area(tables: Tables, branch: BranchTables, database: Database) -> None:
    lineage = BranchLineage(database, branch)
    made = step(branch, lineage)
    made.read(INPUT)
    commit = made.overwrite(rows(99))
    assert (values(branch, OUTPUT), values(tables, OUTPUT)) == ([99], [10])
    assert [edge.in_asset for edge in lineage.provenance(OUTPUT, commit.data_version)] == [INPUT]
    assert Lineage(database).provenance(OUTPUT, commit.data_version) == []
    assert tables.list() == [OUTPUT, INPUT]
    assert areas(tables.storage) == ["bra_1"]
    remove_area(tables.storage, "bra_1")
    remove_area(tables.storage, "bra_1")
    assert (areas(tables.storage), values(tables, OUTPUT)) == ([], [10])


def test_a_table_that_was_created_again_is_another_one(tables: Tables) -> None:
    tables.append(INPUT, rows(1))
    plan = BranchPlan("bra_1", (), {INPUT: "00000000-0000-0000-0000-000000000000@0"})
    with pytest.raises(UnknownVersion, match="created again"):
        BranchTables(tables, plan).snapshot(INPUT)


def test_appends_of_the_base_are_not_repeated(branch: BranchTables, database: Database) -> None:
    step(branch, BranchLineage(database, branch)).append(rows(10), once="first")
    assert values(branch, OUTPUT) == [10]


def test_a_merge_of_appends_only_appends(tables: Tables, branch: BranchTables, database: Database) -> None:
    step(branch, BranchLineage(database, branch)).append(rows(20), once="second")
    before = set(tables.snapshot(OUTPUT).paths)
    assert [one.state for one in merge_steps(branch)] == [MergeState.CHANGED]
    merged = merge_table(branch, Lineage(database), OUTPUT)
    assert (values(tables, OUTPUT), before < set(merged.paths)) == ([10, 20], True)
    tables.append(OUTPUT, rows(20), once="second")
    assert values(tables, OUTPUT) == [10, 20], "the append is known"
    assert [one.state for one in merge_steps(branch)] == [MergeState.MERGED]


def test_a_merge_replaces_no_commit_of_another(tables: Tables, branch: BranchTables, database: Database) -> None:
    step(branch, BranchLineage(database, branch)).overwrite(rows(99))
    tables.append(OUTPUT, rows(30))
    assert [one.state for one in merge_steps(branch)] == [MergeState.CONFLICT]
    with pytest.raises(WriteConflict):
        merge_table(branch, Lineage(database), OUTPUT)
    assert values(tables, OUTPUT) == [10, 30]
