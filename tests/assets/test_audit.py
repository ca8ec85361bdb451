"""The audit tables on the Dagster side: known from the start, told of once for each version, read by no other asset."""

from __future__ import annotations

import dagster as dg
import pyarrow as pa
import pytest

from assets.audit.assets import audit_assets
from assets.rows import Row, build
from core.audit import EVENTS, GRANTS, TABLES
from core.errors import InvalidPayload
from core.ids import asset_key
from dagster_project.definitions import defs
from jobs.audit_versions import audit_versions
from lakehouse.tables import Tables
from resources.delta import Delta
from tests import slices

KEY = dg.AssetKey(asset_key(EVENTS))


@pytest.fixture
def tables(home: object) -> Tables:
    return slices.open_tables()


class Daemon:
    """Evaluates the sensor as Dagster's daemon does: the events are stored, and the cursor is kept."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.definitions = dg.Definitions(audit_assets(), sensors=[audit_versions], resources={"delta": Delta()})

    def tick(self) -> list[str]:
        """The assets it told of."""
        repository = self.definitions.get_repository_def()
        context = dg.build_sensor_context(
            self.instance,
            cursor=self.cursor,
            repository_def=repository,
            sensor_name=audit_versions.name,
            resources={"delta": Delta()},
        )
        found = repository.get_sensor_def(audit_versions.name).evaluate_tick(context)
        self.cursor = found.cursor
        assert not found.run_requests
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        return [".".join(event.asset_key.path) for event in found.asset_events if event.asset_key]

    def reports(self) -> list[dg.AssetMaterialization]:
        """What is known of the events' table, the newest first."""
        records = self.instance.fetch_materializations(KEY, limit=10).records
        return [record.asset_materialization for record in records if record.asset_materialization]


def rows(*numbers: int) -> pa.Table:
    return pa.table({"sequence": pa.array(numbers, pa.int64())})


def test_each_version_is_told_of_once_with_its_rows(tables: Tables) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        daemon = Daemon(instance)
        assert daemon.tick() == [], "there are no tables yet"
        tables.create_with(EVENTS, rows(1, 2))
        assert daemon.tick() == [EVENTS]
        assert daemon.tick() == []
        tables.append(EVENTS, rows(3))
        tables.append(EVENTS, rows(4))
        tables.create_with(GRANTS, rows())
        assert daemon.tick() == [EVENTS, GRANTS], "what came between two looks is one event"
        newest, first = daemon.reports()
        snapshot = tables.snapshot(EVENTS)
        assert newest.tags == {"dagster/data_version": snapshot.data_version}
        assert {name: value.value for name, value in newest.metadata.items()} == {
            "delta/table_id": snapshot.table_id,
            "delta/version": snapshot.version,
            "dagster/row_count": 4,
        }
        assert first.metadata["dagster/row_count"].value == 2
        assert daemon.tick() == []


def test_none_of_them_can_be_materialized_or_takes_part_in_a_job() -> None:
    repository = defs().get_repository_def()
    graph = repository.asset_graph
    for name, table in TABLES.items():
        node = graph.get(dg.AssetKey(asset_key(name)))
        assert (node.is_executable, node.is_materializable) == (False, False), name
        schema_columns = node.metadata["dagster/column_schema"].columns
        assert [column.name for column in schema_columns] == list(table.columns), name
        assert all(column.description for column in schema_columns), name
    planned = {key for job in repository.get_all_jobs() for key in job.asset_layer.executable_asset_keys}
    assert planned.isdisjoint(dg.AssetKey(asset_key(name)) for name in TABLES)


@pytest.mark.parametrize(
    "attributes",
    [
        {"sql": f"SELECT principal FROM {EVENTS}"},
        {
            "sql": "SELECT faa FROM flights.silver.airports",
            "checks": [{"references": {"column": "faa", "table": EVENTS, "key": "principal"}}],
        },
    ],
    ids=["query", "check"],
)
def test_no_published_definition_reads_them(attributes: dict[str, object]) -> None:
    common = {"asset": "flights.gold.stolen", "description": "What is not mine."}
    row = Row("flights.gold.stolen", "SqlTransformComponent", common | attributes)
    with pytest.raises(InvalidPayload, match=f"{EVENTS} contains data of all organizations"):
        build(row)
