"""Versions made again in a branch from their pins: equal, and different or refused where a condition differs.

The kind: a verdict that can't fail, one that blames the asset for a changed input, and a run in a branch that leaves
something in the lakehouse or in Dagster's record of the asset.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa

from core import clock
from core.db import Database
from core.ids import asset_key, new_id
from core.settings import load_settings
from dagster_project.internals import execute_job
from dagster_project.reproduction_runs import reproduce
from jobs.maintenance import maintain_tables
from lakehouse import reproductions
from lakehouse.branches import AREAS, areas
from lakehouse.lineage import LINEAGE_EDGE, Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests import slices

BRONZE, SILVER = "flights.bronze.airlines", "flights.silver.airlines"
KEYS = [dg.AssetKey(asset_key(name)) for name in (BRONZE, SILVER)]


class Place:
    """Bronze and silver of the airlines, materialized once, with their instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.tables: Tables = slices.open_tables()
        self.database = Database(load_settings().effective_database_url)
        self.lineage = Lineage(self.database)
        self.definitions = dg.Definitions.merge(slices.tables(), dg.Definitions(jobs=[reproduce, maintain_tables]))
        assert slices.run(self.definitions, instance, dg.AssetSelection.assets(*KEYS)).success

    def planned(self, name: str, version: str | None = None, **changes: Any) -> str:
        """Stores a reproduction as the API does, and returns its id."""
        wanted = version or self.tables.snapshot(name).data_version
        step = reproductions.recorded_steps(self.lineage, name, wanted)[0]
        values = {"organization_id": "org_1", "operation_id": "op_1", "created_at": clock.now(), "created_by": "ann"}
        id = new_id("rep")
        row = {"id": id, "asset": name, "version": wanted, "recorded": step.to_json() | changes, **values}
        with self.database.write() as connection:
            connection.execute(reproductions.REPRODUCTION.insert().values(row))
        return id

    def run(self, id: str) -> Any:
        """Runs a reproduction, and returns its row."""
        config = {"ops": {"reproduce_version": {"config": {"reproduction": id}}}}
        result = execute_job(self.definitions.get_repository_def(), "reproduce", config, instance=self.instance)
        assert result.success
        return reproductions.find(self.database, id)

    def reproduced(self, name: str, version: str | None = None, **changes: Any) -> Any:
        return self.run(self.planned(name, version, **changes))


@pytest.fixture
def place(home: Path) -> Any:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Place(instance)


def test_the_same_rows_are_equal_and_nothing_else_moves(place: Place) -> None:
    before, edges = state(place), edge_count(place)
    row = place.reproduced(SILVER)
    assert (row.verdict, row.reason) == ("EQUAL", "All rows are equal: 16 of 16.")
    assert row.result["comparison"]["recorded_digest"] == row.result["comparison"]["reproduced_digest"]
    assert {one["recorded"] == one["reproduced"] for one in row.result["conditions"].values()} == {True}
    assert (state(place), edge_count(place)) == (before, edges)
    assert (areas(place.tables.storage), place.tables.pins.pins(), place.tables.list("_")) == ([], [], [])


def test_an_older_version_is_made_from_the_inputs_of_then(place: Place) -> None:
    """Silver is equal to its first version although bronze has another newest version."""
    first = place.tables.snapshot(SILVER).data_version
    rows = place.tables.snapshot(BRONZE).scan().head(3).collect()
    Step(
        place.tables, place.lineage, asset=BRONZE, run="r", step="s", code_version="", engine="test", principal="ann"
    ).overwrite(rows)
    assert place.reproduced(SILVER, first).verdict == "EQUAL"


