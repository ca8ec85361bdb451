"""Which assets ask to be made, and when: evaluated as the daemon does, on real runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from core.ids import asset_id, asset_key
from core.settings import load_settings
from jobs.schedules import automation, daily_refresh
from lakehouse.tables import Tables
from tests import slices
from tests.assets.test_landing_table import HEADER, ROW, TABLE

LANDING, SILVER = TABLE, "flights.silver.flights"
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

    def make(self, *assets: str, checks: bool = True) -> None:
        """Materializes assets with their checks, or everything."""
        keys = [dg.AssetKey(asset_key(asset)) for asset in assets]
        selection = dg.AssetSelection.assets(*keys) if keys else dg.AssetSelection.all()
        if keys and not checks:
            selection = selection.without_checks()
        assert slices.run(self.definitions, self.instance, selection).success


@pytest.fixture
def tables(home: Path) -> Tables:
    return slices.open_tables()


@pytest.fixture
def daemon(tables: Tables) -> Iterator[Daemon]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(instance)


def land(flight: int) -> None:
    folder = Path(load_settings().effective_landing_url) / TABLE
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{flight}.csv").write_text(HEADER + ROW.format(day=1, flight=flight))


def test_landed_flights_move_silver_and_the_products(daemon: Daemon) -> None:
    assert daemon.tick() == set()  # nothing exists: nobody starts the sample behind the user's back
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
    daemon.make(SILVER)
    assert daemon.tick() == {PUNCTUALITY, CONGESTION}
    daemon.make(PUNCTUALITY, CONGESTION)
    assert daemon.tick() == set()


def test_a_bronze_table_made_by_hand_moves_nothing(daemon: Daemon) -> None:
    daemon.make()
    daemon.tick()
    daemon.make("flights.bronze.flights", "flights.bronze.airlines")
    assert daemon.tick() == set()


def test_products_wait_for_the_gates_of_their_inputs(daemon: Daemon) -> None:
    daemon.make()
    daemon.tick()
    daemon.make(SILVER, checks=False)
    assert daemon.tick() == set()  # the checks of this version have not run
    assert slices.run(
        daemon.definitions, daemon.instance, dg.AssetSelection.checks_for_assets(asset_key(SILVER))
    ).success
    assert daemon.tick() == {PUNCTUALITY, CONGESTION}


def test_conditions_are_evaluated_without_anybody_switching_them_on() -> None:
    assert automation.default_status is dg.DefaultSensorStatus.RUNNING
    assert automation.minimum_interval_seconds == 10
    assert daily_refresh.default_status is dg.DefaultScheduleStatus.RUNNING
    assert daily_refresh.cron_schedule == "0 6 * * *"
