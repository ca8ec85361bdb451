"""A feature table by days: a run replaces the rows of its day and nothing else, and each day can be made again.

The kind: a run that touches another day, a second run that makes another version of the same rows, a day that uses the
future and is written nevertheless, and an old day whose new rows replace newer ones online.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.features.checks import EVIDENCE, FORGETTING
from assets.features.component import FeatureViewComponent
from assets.features.online import OnlineFeaturesComponent
from core import clock
from core.db import Database
from core.ids import asset_key, new_id
from core.settings import load_settings
from dagster_project.internals import execute_job
from dagster_project.reproduction_runs import reproduce
from features.encoding import key_bytes
from features.online import decoded, open_store
from lakehouse import reproductions
from lakehouse.lineage import Edge, Lineage
from lakehouse.tables import Tables
from resources.delta import Delta
from tests.databases import with_tables

ORDERS, FEATURES, ONLINE = "shop.silver.orders", "shop.features.orders", "shop.online.orders"
KEY = dg.AssetKey(asset_key(FEATURES))
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")


def orders(*amounts: float, per_day: int = 24) -> pl.DataFrame:
    """Orders of one customer, one an hour; the amount is that of the day, and is known at once."""
    at = [datetime(2026, 3, 1 + day, hour, tzinfo=UTC) for day in range(len(amounts)) for hour in range(per_day)]
    return pl.DataFrame(
        {
            "id": range(len(at)),
            "customer": ["ann"] * len(at),
            "ordered_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")),
            "paid_at": pl.Series(at, dtype=pl.Datetime("us", "UTC")),
            "amount": [amount for amount in amounts for _ in range(per_day)],
        }
    )


def component(**changes: Any) -> FeatureViewComponent:
    attributes = {
        "asset": FEATURES,
        "description": "Orders with what was known of their customers.",
        "partitions": {"start": "2026-03-01", "end": "2026-03-03"},
        "sources": {
            "orders": {
                "table": ORDERS,
                "columns": ["id", "customer", "ordered_at"],
                "facts": {"paid_at": ["amount"]},
            }
        },
        "entity": {
            "source": "orders",
            "timestamp": "ordered_at",
            "offset": "1m",
            "columns": {"id": "id", "customer": "customer"},
        },
        "groups": [
            {
                "kind": "window",
                "name": "spent",
                "source": "orders",
                "at": "paid_at",
                "by": ["customer"],
                "features": {"spent": "SUM(amount)", "orders": "COUNT(*)"},
            }
        ],
    }
    return FeatureViewComponent.model_validate(attributes | changes)


class Place:
    """The source, the feature table, and its instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        settings = load_settings()
        self.instance = instance
        self.database: Database = with_tables(settings.effective_database_url)
        self.tables = Tables.from_settings(settings, self.database)
        self.lineage = Lineage(self.database)
        self.tables.overwrite(ORDERS, orders(1.0, 2.0, 3.0))

    def definitions(self, declared: FeatureViewComponent) -> dg.Definitions:
        online = OnlineFeaturesComponent.model_validate(
            {"asset": ONLINE, "description": "d", "table": FEATURES, "keys": ["customer"], "features": ["spent"]}
        )
        return dg.Definitions.merge(
            dg.build_defs_for_component(declared),
            dg.build_defs_for_component(online),
            dg.Definitions(
                resources={"delta": Delta()},
                jobs=[
                    dg.define_asset_job("features", dg.AssetSelection.assets(KEY)),
                    dg.define_asset_job("online", dg.AssetSelection.assets(asset_key(ONLINE))),
                    reproduce,
                ],
                executor=dg.in_process_executor,
            ),
        )

    def run(self, day: str, **changes: Any) -> Any:
        job = self.definitions(component(**changes)).resolve_job_def("features")
        return job.execute_in_process(instance=self.instance, partition_key=day, raise_on_error=False)

    def serve(self) -> None:
        job = self.definitions(component()).resolve_job_def("online")
        assert job.execute_in_process(instance=self.instance).success

    def rows(self, version: int | None = None) -> pl.DataFrame:
        return self.tables.snapshot(FEATURES, version=version).scan().collect().sort("id")

    def edges(self, data_version: str) -> list[Edge]:
        return self.lineage.provenance(FEATURES, data_version)

    def reproduced(self, data_version: str) -> Any:
        """Returns the verdict on the newest step that made a version."""
        step = reproductions.recorded_steps(self.lineage, FEATURES, data_version)[0]
        id = new_id("rep")
        values = {"organization_id": "org_1", "operation_id": "op_1", "created_at": clock.now(), "created_by": "ann"}
        row = {"id": id, "asset": FEATURES, "version": data_version, "recorded": step.to_json(), **values}
        with self.database.write() as connection:
            connection.execute(reproductions.REPRODUCTION.insert().values(row))
        repository = self.definitions(component()).get_repository_def()
        config = {"ops": {"reproduce_version": {"config": {"reproduction": id}}}}
        assert execute_job(repository, "reproduce", config, instance=self.instance).success
        found = reproductions.find(self.database, id)
        assert found
        return found


@pytest.fixture
def place(home: Path) -> Iterator[Place]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Place(instance)


def data_version(result: Any) -> str:
    (event,) = result.asset_materializations_for_node(component().op_name)
    return str(event.tags["dagster/data_version"])


