"""The gateway against real Dagster processes: what the port promises is what Dagster does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.gateways.dagster import mutations
from api.gateways.dagster.client import DagsterClient
from api.gateways.dagster.launching import run_params
from api.gateways.dagster.orchestrator import DagsterOrchestrator
from api.services.ai_catalog.logic.health import Health, assess
from core.errors import InvalidPayload, Unavailable
from core.ports import AssetState, Staleness
from core.reports import CheckStatus
from core.runs import Launch, RunState, RunStatus, StepStatus
from tests.dagster_processes import DagsterProcesses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = """
import time
import dagster as dg

@dg.asset(key=["demo", "bronze", "raw"], kinds={"polars"}, owners=["team:data"], code_version="7", description="Raw.")
def raw(context):
    context.log.info("hello from raw")
    return dg.MaterializeResult(
        data_version=dg.DataVersion("abc@1"), metadata={"dagster/row_count": 3, "delta/version": 1, "ratio": 0.5}
    )

@dg.asset(key=["demo", "silver", "clean"], deps=[raw])
def clean():
    return dg.MaterializeResult(data_version=dg.DataVersion("def@1"))

@dg.asset_check(asset=clean, blocking=True)
def not_empty():
    return dg.AssetCheckResult(passed=True)

@dg.asset_check(asset=clean, additional_deps=[dg.AssetKey(["demo", "gold", "broken"])])
def plausible():
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="3 odd rows")

class Judged(dg.Config):
    version: str = "j@1"
    fails: bool = False

@dg.asset(key=["demo", "silver", "judged"])
def judged(config: Judged):
    if config.fails:
        raise ValueError("not today")
    return dg.MaterializeResult(data_version=dg.DataVersion(config.version))

@dg.asset_check(asset=judged, blocking=True)
def gate(context: dg.AssetCheckExecutionContext):
    event = context.instance.get_latest_materialization_event(dg.AssetKey(["demo", "silver", "judged"]))
    version = event.asset_materialization.tags["dagster/data_version"]
    return dg.AssetCheckResult(passed=True, metadata={"headwater/data_version": version})

class Slow(dg.Config):
    seconds: float = 60.0

@dg.asset(key=["demo", "gold", "slow"])
def slow(config: Slow):
    time.sleep(config.seconds)

@dg.asset(key=["demo", "gold", "broken"])
def broken():
    raise ValueError("the world cannot be divided by zero")

@dg.asset(key=["demo", "gold", "daily"], partitions_def=dg.StaticPartitionsDefinition(["a", "b", "c"]))
def daily(context):
    context.log.info(context.partition_key)

@dg.multi_asset(specs=[dg.AssetSpec(["demo", "bronze", name]) for name in ("good", "bad")])
def sorted_rows():
    yield dg.MaterializeResult(asset_key=["demo", "bronze", "good"])
    yield dg.MaterializeResult(asset_key=["demo", "bronze", "bad"])

nightly = dg.define_asset_job("nightly", selection=[raw, clean])
hourly = dg.define_asset_job("hourly", selection=[raw, judged, slow], tags={"headwater/pipeline": "pln_1"})

@dg.schedule(job=hourly, cron_schedule="0 * * * *", tags={"headwater/pipeline": "pln_1"})
def hourly_times():
    return dg.SkipReason("never in this test")

@dg.sensor(job=nightly, minimum_interval_seconds=30)
def landing():
    return dg.SkipReason("nothing new")

defs = dg.Definitions(
    assets=[raw, clean, judged, slow, broken, daily, sorted_rows],
    asset_checks=[not_empty, plausible, gate],
    jobs=[hourly],
    schedules=[
        hourly_times,
        dg.ScheduleDefinition("daily_run", job=nightly, cron_schedule="0 2 * * *", execution_timezone="UTC"),
    ],
    sensors=[landing],
    executor=dg.in_process_executor,
)
"""
ELSEWHERE = """
import dagster as dg

@dg.asset(key=["demo", "gold", "published"], deps=[dg.AssetKey(["demo", "silver", "clean"])])
def published():
    pass

