"""Metrics: what is counted under which name, and that counting never gets in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from api.kernel.breakers import Dependencies, Dependency
from api.kernel.http.metrics import BOUNDS, Metrics
from api.kernel.http.served import Served
from api.kernel.http.state import RequestState
from api.kernel.kinds.registry import Found, Mount
from api.kernel.platform import Platform
from api.kernel.roles import Role
from core.db import Database
from core.settings import Settings
from migrations.tables import METADATA
from tests.orchestration import FakeOrchestrator

LABELS = ("service", "operation", "method", "status", "le", "reason", "pool", "dependency", "state", "kind", "metric")
PAGE = Mount(path="/page", app=None, role=Role.VIEWER)  # type: ignore[arg-type]


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    url = f"sqlite:///{tmp_path / 'metadata.db'}"
    engine = sa.create_engine(url)
    METADATA.create_all(engine)
    engine.dispose()
    opened = Platform(Settings(home=tmp_path), Database(url), FakeOrchestrator())
    yield opened
    opened.close()


@pytest.fixture
def metrics(platform: Platform) -> Metrics:
    return platform.part(Metrics)


def served(
    metrics: Metrics, method: str = "GET", *, rejected: str = "", found: Found | None = None, **arguments: Any
) -> None:
    scope = {"type": "http", "method": method, "path": "/whatever"}
    state = RequestState("req", "127.0.0.1", found=found, rejected=rejected)
    metrics.began(scope, state)
    metrics.ended(scope, state, Served(**({"status": 200, "seconds": 0.004, "complete": True} | arguments)))


def samples(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    content, _ = metrics._render("")
    return {
        tuple(sample.labels[label] for label in LABELS if label in sample.labels): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_what_served_them(metrics: Metrics) -> None:
    for status in (200, 200, 404):
        served(metrics, found=Found(mount=PAGE), status=status)
    served(metrics, status=404)
    assert samples(metrics, "headwater_requests_total") == {
        ("platform", "/page", "GET", "200"): 2,
        ("platform", "/page", "GET", "404"): 1,
        ("", "none", "GET", "404"): 1,
    }


def test_a_caller_cannot_make_new_series(metrics: Metrics) -> None:
    for number in range(500):
        served(metrics, f"METHOD{number}", status=404)
    assert samples(metrics, "headwater_requests_total") == {("", "none", "OTHER", "404"): 500}


def test_latency_falls_into_the_bins_of_its_bounds(metrics: Metrics) -> None:
    for seconds in (0.0, BOUNDS[0], 0.0011, 61.0):
        served(metrics, found=Found(mount=PAGE), seconds=seconds)
    buckets = {labels[-1]: value for labels, value in samples(metrics, "headwater_request_seconds_bucket").items()}
    assert (buckets["0.001"], buckets["0.0025"], buckets["60.0"], buckets["+Inf"]) == (2, 3, 3, 4)
    assert list(samples(metrics, "headwater_request_seconds_sum").values()) == [pytest.approx(61.0021)]
    assert list(samples(metrics, "headwater_request_seconds_count").values()) == [4]


def test_websockets_are_counted_but_their_lives_are_no_latency(metrics: Metrics) -> None:
    scope = {"type": "websocket", "path": "/page"}
    state = RequestState("req", "127.0.0.1", found=Found(mount=PAGE))
    metrics.began(scope, state)
    assert samples(metrics, "headwater_requests_in_flight") == {(): 1}
    metrics.ended(scope, state, Served(status=101, seconds=3600, complete=True))
    assert samples(metrics, "headwater_requests_in_flight") == {(): 0}
    assert samples(metrics, "headwater_requests_total") == {("platform", "/page", "WEBSOCKET", "101"): 1}
    assert samples(metrics, "headwater_request_seconds_count") == {}


def test_refusals_are_counted_by_reason(metrics: Metrics) -> None:
    for _ in range(3):
        served(metrics, status=429, rejected="TOO_MANY_REQUESTS")
    served(metrics, status=401, rejected="UNAUTHENTICATED")
    assert samples(metrics, "headwater_requests_rejected_total") == {("TOO_MANY_REQUESTS",): 3, ("UNAUTHENTICATED",): 1}


async def test_gauges_ask_at_each_scrape_and_one_that_fails_spares_the_others(metrics: Metrics) -> None:
    values = iter([1.0, 2.0])
    metrics.gauge_from("headwater_outbox_lag_seconds", "Age of the oldest event.", lambda: next(values))
    metrics.gauge_from("headwater_things", "Things.", lambda: {"A": 1, "B": 2.5}, label="kind")

    assert samples(metrics, "headwater_outbox_lag_seconds") == {(): 1.0}
    assert samples(metrics, "headwater_outbox_lag_seconds") == {(): 2.0}
    assert samples(metrics, "headwater_outbox_lag_seconds") == {}, "no value is better than an old one"
    assert samples(metrics, "headwater_things") == {("A",): 1.0, ("B",): 2.5}
    assert samples(metrics, "headwater_metrics_failures_total")[("headwater_outbox_lag_seconds",)] >= 1


async def test_pools_tell_how_full_they_are(platform: Platform, metrics: Metrics) -> None:
    platform.workers.passwords.held += 3
    assert samples(metrics, "headwater_pool_held")[("password checks",)] == 3
    assert samples(metrics, "headwater_pool_limit")[("password checks",)] == platform.workers.passwords.limit
    platform.workers.passwords.held -= 3


async def test_breakers_are_shown(platform: Platform, metrics: Metrics) -> None:
    mail = Dependency("Mail", timeout_seconds=1, is_failure=lambda error: True, failures=1)
    platform.part(Dependencies).add(mail)

    async def away() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await mail.call(away, idempotent=False)
    state = samples(metrics, "headwater_breaker_state")
    assert (state[("Mail", "OPEN")], state[("Mail", "CLOSED")]) == (1, 0)
    assert samples(metrics, "headwater_dependency_failures_total") == {("Mail",): 1}


def test_two_applications_in_a_process_do_not_share_counts(platform: Platform, metrics: Metrics) -> None:
    other = Metrics(platform)
    served(metrics)
    assert samples(other, "headwater_requests_total") == {}
    other.close()


def test_the_process_itself_is_measured(metrics: Metrics) -> None:
    assert samples(metrics, "process_resident_memory_bytes")[()] > 1_000_000
    assert samples(metrics, "process_cpu_seconds_total")[()] > 0