def test_one_changed_row_is_different(place: Place) -> None:
    snapshot = place.tables.snapshot(SILVER)
    (edge, *_) = place.lineage.provenance(SILVER, snapshot.data_version)
    rows = snapshot.scan().collect()
    name = rows["name"][0]
    changed = rows.with_columns(pl.when(pl.col("name") == name).then(pl.lit("x")).otherwise("name").alias("name"))
    step = Step(
        place.tables,
        place.lineage,
        asset=SILVER,
        run="r",
        step="s",
        code_version=edge.code_version,
        engine="polars",
        principal="ann",
    )
    step.read(BRONZE)
    step.overwrite(changed.to_arrow().cast(snapshot.schema))
    row = place.reproduced(SILVER)
    assert row.verdict == "DIFFERENT"
    figures = row.result["comparison"]
    assert (figures["columns"], figures["only_recorded"], figures["only_reproduced"]) == (["name"], 1, 1)
    assert "They differ in name." in row.reason


def test_a_vacuumed_input_is_named(place: Place) -> None:
    snapshot = place.tables.snapshot(BRONZE)
    id = place.planned(SILVER)
    (Path(snapshot.uri.removeprefix("file://")) / snapshot.paths[0]).unlink()
    row = place.run(id)
    assert row.verdict == "NOT_REPRODUCIBLE"
    assert f"data files of version {snapshot.data_version} of {BRONZE}" in row.reason


def test_an_input_created_again_under_its_name_is_another_input(place: Place) -> None:
    old = f"00000000-0000-0000-0000-000000000000@{place.tables.snapshot(BRONZE).version}"
    row = place.reproduced(SILVER, inputs={BRONZE: old})
    assert row.verdict == "NOT_REPRODUCIBLE"
    assert "created again" in row.reason


def test_a_changed_file_is_no_difference_of_the_asset(place: Place) -> None:
    id = place.planned(BRONZE)
    (file,) = (Path(load_settings().effective_landing_url) / "flights").glob("airlines.csv*")
    file.write_text(file.read_text() + "ZZ,Another\n")
    row = place.run(id)
    assert row.verdict == "NOT_REPRODUCIBLE"
    assert row.reason.startswith("The step read other inputs: file:")


def test_changed_code_is_refused(place: Place) -> None:
    row = place.reproduced(SILVER, code_version="of last year")
    assert row.verdict == "NOT_REPRODUCIBLE"
    assert "its version was of last year" in row.reason


def test_an_asset_that_nothing_produces_is_refused(place: Place) -> None:
    row = place.reproduced(SILVER, asset="flights.silver.gone")
    assert (row.verdict, row.reason) == ("NOT_REPRODUCIBLE", "Nothing produces flights.silver.gone any more.")


def test_a_deleted_reproduction_fails_its_run(place: Place) -> None:
    with pytest.raises(dg.Failure, match="was deleted"):
        place.run("rep_gone")


def test_maintenance_deletes_what_killed_runs_left(place: Place) -> None:
    id, killed = place.planned(SILVER), place.planned(SILVER)
    with place.database.write() as connection:
        row = reproductions.REPRODUCTION.c.id == killed
        early = clock.now() - timedelta(hours=1)
        connection.execute(reproductions.REPRODUCTION.update().where(row).values(created_at=early))
    folder = place.tables.storage.folder
    assert folder is not None
    for area in (id, killed, "rep_deleted"):
        (folder / AREAS / area).mkdir(parents=True)
    place.tables.pins.pin("rep_deleted", BRONZE, 0)
    assert place.definitions.resolve_job_def("maintain_tables").execute_in_process(instance=place.instance).success
    assert areas(place.tables.storage) == [id], "its run may not be launched yet"
    assert place.tables.pins.pins() == []


def state(place: Place) -> dict[str, Any]:
    """What the lakehouse and Dagster say about both assets."""
    events = {
        name: [record.storage_id for record in place.instance.fetch_materializations(key, limit=10).records]
        for name, key in zip((BRONZE, SILVER), KEYS, strict=True)
    }
    return {name: (place.tables.snapshot(name).data_version, events[name]) for name in (BRONZE, SILVER)}


def edge_count(place: Place) -> int:
    with place.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(LINEAGE_EDGE)).scalar_one())
