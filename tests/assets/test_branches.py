"""Assets made in a stored branch, and its merge: all tables or none, each once, with the inputs of the lakehouse.

The kind: a run in a branch that changes the project, a merge that overwrites what others wrote, that doubles a version
after it was killed, or whose lineage names versions that only the branch had.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from core import clock
from core.ids import new_id
from core.settings import load_settings
from dagster_project.branch_runs import merge_branch, run_branch
from dagster_project.internals import execute_job
from lakehouse import branch_records
from lakehouse.branch_merge import MergeState, merge_steps, merge_table
from lakehouse.branches import BranchTables, areas
from lakehouse.step import Step
from resources.delta import Delta
from resources.vectors import Vectors
from tests import slices
from tests.assets.test_reproduce import BRONZE, KEYS, SILVER, Place, edge_count, state

NEW_LINE = "ZZ,Another\n"


class Branched(Place):
    """The airlines, and a branch of both tables."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        super().__init__(instance)
        extra = dg.Definitions(jobs=[run_branch, merge_branch], resources={"vectors": Vectors()})
        self.definitions = dg.Definitions.merge(self.definitions, extra)
        self.id = self.branch()

    def branch(self) -> str:
        """Stores a branch of the newest versions as the API does, and returns its id."""
        id = new_id("bra")
        versions = {name: self.tables.snapshot(name).data_version for name in (BRONZE, SILVER)}
        texts = {"name": id[-8:].lower(), "description": "", "state": "OPEN", "created_by": "ann"}
        empty: dict[str, Any] = {"code_versions": {}, "produced": {}}
        row = {"id": id, "organization_id": "o", "project_id": "p", "versions": versions, **empty, **texts}
        with self.database.write() as connection:
            connection.execute(branch_records.BRANCH.insert().values(created_at=clock.now(), **row))
        return id

    @property
    def row(self) -> Any:
        return branch_records.find(self.database, self.id)

    def view(self, id: str = "") -> BranchTables:
        row = branch_records.find(self.database, id or self.id)
        assert row is not None
        return BranchTables(self.tables, branch_records.plan_of(row))

    def execute(self, job: str, config: dict[str, Any]) -> Any:
        ops = {f"{job}_{'assets' if job == 'run_branch' else 'tables'}": {"config": config}}
        return execute_job(self.definitions.get_repository_def(), job, {"ops": ops}, instance=self.instance)

    def make(self, *assets: str, id: str = "") -> None:
        assert self.execute("run_branch", {"branch": id or self.id, "assets": list(assets)}).success

    def merge(self, id: str = "") -> None:
        assert self.execute("merge_branch", {"branch": id or self.id}).success

    def new_line(self) -> None:
        """Delivers another airline."""
        (file,) = (Path(load_settings().effective_landing_url) / "flights").glob("airlines.csv*")
        file.write_text(file.read_text() + NEW_LINE)


@pytest.fixture
def place(home: Path) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Branched(instance)


def test_a_run_sees_the_tables_of_its_branch_and_changes_no_other(place: Branched) -> None:
    before, edges = state(place), edge_count(place)
    place.new_line()
    place.make(BRONZE)
    place.make(SILVER)
    branch = place.view()
    assert (branch.snapshot(BRONZE).row_count, branch.snapshot(SILVER).row_count) == (17, 17)
    assert (place.tables.snapshot(SILVER).row_count, state(place), edge_count(place)) == (16, before, edges)
    assert place.row.produced[SILVER]["checks"]["unique_carrier"] == {
        "passed": True,
        "severity": "ERROR",
        "blocking": True,
    }
    assert areas(place.tables.storage) == [place.id]


def test_a_branch_keeps_its_versions_when_the_project_moves_on(place: Branched) -> None:
    place.new_line()
    assert slices.run(place.definitions, place.instance, dg.AssetSelection.assets(KEYS[0])).success
    place.make(SILVER)
    assert place.view().snapshot(SILVER).row_count == 16


def test_a_merge_makes_one_version_of_each_changed_table(place: Branched) -> None:
    place.new_line()
    place.make(BRONZE, SILVER)
    place.merge()
    bronze, silver = place.tables.snapshot(BRONZE), place.tables.snapshot(SILVER)
    assert (bronze.version, bronze.row_count, silver.version, silver.row_count) == (1, 17, 1, 17)
    edges = place.lineage.provenance(SILVER, silver.data_version)
    assert {(edge.in_asset, edge.in_version) for edge in edges} == {(BRONZE, bronze.data_version)}
    event = place.instance.get_latest_materialization_event(KEYS[1])
    assert event is not None
    assert event.asset_materialization is not None
    tags, input_key = event.asset_materialization.tags or {}, KEYS[0].to_user_string()
    assert tags["dagster/data_version"] == silver.data_version
    # Without both, Dagster shows the asset as stale.
    assert tags[f"dagster/input_data_version/{input_key}"] == bronze.data_version
    assert tags[f"dagster/input_event_pointer/{input_key}"].isdigit()
    assert (place.row.state, place.row.merged_at is None) == ("MERGED", False)
    # The merged checks count, and a run with the same inputs finds the same rows.
    assert slices.run(place.definitions, place.instance, dg.AssetSelection.assets(KEYS[1])).success
    assert place.tables.snapshot(SILVER).version == 1


