"""Kind of fault: a cancel that arrives during a launch, or a launch without a confirmation, is lost or counts twice."""

from __future__ import annotations

import asyncio
import dataclasses

from api.kernel.operations import store
from api.kernel.operations.engine import Operations
from api.kernel.tables import OPERATION
from core.errors import LaunchUnconfirmed
from core.runs import Launch, Launched, RunStatus
from tests.api.operations.materializations import ASSET, materialize, refused, rows, seen
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator, node
from tests.sagas import later


async def unfollowed(api: Api) -> Operations:
    """The engine, which now does only what a test tells it to do."""
    operations = api.app.platform.part(Operations)
    await operations.stop()
    return operations


async def test_a_cancel_that_arrives_during_the_launch_ends_the_run_at_once(
    api: Api, orchestrator: FakeOrchestrator
) -> None:
    operations, launch = await unfollowed(api), orchestrator.launch

    async def cancelled_meanwhile(request: Launch, stage: int = 1) -> Launched:
        launched = await launch(request, stage)
        with api.database.write() as connection:
            store.request_cancel(connection, rows(api, OPERATION)[0]["id"])
        return launched

    orchestrator.launch = cancelled_meanwhile  # type: ignore[method-assign]
    id = (await materialize(api.editor))["id"]
    async with asyncio.timeout(60):
        while operations._launches.is_launching(id):
            await asyncio.sleep(0.02)
    assert orchestrator.terminated == ["run-1"]


async def test_a_later_stage_without_a_confirmation_is_launched_again(api: Api, orchestrator: FakeOrchestrator) -> None:
    orchestrator.nodes["flights.gold.own"] = node("flights.gold.own", [ASSET], location="published")
    reply = await api.editor.post("ai-catalog/assets:materialize", {"assets": [ASSET, "flights.gold.own"]})
    orchestrator.refusal = LaunchUnconfirmed("no answer")
    orchestrator.end("run-1", RunStatus.SUCCEEDED)
    await refused(orchestrator)
    orchestrator.refusal = None
    with later(seconds=60):
        now = await seen(api, reply.json["id"], lambda now: len(now["runs"]) == 2 or now["finished_at"] is not None)
    assert (now["state"], now["runs"], now["error"]) == ("RUNNING", ["run-1", "run-2"], None)


async def test_a_run_is_told_to_end_until_it_ends_and_not_after_it_heard(
    api: Api, orchestrator: FakeOrchestrator
) -> None:
    operations = await unfollowed(api)
    id = (await materialize(api.editor))["id"]
    with api.database.write() as connection:
        store.request_cancel(connection, id)
    run = orchestrator.run_states["run-1"]
    for status, terminated in ((RunStatus.CANCELING, []), (RunStatus.RUNNING, ["run-1"])):
        orchestrator.run_states["run-1"] = dataclasses.replace(run, status=status)
        await operations._launches._observe(await operations.stored(id))
        assert orchestrator.terminated == terminated