def day_of(rows: pl.DataFrame, day: str) -> pl.DataFrame:
    return rows.filter(pl.col("predicted_at").dt.date() == datetime.fromisoformat(day).date())


def test_days_together_are_the_table_that_one_run_computes(place: Place) -> None:
    for day in reversed(DAYS):
        result = place.run(day)
        assert result.success
        assert {one.check_name for one in result.get_asset_check_evaluations() if one.passed} >= {EVIDENCE, FORGETTING}
    by_day = place.rows()
    whole = dg.Definitions.merge(
        dg.build_defs_for_component(component(partitions=None)),
        dg.Definitions(resources={"delta": Delta()}, jobs=[dg.define_asset_job("all", "*")]),
    )
    assert whole.resolve_job_def("all").execute_in_process(instance=place.instance).success
    # The first order is due a minute before the first day.
    assert by_day.equals(place.rows().filter(pl.col("id") > 0))
    assert by_day.height == 71


def test_a_day_that_is_computed_again_replaces_its_rows_only(place: Place) -> None:
    for day in DAYS:
        assert place.run(day).success
    before = place.rows()
    place.tables.overwrite(ORDERS, orders(1.0, 5.0, 7.0))
    assert place.run(DAYS[1]).success
    after = place.rows()
    for day in (DAYS[0], DAYS[2]):
        assert day_of(after, day).equals(day_of(before, day)), "another day changed"
    assert not day_of(after, DAYS[1]).equals(day_of(before, DAYS[1]))
    assert after["id"].to_list() == before["id"].to_list()


def test_the_same_rows_keep_the_version_of_their_day(place: Place) -> None:
    first = data_version(place.run(DAYS[0]))
    second = data_version(place.run(DAYS[1]))
    newest = place.tables.snapshot(FEATURES).version
    assert first != second
    assert data_version(place.run(DAYS[0])) == first
    assert place.tables.snapshot(FEATURES).version == newest, "nothing was committed"
    assert len({edge.run for edge in place.edges(first)}) == 2
    assert len({edge.run for edge in place.edges(second)}) == 1


def test_lineage_names_the_day_and_the_versions(place: Place) -> None:
    first = data_version(place.run(DAYS[0]))
    second = data_version(place.run(DAYS[1]))
    source = place.tables.snapshot(ORDERS).data_version
    edges = place.edges(second)
    assert {edge.partition for edge in edges} == {DAYS[1]}
    assert {(edge.in_asset, edge.in_version) for edge in edges} == {(ORDERS, source), (FEATURES, first)}


def test_each_version_of_a_day_is_made_again_equal(place: Place) -> None:
    versions = [data_version(place.run(day)) for day in DAYS]
    place.tables.overwrite(ORDERS, orders(4.0, 5.0, 6.0))
    versions.append(data_version(place.run(DAYS[0])))
    assert data_version(place.run(DAYS[2], point_in_time={"instants": 2})) not in versions
    for version in versions:
        row = place.reproduced(version)
        assert row.verdict == "EQUAL", row.reason


def test_an_unchanged_day_is_made_again_equal(place: Place) -> None:
    first = data_version(place.run(DAYS[0]))
    place.run(DAYS[1])
    assert data_version(place.run(DAYS[0])) == first
    assert place.reproduced(first).verdict == "EQUAL"


def test_a_day_that_uses_the_future_is_not_written(place: Place) -> None:
    assert place.run(DAYS[0]).success
    before = place.rows()
    # An amount counts as known when it was ordered, and is paid a day later.
    paid = pl.col("ordered_at") + pl.duration(days=1)
    place.tables.overwrite(ORDERS, orders(1.0, 2.0, 3.0).with_columns(paid_at=paid))
    late = {
        "kind": "window",
        "name": "late",
        "source": "orders",
        "at": "ordered_at",
        "by": ["customer"],
        "features": {"late": "SUM(amount)"},
    }
    result = place.run(DAYS[1], groups=[*component().model_dump(mode="json")["groups"], late])
    assert not result.success
    assert place.rows().equals(before)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "late of shop.features.orders use the future" in str(failure.step_failure_data.error)


def test_a_day_without_rows_becomes_empty(place: Place) -> None:
    for day in DAYS[:2]:
        assert place.run(day).success
    place.tables.overwrite(ORDERS, orders(1.0))
    assert place.run(DAYS[1]).success
    assert day_of(place.rows(), DAYS[1]).height == 0
    assert day_of(place.rows(), DAYS[0]).height == 24


def test_an_old_day_does_not_replace_newer_online_rows(place: Place) -> None:
    for day in DAYS:
        assert place.run(day).success
    place.serve()
    assert spent() == (place.tables.snapshot(FEATURES).data_version, pytest.approx(sum((24 * 1, 24 * 2, 23 * 3))))
    place.tables.overwrite(ORDERS, orders(100.0, 2.0, 3.0))
    assert place.run(DAYS[0]).success
    place.serve()
    version, value = spent()
    assert version == place.tables.snapshot(FEATURES).data_version
    assert value == pytest.approx(sum((24 * 1, 24 * 2, 23 * 3))), "the newest day was computed before"


def spent() -> tuple[str, Any]:
    store = open_store(load_settings())
    try:
        found = store.read(ONLINE, [key_bytes(["ann"])])
        assert found
        row = max(found.rows[key_bytes(["ann"])], key=lambda one: one.event_at)
        return found.served.data_version, decoded(row)[0]
    finally:
        store.close()
