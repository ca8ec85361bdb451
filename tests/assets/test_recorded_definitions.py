"""Recorded definitions run in branches and reproductions, also after the project runs another one, or none.

The kind: a branch that runs today's definition, a reproduction that refuses a version because its definition changed,
and a recorded definition that today's code can't build and that fails without a reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.rows import Row, build, code_versions_of
from core import clock, publications
from core.definition_revisions import RecordedDefinition
from core.definitions import DEFINITION, DEFINITION_REVISION_KEY, published_definitions
from core.ids import asset_key
from core.publisher import Candidate
from dagster_project.branch_runs import merge_branch, run_branch
from dagster_project.reproduction_runs import reproduce
from lakehouse import branch_definitions, branch_records
from lakehouse.branch_merge import MergeState, merge_steps
from resources.vectors import Vectors
from tests import slices
from tests.assets.test_branches import Branched
from tests.assets.test_reproduce import SILVER

pytestmark = pytest.mark.filterwarnings("ignore:Function `Definitions.map:dagster.PreviewWarning")

TRIAL = "flights.gold.trial"
KEY = dg.AssetKey(asset_key(TRIAL))
FIRST, SECOND, THIRD = (f"SELECT carrier, {number} AS n FROM {SILVER}" for number in (1, 2, 3))


class Published(Branched):
    """The airlines, and a definition that is published in two revisions, of which each made a version."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        super().__init__(instance)
        now = clock.now()
        row = {"asset_id": TRIAL, "project": "flights", "component": "SqlTransformComponent", "attributes": {}}
        with self.database.write() as connection:
            when = {"created_at": now, "updated_at": now, "created_by": "ann", "revision": 1}
            connection.execute(DEFINITION.insert().values(**row, **when))
        self.publish(FIRST, 1)
        self.publish(SECOND, 2)
        with self.database.write() as connection:
            versions = self.row.versions | {TRIAL: self.tables.snapshot(TRIAL).data_version}
            connection.execute(branch_records.BRANCH.update().values(versions=versions))

    def publish(self, sql: str, revision: int) -> None:
        """Publishes a revision, and materializes the asset."""
        self.activate(sql, revision)
        assert slices.run(self.definitions, self.instance, dg.AssetSelection.assets(KEY)).success

    def activate(self, sql: str, revision: int) -> None:
        attributes = {"asset": TRIAL, "description": "Airlines.", "sql": sql}
        with self.database.write() as connection:
            publications.activate(
                connection,
                Candidate(TRIAL, "SqlTransformComponent", attributes, revision),
                assets=[TRIAL],
                reads=[SILVER],
                code_assets={},
                principal="ann",
                principal_id="usr_ann",
                code_versions=code_versions_of(build(Row(TRIAL, "SqlTransformComponent", attributes))),
            )
        self.load()

    def load(self) -> None:
        """Loads what is published, as the code location does."""
        with self.database.read() as connection:
            built = [build(Row.of(one)) for one in published_definitions(connection)]
        own = dg.Definitions(jobs=[reproduce, run_branch, merge_branch], resources={"vectors": Vectors()})
        self.definitions = dg.Definitions.merge(slices.tables(), own, *built)

    def retire(self) -> None:
        with self.database.write() as connection:
            publications.retire(connection, TRIAL, principal="ann")
        self.load()

    def pin(self, revision: int) -> None:
        with self.database.write() as connection:
            branch_definitions.pin(connection, self.id, {TRIAL: revision})

    def put(self, sql: str) -> None:
        """Changes the definition in the branch."""
        attributes = {"asset": TRIAL, "description": "Airlines.", "sql": sql}
        definition = RecordedDefinition(TRIAL, None, "SqlTransformComponent", attributes, (SILVER,), {TRIAL: ""})
        with self.database.write() as connection:
            branch_definitions.put(connection, self.id, definition)

    def values(self) -> set[Any]:
        """The values of the table in the branch."""
        return set(self.view().snapshot(TRIAL).to_arrow()["n"].to_pylist())


@pytest.fixture
def place(home: Path) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Published(instance)


def test_versions_name_the_revision_that_made_them(place: Published) -> None:
    events = place.instance.fetch_materializations(KEY, limit=2).records
    revisions = [one.asset_materialization.metadata[DEFINITION_REVISION_KEY].value for one in events]  # type: ignore[union-attr]
    assert revisions == [2, 1]


def test_a_branch_runs_the_revision_that_it_pins(place: Published) -> None:
    place.pin(1)
    place.make(TRIAL)
    assert (place.values(), set(place.tables.snapshot(TRIAL).to_arrow()["n"].to_pylist())) == ({1}, {2})
    with pytest.raises(dg.Failure, match="Publish the definition of the branch"):
        place.merge()
    assert place.tables.snapshot(TRIAL).version == 1


def test_a_retired_definition_runs_in_a_branch_and_is_not_merged(place: Published) -> None:
    place.pin(1)
    place.retire()
    place.make(TRIAL)
    assert place.values() == {1}
    with pytest.raises(dg.Failure, match="retired"):
        place.merge()


def test_a_definition_of_the_branch_is_merged_once_it_is_published(place: Published) -> None:
    place.put(THIRD)
    place.make(TRIAL)
    assert place.values() == {3}
    reasons = branch_records.outdated(place.row, {TRIAL: "another"})
    assert [(one.table, one.state) for one in merge_steps(place.view(), {}, reasons)] == [(TRIAL, MergeState.CONFLICT)]
    place.activate(THIRD, 3)
    place.merge()
    assert set(place.tables.snapshot(TRIAL).to_arrow()["n"].to_pylist()) == {3}


def test_a_recorded_definition_that_cannot_be_built_says_why(place: Published) -> None:
    place.put("SELEKT")
    with pytest.raises(dg.Failure, match=r"The recorded definition of flights\.gold\.trial can't be an asset"):
        place.make(TRIAL)


def test_an_earlier_version_is_made_by_its_revision(place: Published) -> None:
    first = f"{place.tables.snapshot(TRIAL).table_id}@0"
    row = place.reproduced(TRIAL, first)
    assert (row.verdict, row.reason) == ("EQUAL", "All rows are equal: 16 of 16.")
    place.retire()
    for version in (first, None):
        assert place.reproduced(TRIAL, version).verdict == "EQUAL"


def test_a_version_of_code_that_is_not_recorded_is_refused(place: Published) -> None:
    row = place.reproduced(TRIAL, None, code_version="another")
    assert row.verdict == "NOT_REPRODUCIBLE"
    assert "its version was another" in row.reason
