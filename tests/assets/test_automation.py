"""Which assets ask to be made, and when: evaluated as the daemon does, on real runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from core.ids import asset_id, asset_key
from core.settings import load_settings
from jobs.schedules import automation, daily_refresh
from lakehouse.landing_files import landing_folder
from lakehouse.tables import Tables
from tests import slices
from tests.assets.test_landing_table import HEADER, ROW, TABLE

LANDING, SILVER = TABLE, "flights.silver.flights"
INPUT = "dagster/input_data_version/"
PUNCTUALITY, CONGESTION = "flights.gold.carrier_punctuality", "flights.gold.airport_congestion"


class Daemon:
    """Evaluates conditions tick by tick over the slice of the sample."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.definitions = slices.tables()
        self.cursor = None

    def tick(self) -> set[str]:
        """Ids of the assets requested."""
        everything = dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks()
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, asset_selection=everything, cursor=self.cursor
        )
        self.cursor = result.cursor  # type: ignore[assignment]
        keys = self.definitions.resolve_asset_graph().materializable_asset_keys
        return {asset_id(key.path) for key in keys if result.get_num_requested(key)}

    def make(self, *assets: str) -> None:
        """Materializes assets with their checks, or everything."""
        keys = [dg.AssetKey(asset_key(asset)) for asset in assets]
        selection = dg.AssetSelection.assets(*keys) if keys else dg.AssetSelection.all()
        assert slices.run(self.definitions, self.instance, selection).success


@pytest.fixture
def tables(home: Path) -> Tables:
    return slices.open_tables()


@pytest.fixture
def daemon(tables: Tables) -> Iterator[Daemon]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(instance)


def land(flight: int) -> None:
    folder = landing_folder(load_settings().effective_landing_url, TABLE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{flight}.csv").write_text(HEADER + ROW.format(day=1, flight=flight))


def test_landed_flights_move_silver_and_the_products(daemon: Daemon) -> None:
    assert daemon.tick() == set()  # nothing exists: no automation starts the sample without a request
    daemon.make()
    assert daemon.tick() == set()  # one run made everything in order
    land(7)
    daemon.make(LANDING, f"{LANDING}_quarantine")
    assert daemon.tick() == {SILVER, PUNCTUALITY, CONGESTION}  # in one run, in order
    daemon.make(SILVER, PUNCTUALITY, CONGESTION)
    assert daemon.tick() == set()


def test_products_follow_silver(daemon: Daemon) -> None:
    daemon.make()
    daemon.tick()
    land(7)
    daemon.make(LANDING, f"{LANDING}_quarantine", SILVER)
    assert daemon.tick() == {PUNCTUALITY, CONGESTION}
    daemon.make(PUNCTUALITY, CONGESTION)
    assert daemon.tick() == set()


def test_what_changed_nothing_moves_nothing(daemon: Daemon, tables: Tables) -> None:
    """Each asset alone, and all of them at once, from the same files: no new version, nothing stale, no request."""
    daemon.make()
    daemon.tick()
    keys = daemon.definitions.resolve_asset_graph().materializable_asset_keys
    assets = sorted(asset_id(key.path) for key in keys)
    before = {asset: tables.snapshot(asset).data_version for asset in assets}
    together = {LANDING, f"{LANDING}_quarantine"}
    for made in (*({asset} for asset in assets if asset not in together), together, set(assets)):
        daemon.make(*made)
        assert daemon.tick() == set(), made
    assert {asset: tables.snapshot(asset).data_version for asset in assets} == before
    for key in keys:
        event = daemon.instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        tags = event.asset_materialization.tags or {}
        # An asset is stale for Dagster if an input has another data version than it was made from.
        used = {name.removeprefix(INPUT): version for name, version in tags.items() if name.startswith(INPUT)}
        assert used == {"/".join(asset_key(asset)): before[asset] for asset in map(_id, used)}


def _id(key: str) -> str:
    return asset_id(key.split("/"))


def test_a_bronze_table_made_by_hand_moves_nothing(daemon: Daemon) -> None:
    daemon.make()
    daemon.tick()
    daemon.make("flights.bronze.flights", "flights.bronze.airlines")
    assert daemon.tick() == set()


def test_products_wait_for_the_gates_of_their_inputs(daemon: Daemon) -> None:
    daemon.make()
    daemon.tick()
    # A step that was killed between its commit and its checks leaves this behind.
    unchecked = dg.AssetMaterialization(asset_key(SILVER), tags={"dagster/data_version": "killed@1"})
    daemon.instance.report_runless_asset_event(unchecked)
    assert daemon.tick() == set()  # the checks of this version have not run
    daemon.make(SILVER)
    assert daemon.tick() == {PUNCTUALITY, CONGESTION}


def test_conditions_are_evaluated_without_anybody_switching_them_on() -> None:
    assert automation.default_status is dg.DefaultSensorStatus.RUNNING
    assert automation.minimum_interval_seconds == 10
    assert daily_refresh.default_status is dg.DefaultScheduleStatus.RUNNING
    assert daily_refresh.cron_schedule == "0 6 * * *"
