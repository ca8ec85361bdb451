"""The application as its operator sees it: metrics, access log and rate limits over real operations."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from api.kernel.http.access_log import LOGGER
from api.kernel.http.metrics import Metrics
from tests.api.both_databases import on_both
from tests.api_process import Api, running
from tests.orchestration import FakeOrchestrator, FakePublisher

LIST_USERS = ("admin", "admin_list_users", "GET", "200")


async def requests(api: Api) -> dict[tuple[str, ...], float]:
    reply = await api.admin.get("/metrics")
    assert reply.status == 200
    return {
        tuple(sample.labels[label] for label in ("service", "operation", "method", "status")): sample.value
        for family in plain(reply.response.text)
        for sample in family.samples
        if sample.name == "headwater_requests_total"
    }


class TestMetrics:
    async def test_only_who_manages_the_platform_sees_them(self, api: Api) -> None:
        assert (await api.anonymous.get("/metrics")).status == 401
        assert (await api.viewer.get("/metrics")).status == 403
        assert (await api.editor.get("/metrics")).status == 403
        assert (await api.admin.post("/metrics")).status == 405

    async def test_operations_are_counted_by_name_and_status(self, api: Api) -> None:
        for _ in range(3):
            assert (await api.admin.get("admin/users")).status == 200
        assert (await api.anonymous.get("admin/users")).status == 401
        counted = await requests(api)
        assert counted[LIST_USERS] == 3
        assert counted[("admin", "admin_list_users", "GET", "401")] == 1

    async def test_no_path_of_a_caller_becomes_a_name(self, api: Api) -> None:
        for number in range(20):
            assert (await api.admin.get(f"/no/such/path-{number}")).status == 404
            assert (await api.admin.get(f"admin/users/usr_{number}")).status == 404
        counted = await requests(api)
        assert counted[("", "none", "GET", "404")] == 20
        assert counted[("admin", "admin_get_user", "GET", "404")] == 20
        assert not any("path-" in label or "usr_" in label for labels in counted for label in labels)

    async def test_both_formats_can_be_read(self, api: Api) -> None:
        await api.admin.get("admin/users")
        text = await api.admin.get("/metrics")
        assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
        accept = {"accept": "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"}
        modern = await api.admin.get("/metrics", headers=accept)
        assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert modern.response.text.endswith("# EOF\n")
        for families in (plain(text.response.text), openmetrics(modern.response.text)):
            names = {sample.name for family in families for sample in family.samples}
            assert names >= {
                "headwater_requests_total",
                "headwater_request_seconds_bucket",
                "headwater_requests_in_flight",
                "headwater_pool_held",
                "headwater_pool_limit",
                "headwater_operations",
                "process_resident_memory_bytes",
            }

    @on_both
    async def test_a_hanging_gauge_delays_the_metrics_and_nothing_else(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import threading

        release = threading.Event()
        monkeypatch.setattr("api.kernel.http.metrics.SCRAPE_SECONDS", 0.1)
        api.app.platform.part(Metrics).gauge_from("slow", "Slow.", lambda: float(release.wait(30)))
        scrape = asyncio.create_task(api.admin.get("/metrics"))
        assert (await api.admin.get("admin/users")).status == 200
        assert (await scrape).reason == "DEADLINE_EXCEEDED"
        release.set()


class TestAccessLog:
    async def test_a_line_names_the_template_and_the_principal(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, logger=LOGGER):
            reply = await api.viewer.get("admin/users/usr_secret?filter=hunter2")
            await api.anonymous.get("/dagster/runs/hunter2")
        lines: list[dict[str, Any]] = [json.loads(one.message) for one in caplog.records if one.name == LOGGER]
        first, second = lines
        assert first["request_id"] == reply.headers["x-request-id"]
        assert first["route"] == "/api/v1/admin/users/{user}"
        assert first["status"] == reply.status
        assert first["bytes"] == len(reply.response.content)
        assert first["principal"] != ""
        assert (second["route"], second["principal"]) == ("/dagster", "")
        assert "hunter2" not in caplog.text
        assert "usr_secret" not in caplog.text

    async def test_it_can_be_switched_off(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        async with running(
            tmp_path, FakeOrchestrator(), publisher=FakePublisher(), HEADWATER_ACCESS_LOG="false"
        ) as api:
            with caplog.at_level(logging.INFO, logger=LOGGER):
                await api.admin.get("admin/users")
        assert not [one for one in caplog.records if one.name == LOGGER]


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Api]:
    limits = {"HEADWATER_RATE_LIMIT": "5/hour", "HEADWATER_RATE_LIMIT_ANONYMOUS": "3/hour"}
    async with running(tmp_path, FakeOrchestrator(), publisher=FakePublisher(), **limits) as started:
        yield started


class TestRateLimits:
    async def test_each_principal_has_its_own(self, limited: Api) -> None:
        statuses = [(await limited.viewer.get("ai-catalog/assets")).status for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        assert (await limited.editor.get("ai-catalog/assets")).status == 200
        refused = await limited.viewer.get("ai-catalog/assets")
        assert refused.reason == "TOO_MANY_REQUESTS"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["ratelimit-policy"] == '"principal";q=5;w=3600'

    async def test_a_second_token_of_the_same_principal_does_not_help(self, limited: Api) -> None:
        for _ in range(5):
            await limited.viewer.get("ai-catalog/assets")
        again = limited.caller("viewer")
        assert (await again.get("ai-catalog/assets")).status == 429
        await again.http.aclose()

    async def test_strangers_are_counted_by_address_whatever_they_send(self, limited: Api) -> None:
        forged = {"authorization": "Bearer nonsense"}
        statuses = [(await limited.anonymous.get("ai-catalog/assets", headers=forged)).status for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        assert (await limited.anonymous.get("/health/live")).status == 429
        assert (await limited.viewer.get("ai-catalog/assets")).status == 200, "an authenticated caller has other limits"

    async def test_denied_requests_count(self, limited: Api) -> None:
        statuses = [(await limited.viewer.get("/metrics")).status for _ in range(6)]
        assert statuses == [403] * 5 + [429]
