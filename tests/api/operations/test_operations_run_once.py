"""Kind of fault: a request that is repeated, or a process that dies, launches twice, or never."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from api.kernel.operations.engine import Operations
from api.kernel.tables import IDEMPOTENCY
from api.main import create_app
from core import clock
from core.errors import LaunchUnconfirmed
from core.runs import RunStatus
from tests.api.both_databases import on_both
from tests.api.operations.materializations import ASSET, materialize, rows, seen
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator


class TestIdempotency:
    async def test_a_repeated_request_is_answered_again_not_carried_out_again(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        first = await api.editor.post(path, {}, headers=headers)
        again = await api.editor.post(path, {}, headers=headers)
        assert again.json["id"] == first.json["id"]
        assert again.headers["idempotency-replayed"] == "true"
        assert len(orchestrator.launches) == 1

    @on_both
    async def test_at_the_same_moment_only_one_is_carried_out(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        replies = await asyncio.gather(*(api.editor.post(path, {}, headers=headers) for _ in range(8)))
        assert {reply.status for reply in replies} <= {202, 409}
        assert len({reply.json["id"] for reply in replies if reply.status == 202}) == 1
        assert len(orchestrator.launches) == 1

    async def test_a_key_stands_for_one_request(self, api: Api) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        await api.editor.post(path, {}, headers=headers)
        reply = await api.editor.post(path, {"upstream": True}, headers=headers)
        assert (reply.status, reply.reason) == (422, "IDEMPOTENCY_KEY_REUSED")

    async def test_keys_of_different_callers_are_apart(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        path, headers = f"ai-catalog/assets/{ASSET}:materialize", {"idempotency-key": "once"}
        await api.editor.post(path, {}, headers=headers)
        assert (await api.admin.post(path, {}, headers=headers)).status == 202
        assert len(orchestrator.launches) == 2


class TestCrashes:
    """What a new process makes of the rows that a dead one left."""

    async def restarted(self, api: Api, orchestrator: FakeOrchestrator, id: str) -> dict[str, Any]:
        app = create_app(api.app.platform.settings, orchestrator=orchestrator)
        stack = await app.startup()
        try:
            return await seen(Api(app), id, lambda now: now["finished_at"] is not None or bool(now["runs"]))
        finally:
            await stack.aclose()

    async def test_a_launch_whose_answer_was_lost_is_found_by_its_tag(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        orchestrator.after_launch = LaunchUnconfirmed("no answer")
        operation = await materialize(api.editor)
        found = await seen(api, operation["id"], lambda now: bool(now["runs"]))
        assert (found["runs"], found["state"]) == (["run-1"], "RUNNING")
        assert len(orchestrator.launches) == 1

    async def test_a_crash_before_the_launch_ends_as_a_failure_that_says_so(
        self, api: Api, orchestrator: FakeOrchestrator, tmp_path: Path
    ) -> None:
        orchestrator.refusal = LaunchUnconfirmed("no answer")
        headers = {"idempotency-key": "once"}
        id = (await api.editor.post(f"ai-catalog/assets/{ASSET}:materialize", {}, headers=headers)).json["id"]
        clock.freeze(lambda: datetime.now(UTC) + timedelta(minutes=5))
        try:
            ended = await self.restarted(api, orchestrator, id)
        finally:
            clock.freeze(None)
        assert ended["state"] == "FAILED"
        assert "before anything was started" in ended["error"]
        assert rows(api, IDEMPOTENCY) == [], "the same request may be tried again"

    async def test_a_crash_while_it_runs_loses_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        id = (await materialize(api.editor))["id"]
        await api.app.platform.part(Operations).stop()
        orchestrator.end("run-1", RunStatus.SUCCEEDED, versions={ASSET: "new@7"})
        ended = await self.restarted(api, orchestrator, id)
        assert (ended["state"], ended["produced"][0]["data_version"]) == ("SUCCEEDED", "new@7")