defs = dg.Definitions(assets=[published], executor=dg.in_process_executor)
"""


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterProcesses]:
    code: Path = tmp_path_factory.mktemp("code")
    (code / "tiny_project.py").write_text(PROJECT)
    (code / "tiny_elsewhere.py").write_text(ELSEWHERE)
    modules = {"flights": "tiny_project", "published": "tiny_elsewhere"}
    with DagsterProcesses(tmp_path_factory.mktemp("home"), modules, code=code) as processes:
        yield processes


@pytest.fixture
async def gateway(dagster: DagsterProcesses) -> AsyncIterator[DagsterOrchestrator]:
    orchestrator = DagsterOrchestrator(DagsterClient.from_settings(dagster.settings))
    await orchestrator.start()
    await wait_for(lambda: known(orchestrator), "the graph")
    yield orchestrator
    await orchestrator.stop()


def known(orchestrator: DagsterOrchestrator) -> bool:
    try:
        return len(orchestrator.view().nodes) == 9
    except Unavailable:
        return False


async def wait_for(holds: Callable[[], bool], state_waited_for: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s for {state_waited_for}"
        await asyncio.sleep(0.05)


async def ended(gateway: DagsterOrchestrator, run: str, seconds: float = 120) -> RunState:
    deadline = time.monotonic() + seconds
    while True:
        state = (await gateway.runs([run]))[run]
        if state.status.final:
            return await gateway.outcome(state)
        assert time.monotonic() < deadline, f"{run} is {state.status}"
        await asyncio.sleep(0.1)


async def test_the_graph_is_what_the_code_declares(gateway: DagsterOrchestrator) -> None:
    view = gateway.view()
    raw = view.nodes["demo.bronze.raw"]
    assert (raw.description, raw.kinds, raw.owners, raw.code_version) == ("Raw.", ("polars",), ("team:data",), "7")
    assert view.nodes["demo.silver.clean"].upstream == ("demo.bronze.raw",)
    assert view.nodes["demo.silver.clean"].compared_with == ("demo.gold.broken",)
    assert view.downstream["demo.silver.clean"] == ("demo.gold.published",)
    assert view.nodes["demo.silver.clean"].location == "flights", "not the stub of the other location"
    assert view.nodes["demo.gold.daily"].partitioned
    assert view.nodes["demo.bronze.good"].together == ("demo.bronze.bad",), "one step makes both, always"
    assert view.nodes["demo.bronze.raw"].together == ()
    assert view.nodes["demo.gold.published"].location == "published"
    assert view.schedules["daily_run"].cron == "0 2 * * *"
    assert view.sensors["landing"].min_interval_seconds == 30
    assert await gateway.partitions("demo.gold.daily") == ["a", "b", "c"]


async def test_a_run_is_seen_with_its_steps_versions_checks_and_logs(gateway: DagsterOrchestrator) -> None:
    launched = await gateway.launch(
        Launch(("demo.bronze.raw", "demo.silver.clean"), tags={"headwater/operation": "o1"})
    )
    (run,) = launched.runs
    state = await ended(gateway, run)
    assert (state.status, state.steps_done, state.steps_total) == (RunStatus.SUCCEEDED, 4, 4)
    assert {(made.asset, made.data_version) for made in state.produced} == {
        ("demo.bronze.raw", "abc@1"),
        ("demo.silver.clean", "def@1"),
    }
    assert (await gateway.runs_tagged("headwater/operation", "o1")) == launched

    await gateway.refresh()
    raw, clean = (gateway.view().states[id] for id in ("demo.bronze.raw", "demo.silver.clean"))
    assert raw.staleness is Staleness.FRESH
    assert raw.materialization is not None
    assert raw.materialization.data_version == "abc@1"
    assert raw.materialization.metadata == {"dagster/row_count": 3, "delta/version": 1, "ratio": 0.5}
    assert {check.name: (check.status, check.blocking) for check in clean.checks} == {
        "not_empty": (CheckStatus.PASSED, True),
        "plausible": (CheckStatus.WARNED, False),
    }

    whole = await gateway.logs(run, after=None, limit=1000)
    assert any(line.message == "hello from raw" for line in whole)
    pieces = []
    after = None
    while page := await gateway.logs(run, after=after, limit=7):
        pieces += page
        after = page[-3].cursor if len(page) > 3 else page[-1].cursor
        if len(page) > 3:
            del pieces[-2:]
    assert [line.message for line in pieces] == [line.message for line in whole], "resuming anywhere misses nothing"


async def test_a_check_speaks_of_the_version_it_judged(gateway: DagsterOrchestrator) -> None:
    """Not of a later version that no check evaluated; and a run that never came to the check takes nothing back."""
    id = "demo.silver.judged"

    async def after(launch: Launch, **selection: Any) -> tuple[AssetState, Health]:
        (params,) = run_params(launch, [gateway.view().nodes[id]])
        params["selector"] |= selection
        answer = (await gateway.client.change(mutations.LAUNCH_RUN, params=params))["launchRun"]
        await ended(gateway, answer["run"]["runId"])
        await gateway.refresh()
        state = gateway.view().states[id]
        return state, assess(gateway.view().nodes[id], state)[0]

    state, health = await after(Launch((id,)))
    assert (state.checks[0].status, state.checks[0].data_version, health) == (
        CheckStatus.PASSED,
        "j@1",
        Health.HEALTHY,
    )
    state, health = await after(Launch((id,), config={id: {"fails": True}}))
    assert (state.checks[0].status, health) == (CheckStatus.PASSED, Health.DEGRADED)  # for the run, not for the check
    state, health = await after(Launch((id,), config={id: {"version": "j@2"}}), assetCheckSelection=[])
    assert (state.checks[0].status, health) == (CheckStatus.NOT_RUN, Health.UNCHECKED)
    state, health = await after(Launch((id,), config={id: {"version": "j@2"}}))
    assert (state.checks[0].status, health) == (CheckStatus.PASSED, Health.HEALTHY)


async def test_the_view_follows_by_itself(gateway: DagsterOrchestrator) -> None:
    (run,) = (await gateway.launch(Launch(("demo.gold.broken",)))).runs

    def failed() -> bool:
        last = gateway.view().states["demo.gold.broken"].last_run
        return last is not None and last.id == run and last.status is RunStatus.FAILED

    await wait_for(failed, "the failure in the view", 120)
    state = await ended(gateway, run)
    assert state.error == "demo__gold__broken: ValueError: the world cannot be divided by zero"


async def test_terminating_ends_the_work(gateway: DagsterOrchestrator) -> None:
    launch = Launch(("demo.gold.slow",), config={"demo.gold.slow": {"seconds": 300}})
    launched = await gateway.launch(launch)
    (run,) = launched.runs
    await wait_for(lambda: bool(gateway.view().states["demo.gold.slow"].runs_in_progress), "the run in the view")
    await gateway.terminate(launched)
    assert (await ended(gateway, run)).status is RunStatus.CANCELED
    await gateway.terminate(launched)


async def test_config_that_does_not_fit_is_refused_with_the_reason(gateway: DagsterOrchestrator) -> None:
    with pytest.raises(InvalidPayload, match="nope"):
        await gateway.launch(Launch(("demo.gold.slow",), config={"demo.gold.slow": {"nope": 1}}))


async def test_one_partition_is_a_run_and_several_are_a_backfill(gateway: DagsterOrchestrator) -> None:
    one = await gateway.launch(Launch(("demo.gold.daily",), partitions=("a",)))
    assert [(await ended(gateway, run)).status for run in one.runs] == [RunStatus.SUCCEEDED]
    both = await gateway.launch(Launch(("demo.gold.daily",), partitions=("b", "c"), tags={"headwater/operation": "o2"}))
    assert both.backfill is not None
    assert (await gateway.runs_tagged("headwater/operation", "o2")).backfill == both.backfill
    deadline = time.monotonic() + 200
    while not (state := await gateway.backfill(both.backfill)) or not state.status.final:
        assert time.monotonic() < deadline, state
        await asyncio.sleep(0.5)
    assert (state.status, state.done, state.total) == (RunStatus.SUCCEEDED, 2, 2)
    ended_runs = [await gateway.outcome(run) for run in (await gateway.runs(state.runs)).values()]
    produced = [made.partition for run in ended_runs for made in run.produced]
    assert sorted(partition for partition in produced if partition) == ["b", "c"]


async def test_what_one_location_needs_of_another_is_made_in_order(gateway: DagsterOrchestrator) -> None:
    launch = Launch(
        ("demo.gold.published", "demo.silver.clean", "demo.gold.slow"), config={"demo.gold.slow": {"seconds": 0}}
    )
    assert gateway.stages(launch) == 2, "a run never reaches beyond its code location"
    (first,) = (await gateway.launch(launch, 1)).runs
    assert {made.asset for made in (await ended(gateway, first)).produced} == {"demo.silver.clean", "demo.gold.slow"}
    (second,) = (await gateway.launch(launch, 2)).runs
    assert {made.asset for made in (await ended(gateway, second)).produced} == {"demo.gold.published"}


async def test_schedules_and_sensors_are_switched(gateway: DagsterOrchestrator) -> None:
    await gateway.start_schedule(gateway.view().schedules["daily_run"])
    assert gateway.view().schedules["daily_run"].running
    assert gateway.view().schedules["daily_run"].next_tick_at is not None
    await gateway.stop_schedule(gateway.view().schedules["daily_run"])
    assert not gateway.view().schedules["daily_run"].running
    await gateway.start_sensor(gateway.view().sensors["landing"])
    assert gateway.view().sensors["landing"].running
    await gateway.stop_sensor(gateway.view().sensors["landing"])
    assert not gateway.view().sensors["landing"].running


async def test_a_dead_webserver_leaves_the_view_and_says_since_when(
    gateway: DagsterOrchestrator, dagster: DagsterProcesses
) -> None:
    dagster.kill("webserver")
    await wait_for(lambda: gateway.view().stale_since is not None, "staleness")
    assert "demo.bronze.raw" in gateway.view().nodes
    with pytest.raises(Unavailable):
        await gateway.launch(Launch(("demo.bronze.raw",)))
    dagster.start("webserver")
    await wait_for(lambda: gateway.view().stale_since is None, "recovery", 60)


class TestPipelines:
    async def test_a_run_takes_config_and_a_retry_repeats_what_failed(self, gateway: DagsterOrchestrator) -> None:
        judged = "demo.silver.judged"
        assert await gateway.config_fields([judged, "demo.bronze.raw"]) == {
            judged: ("fails", "version"),
            "demo.bronze.raw": (),
        }
        tags, config = {"headwater/pipeline": "pln_1", "t": "1"}, {"demo__silver__judged": {"fails": True}}
        launch = Launch(("demo.bronze.raw", judged), config=config, tags=tags, job="hourly")
        (run,) = (await gateway.launch(launch)).runs
        failed = await ended(gateway, run)
        steps = {step.key: step for step in await gateway.steps(failed)}
        assert steps.keys() == {"demo__bronze__raw", "demo__silver__judged", "demo__silver__judged_gate"}, (
            "without the third asset"
        )
        assert steps["demo__bronze__raw"].status is StepStatus.SUCCEEDED
        assert (steps["demo__silver__judged"].status, steps["demo__silver__judged"].error) == (
            StepStatus.FAILED,
            "ValueError: not today",
        )
        assert steps["demo__silver__judged_gate"].status is StepStatus.SKIPPED
        (again,) = (await gateway.launch(Launch((), tags={"t": "2"}, job="hourly", retries=run))).runs
        retried = await ended(gateway, again)
        assert "demo__bronze__raw" not in {step.key for step in await gateway.steps(retried)}
        assert (retried.tags["t"], retried.tags["dagster/parent_run_id"]) == ("2", run)
        assert [found.id for found in await gateway.find_runs({"headwater/pipeline": "pln_1"}, limit=10)] == [
            again,
            run,
        ]
        assert [found.id for found in await gateway.find_runs({"t": "1"}, statuses=[RunStatus.FAILED], limit=10)] == [
            run
        ]
        older = await gateway.find_runs({"headwater/pipeline": "pln_1"}, before=again, limit=10)
        assert [found.id for found in older] == [run]
        assert failed.created_at is not None
        early = await gateway.find_runs(tags, created_before=failed.created_at, limit=10)
        assert list(early) == []

    async def test_its_schedule_has_its_assets_and_times(self, gateway: DagsterOrchestrator) -> None:
        schedule = gateway.view().schedules["hourly_times"]
        assert (schedule.pipeline, schedule.job) == ("pln_1", "hourly")
        assert schedule.assets == ("demo.bronze.raw", "demo.gold.slow", "demo.silver.judged")
        assert gateway.view().schedules["daily_run"].assets == ()
        await gateway.start_schedule(schedule)
        running = gateway.view().schedules["hourly_times"]
        assert len(running.upcoming) == 5
        await gateway.stop_schedule(running)
        assert gateway.view().schedules["hourly_times"].upcoming == ()