def test_a_second_merge_changes_nothing(place: Branched) -> None:
    place.new_line()
    place.make(BRONZE, SILVER)
    place.merge()
    before, edges = state(place), edge_count(place)
    place.merge()
    assert (state(place), edge_count(place)) == (before, edges)


def test_a_merge_that_was_killed_continues(place: Branched) -> None:
    place.new_line()
    place.make(BRONZE, SILVER)
    merge_table(place.view(), Delta().lineage(), BRONZE)  # and then the process is killed
    assert [(step.table, step.state) for step in merge_steps(place.view())] == [
        (BRONZE, MergeState.MERGED),
        (SILVER, MergeState.CHANGED),
    ]
    place.merge()
    assert (place.tables.snapshot(BRONZE).version, place.tables.snapshot(SILVER).version) == (1, 1)
    for name, key in zip((BRONZE, SILVER), KEYS, strict=True):
        event = place.instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        tags = event.asset_materialization.tags or {}
        assert tags["dagster/data_version"] == place.tables.snapshot(name).data_version


def test_a_table_that_moved_on_is_a_conflict_and_nothing_is_merged(place: Branched) -> None:
    place.new_line()
    place.make(BRONZE, SILVER)
    rows = place.tables.snapshot(SILVER).scan().head(3).collect()
    step = Step(
        place.tables, place.lineage, asset=SILVER, run="r", step="s", code_version="", engine="test", principal="ann"
    )
    step.overwrite(rows)
    with pytest.raises(dg.Failure, match=r"Nothing was merged, because 1 tables have conflicts\. flights\.silver"):
        place.merge()
    assert (place.tables.snapshot(BRONZE).version, place.tables.snapshot(SILVER).row_count) == (0, 3)
    assert place.row.state == "OPEN"


def test_of_two_branches_one_wins(place: Branched) -> None:
    other = place.branch()
    place.new_line()
    place.make(BRONZE)
    place.make(BRONZE, id=other)
    place.merge()
    with pytest.raises(dg.Failure, match="Nothing was merged"):
        place.merge(other)
    assert place.tables.snapshot(BRONZE).version == 1


def test_a_compaction_of_the_project_is_no_conflict(place: Branched) -> None:
    place.new_line()
    place.make(BRONZE)
    place.tables.add_constraint(BRONZE, "named", "name IS NOT NULL")
    place.merge()
    assert place.tables.snapshot(BRONZE).row_count == 17


def test_a_failed_blocking_check_is_a_conflict(place: Branched) -> None:
    (file,) = (Path(load_settings().effective_landing_url) / "flights").glob("airlines.csv*")
    file.write_text(file.read_text().splitlines()[0] + "\n")
    with pytest.raises(dg.Failure):
        place.make(BRONZE, SILVER)
    (conflict,) = [
        step
        for step in merge_steps(place.view(), branch_records.failed_checks(place.row))
        if step.state is MergeState.CONFLICT
    ]
    assert conflict.table == BRONZE
    assert "row_count" in conflict.reason
    with pytest.raises(dg.Failure, match="blocking checks"):
        place.merge()
    assert place.tables.snapshot(BRONZE).version == 0


def test_the_same_rows_are_not_merged(place: Branched) -> None:
    place.make(BRONZE, SILVER)
    assert {step.state for step in merge_steps(place.view())} == {MergeState.UNCHANGED}
    place.merge()
    assert place.tables.snapshot(SILVER).version == 0


def test_maintenance_discards_expired_branches(place: Branched) -> None:
    place.make(BRONZE)
    place.tables.pins.pin(place.id, BRONZE, 0)
    assert branch_records.discard_expired(place.database, place.tables) == []
    with place.database.write() as connection:
        connection.execute(branch_records.BRANCH.update().values(expires_at=clock.now()))
    assert branch_records.discard_expired(place.database, place.tables) == [place.id]
    assert (areas(place.tables.storage), place.tables.pins.pins(), place.row) == ([], [], None)
