"""Bronze, silver and the SQL products on real days: tables, versions, lineage, checks, metadata."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import polars as pl
import pytest

from assets.components import component
from assets.datasets import schemas
from core.ids import asset_key
from core.settings import load_settings
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests import slices

SILVER = ("airlines", "airports", "flights", "planes", "weather")


class Ran(NamedTuple):
    """One run over the slice, and where its tables are."""

    result: dg.ExecuteInProcessResult
    tables: Tables
    lineage: Lineage

    def materialization(self, asset: str) -> dg.AssetMaterialization:
        key = dg.AssetKey(asset_key(asset))
        events = self.result.get_asset_materialization_events()
        (found,) = [event.materialization for event in events if event.asset_key == key]
        return found

    def check(self, asset: str, name: str) -> dg.AssetCheckEvaluation:
        key = dg.AssetCheckKey(dg.AssetKey(asset_key(asset)), name)
        (found,) = [item for item in self.result.get_asset_check_evaluations() if item.asset_check_key == key]
        return found

    def rows(self, asset: str) -> pl.DataFrame:
        return self.tables.snapshot(asset).scan().collect()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_HOME", str(tmp_path_factory.mktemp("home")))
        tables = slices.open_tables()
        with dg.DagsterInstance.ephemeral() as instance:
            result = slices.run(slices.tables(), instance)
            yield Ran(result, tables, Lineage(tables.ledger._database))


def test_the_run_succeeds(ran: Ran) -> None:
    assert ran.result.success


def test_bronze_is_the_source_as_it_is(ran: Ran) -> None:
    source = pl.read_csv(
        Path(load_settings().effective_landing_url) / "flights" / "flights.csv",
        null_values="NA",
        infer_schema_length=None,
    )
    assert ran.rows("flights.bronze.flights").equals(source)


@pytest.mark.parametrize("table", SILVER)
def test_silver_has_the_declared_schema_and_descriptions(ran: Ran, table: str) -> None:
    declared = getattr(schemas, table.upper())
    schema = ran.tables.snapshot(f"flights.silver.{table}").schema
    assert schema.equals(schemas.arrow_schema(declared), check_metadata=True)
    displayed = ran.materialization(f"flights.silver.{table}").metadata["dagster/column_schema"].value
    assert {column.name: column.description for column in displayed.columns} == {
        name: column.description for name, column in declared.items()
    }


@pytest.mark.parametrize(
    ("flight", "scheduled_departure", "arrived"),
    [
        # EWR 5:15 EST, arrived IAH 8:30 CST
        ("20130101-UA1545-EWR", (2013, 1, 1, 10, 15), (2013, 1, 1, 14, 30)),
        # JFK 9:00 EST, arrived HNL 15:16 HST (UTC-10); on 1 July JFK 10:00 EDT, arrived HNL 15:27 HST
        ("20130101-HA51-JFK", (2013, 1, 1, 14, 0), (2013, 1, 2, 1, 16)),
        ("20130701-HA51-JFK", (2013, 7, 1, 14, 0), (2013, 7, 2, 1, 27)),
        # JFK 5:45 the morning before and the morning after the clocks went forward; Puerto Rico keeps UTC-4:
        # arrived 10:05 and 9:56 there
        ("20130309-B6725-JFK", (2013, 3, 9, 10, 45), (2013, 3, 9, 14, 5)),
        ("20130310-B6725-JFK", (2013, 3, 10, 9, 45), (2013, 3, 10, 13, 56)),
        # over midnight into the hour that 10 March did not have: "2:03" by the source, 3:03 EDT on the wall
        ("20130309-B635-JFK", (2013, 3, 10, 2, 45), (2013, 3, 10, 7, 3)),
    ],
)
def test_known_flights(ran: Ran, flight: str, scheduled_departure: tuple[int, ...], arrived: tuple[int, ...]) -> None:
    rows = ran.rows("flights.silver.flights").filter(pl.col("flight_id") == flight)
    assert rows["scheduled_departure_at"].item() == datetime(*scheduled_departure, tzinfo=UTC)  # type: ignore[misc,arg-type]
    assert rows["arrived_at"].item() == datetime(*arrived, tzinfo=UTC)  # type: ignore[misc,arg-type]


def test_scheduled_departures_agree_with_the_utc_hours_of_the_source(ran: Ran) -> None:
    """The source gives the scheduled hour in UTC as well; silver does not use it, so it is a second opinion."""
    silver = ran.rows("flights.silver.flights")
    source = ran.rows("flights.bronze.flights").with_columns(
        pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC").alias("hour_at"),
        pl.format("{}-{}{}-{}", pl.date("year", "month", "day").dt.strftime("%Y%m%d"), "carrier", "flight", "origin")
        .alias("flight_id"),
    )  # fmt: skip
    both = silver.join(source.select("flight_id", "hour_at"), on="flight_id", validate="1:1")
    assert both.height == silver.height > 5000
    assert (both["scheduled_departure_at"].dt.truncate("1h") == both["hour_at"]).all()


def test_versions_in_dagster_delta_and_lineage_are_one(ran: Ran) -> None:
    for asset in ("flights.bronze.flights", "flights.silver.flights", "flights.gold.carrier_punctuality"):
        snapshot = ran.tables.snapshot(asset)
        materialization = ran.materialization(asset)
        assert materialization.tags is not None
        assert materialization.tags["dagster/data_version"] == snapshot.data_version
        assert materialization.metadata["delta/version"].value == snapshot.version
        assert materialization.metadata["dagster/row_count"].value == snapshot.row_count
        assert materialization.metadata["dagster/uri"].value == ran.tables.uri(asset)
        assert ran.lineage.provenance(asset, snapshot.data_version)


def test_lineage_leads_from_gold_to_the_files(ran: Ran) -> None:
    snapshot = ran.tables.snapshot("flights.gold.airport_congestion")
    graph = ran.lineage.upstream(snapshot.table, snapshot.data_version)
    reached = {(node.asset, node.version) for node in graph.nodes}
    for table in ("flights.silver.flights", "flights.silver.weather", "flights.bronze.flights"):
        assert (table, ran.tables.snapshot(table).data_version) in reached
    digest = ran.materialization("flights.bronze.flights").metadata["source/sha256"].value
    assert ("file:flights.csv", f"sha256:{digest}") in reached
    (edge, *_) = ran.lineage.provenance(snapshot.table, snapshot.data_version)
    assert (edge.engine, edge.run, edge.principal) == ("duckdb", ran.result.run_id, "system")
    (edge, *_) = ran.lineage.provenance(
        "flights.silver.flights", ran.tables.snapshot("flights.silver.flights").data_version
    )
    assert edge.engine == "polars"


def test_column_lineage(ran: Ran) -> None:
    def sources(asset: str, column: str) -> set[str]:
        lineage = ran.materialization(asset).metadata["dagster/column_lineage"].value
        return {f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in lineage.deps_by_column[column]}

    assert sources("flights.gold.carrier_punctuality", "mean_arr_delay") == {"flights/silver/flights.arr_delay"}
    assert sources("flights.gold.carrier_punctuality", "airline") == {"flights/silver/airlines.name"}
    assert sources("flights.silver.flights", "departed_at") == {
        f"flights/bronze/flights.{name}" for name in ("year", "month", "day", "sched_dep_time", "dep_delay")
    }
    assert "flights/silver/airports.time_zone" in sources("flights.silver.flights", "arrived_at")


def test_sources_of_silver_columns_exist(ran: Ran) -> None:
    for table in SILVER:
        lineage = ran.materialization(f"flights.silver.{table}").metadata["dagster/column_lineage"].value
        for deps in lineage.deps_by_column.values():
            for dep in deps:
                assert dep.column_name in ran.tables.snapshot(".".join(dep.asset_key.path)).schema.names


class TestChecks:
    def test_gates_pass(self, ran: Ran) -> None:
        failed = [
            f"{item.asset_key.to_user_string()} {item.check_name}"
            for item in ran.result.get_asset_check_evaluations()
            if not item.passed and item.severity is dg.AssetCheckSeverity.ERROR
        ]
        assert failed == []
        clocks = ran.check("flights.silver.flights", "clocks_agree")
        assert clocks.blocking
        # The one flight that landed in an hour that did not exist.
        assert [row["flight_id"] for row in clocks.metadata["sample"].value] == ["20130309-B635-JFK"]

    def test_known_gaps_of_the_source_are_warnings_with_figures(self, ran: Ran) -> None:
        dest = ran.check("flights.silver.flights", "references_dest")
        assert not dest.passed
        assert dest.severity is dg.AssetCheckSeverity.WARN
        silver = ran.rows("flights.silver.flights")
        absent = silver.filter(pl.col("dest").is_in(["BQN", "PSE", "SJU", "STT"])).height
        assert dest.metadata["failing_rows"].value == absent > 0
        tails = ran.check("flights.silver.flights", "references_tailnum")
        assert tails.passed
        assert 0.1 < tails.metadata["failing_fraction"].value < 0.2
        assert not ran.check("flights.silver.airports", "not_null_time_zone").passed

    def test_a_check_says_which_version_it_looked_at(self, ran: Ran) -> None:
        version = ran.tables.snapshot("flights.silver.flights").version
        assert ran.check("flights.silver.flights", "unique_flight_id").metadata["delta/version"].value == version


class TestProducts:
    def test_punctuality_is_what_silver_says(self, ran: Ran) -> None:
        silver = ran.rows("flights.silver.flights")
        july = silver.filter((pl.col("carrier") == "UA") & (pl.col("flight_date").dt.month() == 7))
        row = ran.rows("flights.gold.carrier_punctuality").filter(
            (pl.col("carrier") == "UA") & (pl.col("month").dt.month() == 7)
        )
        assert row["airline"].item() == "United Air Lines Inc."
        assert row["flights"].item() == july.height
        assert row["cancelled"].item() == july["cancelled"].sum()
        assert row["late_share"].item() == pytest.approx((july["arr_delay"] > 15).mean())
        assert row["p90_arr_delay"].item() == pytest.approx(july["arr_delay"].quantile(0.9, "linear"))

    def test_waiting_flights_are_those_between_schedule_and_departure(self, ran: Ran) -> None:
        silver = ran.rows("flights.silver.flights").filter(pl.col("origin") == "LGA")
        congestion = ran.rows("flights.gold.airport_congestion").filter(pl.col("airport") == "LGA")
        assert congestion["departures"].sum() == silver["departed_at"].is_not_null().sum()
        busiest = congestion.sort("waiting", descending=True).row(0, named=True)
        begins = busiest["hour_at"]
        waiting = silver.filter((pl.col("scheduled_departure_at") < begins) & (pl.col("departed_at") >= begins))
        assert busiest["waiting"] == waiting.height > 1


class TestPublishedSample:
    def test_the_definition_posted_at_first_start_works(self, ran: Ran) -> None:
        import yaml

        definition = yaml.safe_load((slices.ROOT / "dagster_project/samples/daily_cancellations.yaml").read_text())
        built = component(definition["component"], definition["attributes"], asset="flights.gold.daily_cancellations")
        from resources.delta import Delta

        defs = dg.Definitions.merge(dg.build_defs_for_component(built), dg.Definitions(resources={"delta": Delta()}))
        with dg.DagsterInstance.ephemeral() as instance:
            result = slices.run(defs, instance)
        assert result.success
        assert all(item.passed for item in result.get_asset_check_evaluations())
        rows = ran.rows("flights.gold.daily_cancellations")
        assert rows.height == 3 * len(slices.DAYS)
        assert rows["cancelled"].sum() == ran.rows("flights.silver.flights")["cancelled"].sum()
        assert rows["precip"].null_count() == 0
