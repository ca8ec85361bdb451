"""Real processes: what a landed file sets off is checked before it is used, step by step, whatever launches it.

The kind: a launcher (the landing sensor, the automation sensor, a user) starts runs in which the blocking
checks of an asset are left out, or whose result keeps nothing from using the version.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from core.ids import asset_key
from lakehouse.landing_files import landing_folder
from lakehouse.tables import Tables
from resources.gates import DATA_VERSION
from tests import slices
from tests.dagster_processes import DagsterProcesses, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BRONZE, SILVER, GOLD = "shop.bronze.orders", "shop.silver.orders", "shop.gold.totals"
CHAIN = (BRONZE, SILVER, GOLD)
CODE = """
import dagster as dg

from assets.components import component
from dagster_project.shared_resources import resources
from jobs.schedules import automation
from jobs.sensors import landing_sensors

GOOD = [{"holds": "amount >= 0", "name": "amounts", "blocking": True}]
ONCE = [{"unique": ["id"], "blocking": True}]
ORDERS = {
    "source": {"kind": "landing"},
    "columns": {"id": {"type": "int64"}, "amount": {"type": "float64"}},
    "checks": GOOD,
}
SILVER = {"sql": "SELECT id, amount FROM shop.bronze.orders", "automation": "eager", "checks": ONCE}
GOLD = {
    "sql": "SELECT count(*) AS orders, sum(amount) AS amount FROM shop.silver.orders",
    "automation": "eager",
    "checks": [{"row_count": {"min": 1, "max": 1}, "blocking": True}],
}


def made(name, asset, attributes):
    return dg.build_defs_for_component(component(name, {"asset": asset, "description": "d", **attributes}))


@dg.definitions
def defs():
    bronze = made("DatasetComponent", "shop.bronze.orders", ORDERS)
    silver = made("SqlTransformComponent", "shop.silver.orders", SILVER)
    gold = made("SqlTransformComponent", "shop.gold.totals", GOLD)
    specs = [spec for asset in bronze.assets for spec in asset.specs]
    rest = dg.Definitions(
        sensors=[automation, *landing_sensors(specs)], resources=resources(), executor=dg.in_process_executor
    )
    return dg.Definitions.merge(bronze, silver, gold, rest)
"""


class Platform:
    """The processes, and what they have done so far."""

    def __init__(self, processes: DagsterProcesses, tables: Tables, instance: dg.DagsterInstance) -> None:
        self.processes, self.tables, self.instance = processes, tables, instance
        self.landing = landing_folder(processes.settings.effective_landing_url, BRONZE)

    def drop(self, name: str, *lines: str) -> None:
        """Lets a file land."""
        self.landing.mkdir(parents=True, exist_ok=True)
        (self.landing / name).write_text("\n".join(("id,amount", *lines, "")))

    def made(self, asset: str) -> list[str]:
        """Data versions of an asset that runs have reported, newest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(asset_key(asset)), limit=50).records
        reported = [record.asset_materialization for record in records]
        return [(event.tags or {})["dagster/data_version"] for event in reported if event]

    def verdicts(self, asset: str, check: str) -> dict[str, bool]:
        """The result of a check for each data version that it judged."""
        key = dg.AssetCheckKey(dg.AssetKey(asset_key(asset)), check)
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
        found = {}
        for record in reversed(history):
            if record.status.value in ("SUCCEEDED", "FAILED") and record.evaluation is not None:
                found[str(record.evaluation.metadata[DATA_VERSION].value)] = record.evaluation.passed
        return found

    def ticks(self) -> int:
        """How often automation has looked, as the number of its newest tick."""
        states = [state for state in self.instance.all_instigator_state() if state.name == "automation"]
        ticks = [
            tick
            for state in states
            for tick in self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
            if tick.status.value in ("SKIPPED", "SUCCESS")
        ]
        return max((tick.tick_id for tick in ticks), default=0)

    def idle(self) -> bool:
        """Whether no run is under way."""
        ended = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
        return all(run.status in ended for run in self.instance.get_runs())

    def settle(self) -> None:
        """Waits until automation has looked at the present state, and what it started has ended."""
        until(self.idle, 120, "the end of all runs")
        for _ in range(2):
            before = self.ticks()
            until(lambda before=before: self.ticks() > before, 120, "a tick of automation")  # type: ignore[misc]
            until(self.idle, 120, "the end of all runs")


CHECKS = {BRONZE: "amounts", SILVER: "unique_id", GOLD: "row_count"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home, code = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("code")
    (code / "landed_chain.py").write_text(CODE)
    processes = DagsterProcesses(home, {"flights": "landed_chain"}, code=code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_HOME", str(home))
        tables = slices.open_tables()
        with processes, dg.DagsterInstance.from_config(str(processes.settings.dagster_home)) as instance:
            yield Platform(processes, tables, instance)


def test_a_good_file_goes_all_the_way_and_every_version_is_judged(platform: Platform) -> None:
    platform.drop("good.csv", "1,2.5", "2,3.5")
    until(lambda: bool(platform.made(GOLD)), 240, "the last asset of the chain")
    platform.settle()
    assert platform.tables.snapshot(GOLD).to_arrow().to_pylist() == [{"orders": 2, "amount": 6.0}]
    for asset in CHAIN:
        version = platform.tables.snapshot(asset).data_version
        assert platform.made(asset)[0] == version
        assert platform.verdicts(asset, CHECKS[asset]) == dict.fromkeys(platform.made(asset), True)
    quarantine = f"{BRONZE}_quarantine"
    assert set(platform.verdicts(quarantine, "nothing_quarantined")) == set(platform.made(quarantine))


def test_a_file_that_breaks_a_check_goes_no_further(platform: Platform) -> None:
    until(lambda: bool(platform.made(GOLD)), 240, "the chain of the good file")
    before = {asset: platform.made(asset) for asset in CHAIN}
    platform.drop("bad.csv", "3,-1")
    until(lambda: platform.made(BRONZE) != before[BRONZE], 240, "the version of the bad file")
    version = platform.tables.snapshot(BRONZE).data_version
    until(lambda: version in platform.verdicts(BRONZE, "amounts"), 120, "the verdict on it")
    platform.settle()
    assert platform.verdicts(BRONZE, "amounts")[version] is False
    assert platform.tables.snapshot(BRONZE).row_count == 3, "the rows are there and can be repaired"
    assert {asset: platform.made(asset) for asset in (SILVER, GOLD)} == {name: before[name] for name in (SILVER, GOLD)}

    by_hand = platform.processes.launch(asset_key(SILVER), asset_key(GOLD))
    assert platform.processes.finish(by_hand, 120) == "FAILURE"
    assert {asset: platform.made(asset) for asset in (SILVER, GOLD)} == {name: before[name] for name in (SILVER, GOLD)}
    text = " ".join(str(entry) for entry in platform.instance.all_logs(by_hand))
    assert "did not pass its blocking checks (amounts failed)" in text
