"""Metrics in the format of Prometheus. The event loop counts, and a scrape renders the counts.

The labels of a series never contain text of a caller, so that callers cannot create series. Unknown paths share one
label.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.kernel.breakers import BreakerState, Dependencies
from api.kernel.http.readings import Reading, Responses, Values
from api.kernel.kinds.endpoint import Answer, Endpoint
from api.kernel.kinds.registry import Mount
from api.kernel.operations.store import FINAL, OperationState
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.kernel.tables import OPERATION
from core import clock
from core.errors import DeadlineExceeded, MethodNotAllowed

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from api.kernel.http.served import Served
    from api.kernel.http.state import RequestState

PATH = "/metrics"
SCRAPE_SECONDS = 10.0
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
"""Upper bounds of the latency histogram, in seconds."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "WEBSOCKET"))
_log = logging.getLogger("headwater.api")


@dataclass(slots=True)
class _Series:
    count: int = 0
    seconds: float = 0.0
    bins: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


@dataclass(frozen=True, slots=True)
class _Gauge:
    name: str
    help: str
    callback: Callable[[], Values]
    label: str


class Metrics:
    """The metrics of one process. They observe all requests and serve `/metrics`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._series: dict[tuple[object, str, int], _Series] = {}
        self._rejected: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._gauges: dict[str, _Gauge] = {}
        self._in_flight = 0
        self.started_at = clock.now()
        self._registry: Any = None
        # A separate thread, so that metrics are available when the pools are full.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headwater-metrics")
        self.gauge_from(
            "headwater_operations",
            "Number of unfinished long-running operations by state.",
            self._operations,
            label="state",
        )

    def began(self, scope: Scope, state: RequestState) -> None:
        """Counts a request as in flight."""
        self._in_flight += 1

    def ended(self, scope: Scope, state: RequestState, served: Served) -> None:
        """Counts the response of a request."""
        self._in_flight -= 1
        subject: object = state.endpoint or (state.found.mount if state.found else None)
        key = (subject, scope.get("method", "WEBSOCKET"), served.status)
        series = self._series.get(key)
        if series is None:
            # Requests to mounts and unknown paths may have any method.
            method = key[1] if key[1] in _METHODS else "OTHER"
            series = self._series.setdefault((subject, method, served.status), _Series())
        series.count += 1
        if not _is_stream(subject, key[1]):
            series.seconds += served.seconds
            series.bins[bisect_left(BOUNDS, served.seconds)] += 1
        if state.rejected:
            self._rejected[state.rejected] = self._rejected.get(state.rejected, 0) + 1

    def gauge_from(self, name: str, help: str, callback: Callable[[], Values], *, label: str = "") -> None:
        """Adds a gauge.

        Args:
            name: name of the metric.
            help: description of the metric.
            callback: returns the value, or the values by label, at each scrape. It runs in a separate thread, so it may
                read the database. If it raises, the gauge is left out and counted in
                `headwater_metrics_failures_total`.
            label: name of the label. Empty if there is a single value.
        """
        self._gauges[name] = _Gauge(name, help, callback, label)

    @property
    def in_flight(self) -> int:
        """Number of requests without a complete response."""
        return self._in_flight

    def rejected(self) -> dict[str, int]:
        """Returns the number of requests that were refused before an operation ran, by reason."""
        return dict(self._rejected)

    def responses(self) -> list[Responses]:
        """Returns the responses by operation, method, and status."""
        # Copies, because the event loop continues to count.
        return [
            Responses(*_names(subject), method, status, series.count, series.seconds, tuple(series.bins))
            for (subject, method, status), series in list(self._series.items())
        ]

    def readings(self) -> Iterator[Reading]:
        """Reads all gauges, which may read the database."""
        for gauge in list(self._gauges.values()):
            values: Values | None = None
            try:
                values = gauge.callback()
            except Exception:  # noqa: BLE001 - an error of one gauge must not affect the others
                self._failed[gauge.name] = self._failed.get(gauge.name, 0) + 1
                _log.exception("the gauge %s could not be read", gauge.name)
            yield Reading(gauge.name, gauge.help, gauge.label, values)

    def mount(self) -> Mount:
        """Returns the mount of `/metrics`."""
        return Mount(path=PATH, app=self, role=Role.ADMIN, permission="platform.metrics.read", exact=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the metrics as text 0.0.4, or as OpenMetrics if the client accepts it.

        Raises:
            DeadlineExceeded: a gauge takes too long.
        """
        request = Request(scope, receive)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("This path supports GET.", metadata={"allow": ["GET"]})
        loop = asyncio.get_running_loop()
        rendering = loop.run_in_executor(self._thread, self._render, request.headers.get("accept", ""))
        try:
            async with asyncio.timeout(SCRAPE_SECONDS):
                content, media_type = await rendering
        except TimeoutError:
            raise DeadlineExceeded("A gauge did not return in time. See the log of the API.") from None
        await Response(content, headers={"content-type": media_type, "vary": "accept"})(scope, receive, send)

    def close(self) -> None:
        """Stops the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def collect(self) -> Iterator[Metric]:
        """Yields all metrics. This is the collector protocol of prometheus-client."""
        yield from self._requests()
        yield from self._occupancy()
        yield from self._dependencies()
        yield from self._called_gauges()

    def _render(self, accept: str) -> tuple[bytes, str]:
        from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
        from prometheus_client.exposition import choose_encoder

        if self._registry is None:
            registry = CollectorRegistry(auto_describe=False)
            registry.register(self)
            ProcessCollector(registry=registry)
            GCCollector(registry=registry)
            self._registry = registry
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def _requests(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        names = ("service", "operation", "method", "status")
        count = CounterMetricFamily("headwater_requests", "Number of requests with a response.", labels=names)
        seconds = HistogramMetricFamily(
            "headwater_request_seconds", "Time until the last byte of the response, without streams.", labels=names
        )
        # Copies, because the event loop continues to count.
        for (subject, method, status), series in list(self._series.items()):
            labels = (*_names(subject), method, str(status))
            count.add_metric(labels, series.count)
            if not _is_stream(subject, method):
                seconds.add_metric(labels, _cumulative(list(series.bins)), series.seconds)
        rejected = CounterMetricFamily(
            "headwater_requests_rejected", "Number of requests refused before an operation ran.", labels=("reason",)
        )
        for reason, number in list(self._rejected.items()):
            rejected.add_metric((reason,), number)
        yield from (count, seconds, rejected)
        yield GaugeMetricFamily("headwater_requests_in_flight", "Number of requests in flight.", self._in_flight)

    def _occupancy(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        labels = ("pool",)
        held = GaugeMetricFamily("headwater_pool_held", "Number of calls that run or wait in a pool.", labels=labels)
        limit = GaugeMetricFamily("headwater_pool_limit", "Maximum number of calls in a pool.", labels=labels)
        refused = CounterMetricFamily("headwater_pool_refused", "Number of calls that a pool refused.", labels=labels)
        for pool in self._platform.workers.pools:
            held.add_metric((pool.name,), pool.held)
            limit.add_metric((pool.name,), pool.limit)
            refused.add_metric((pool.name,), pool.refused)
        yield from (held, limit, refused)

    def _dependencies(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        labels = ("dependency",)
        state = GaugeMetricFamily(
            "headwater_breaker_state", "1 for the current state of a breaker, 0 for others.", labels=(*labels, "state")
        )
        families = {
            name: CounterMetricFamily(f"headwater_dependency_{name}", help, labels=labels)
            for name, help in (
                ("calls", "Number of calls that were sent, with retries."),
                ("failures", "Number of failed calls."),
                ("refused", "Number of calls that an open breaker refused."),
                ("retries", "Number of repeated calls."),
            )
        }
        for dependency in self._platform.part(Dependencies).states():
            for possible in BreakerState:
                state.add_metric((dependency.name, possible.value), float(dependency.state is possible))
            for name, family in families.items():
                family.add_metric((dependency.name,), getattr(dependency, name))
        yield from (state, *families.values())

    def _called_gauges(self) -> Iterator[Metric]:
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        for reading in self.readings():
            values = reading.values
            if values is None:
                continue
            labels = (reading.label,) if reading.label else ()
            family = GaugeMetricFamily(reading.name, reading.help, labels=labels)
            if isinstance(values, Mapping):
                for value_label, value in values.items():
                    family.add_metric((value_label,), float(value))
            else:
                family.add_metric((), float(values))
            yield family
        failed = CounterMetricFamily(
            "headwater_metrics_failures", "Number of failures to read a gauge.", labels=("metric",)
        )
        for name, number in list(self._failed.items()):
            failed.add_metric((name,), number)
        yield failed

    def _operations(self) -> Mapping[str, float]:
        count = sa.select(OPERATION.c.state, sa.func.count()).where(
            OPERATION.c.state.not_in([state.value for state in FINAL])
        )
        with self._platform.database.read() as connection:
            counts = {row[0]: float(row[1]) for row in connection.execute(count.group_by(OPERATION.c.state))}
        return {state.value: counts.get(state.value, 0.0) for state in OperationState if not state.final}


def _names(subject: object) -> tuple[str, str]:
    if isinstance(subject, Endpoint):
        return subject.service, subject.operation_id
    if isinstance(subject, Mount):
        return "platform", subject.path
    return "", "none"


def _is_stream(subject: object, method: str) -> bool:
    """Returns whether the client determines the duration, so that it is no measure of the platform."""
    return method == "WEBSOCKET" or (isinstance(subject, Endpoint) and subject.answer is Answer.STREAM)


def _cumulative(bins: list[int]) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, number in zip((*BOUNDS, "+Inf"), bins, strict=True):
        total += number
        buckets.append((str(bound), float(total)))
    return buckets
