"""Kind of fault: a stream of log lines loses, repeats or discloses one, or never ends."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import Unavailable
from core.runs import RunStatus
from tests.api.admin.tenants import user
from tests.api.operations.materializations import materialize
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator


@pytest.mark.effect("operations_get_operation_logs")
class TestLogs:
    async def test_streams_every_line_and_ends_with_the_state(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        for number in range(700):
            orchestrator.log("run-1", f"line {number}")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        events = await api.viewer.events(f"operations/{id}/logs")
        lines = [event["data"]["message"] for event in events if event["event"] == "log"]
        assert lines == [f"line {number}" for number in range(700)]
        assert (events[-1]["event"], events[-1]["data"]["state"]) == ("end", "SUCCEEDED")

    async def test_a_client_that_was_cut_off_misses_and_repeats_nothing(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        id = (await materialize(api.editor))["id"]
        for number in range(10):
            orchestrator.log("run-1", f"line {number}")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        first = [event for event in await api.viewer.events(f"operations/{id}/logs") if event["event"] == "log"]
        rest = await api.viewer.events(f"operations/{id}/logs", headers={"last-event-id": first[3]["id"]})
        assert [event["data"]["message"] for event in rest if event["event"] == "log"] == [
            f"line {number}" for number in range(4, 10)
        ]

    async def test_of_an_unknown_operation_are_a_plain_404(self, api: Api) -> None:
        assert (await api.viewer.get("operations/op_none/logs")).status == 404

    async def test_who_may_not_see_the_operation_reads_no_line(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        orchestrator.log("run-1", "a line")
        orchestrator.end("run-1", RunStatus.SUCCEEDED)
        await user(api, "ada")
        refused = await api.caller("ada").get(f"operations/{id}/logs")
        assert refused.status in (403, 404)
        assert "a line" not in refused.response.text

    async def test_an_event_id_that_is_not_ours_is_refused(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        for wrong in ("x", "bm9w", "W10"):
            assert (await api.viewer.get(f"operations/{id}/logs", headers={"last-event-id": wrong})).status == 400

    async def test_a_failure_on_the_way_is_one_last_event(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]

        async def broken(*_: object, **__: object) -> list[Any]:
            raise Unavailable("Dagster does not answer.")

        orchestrator.logs = broken  # type: ignore[assignment]
        events = await api.viewer.events(f"operations/{id}/logs")
        assert (events[-1]["event"], events[-1]["data"]["reason"]) == ("error", "UNAVAILABLE")
