"""Monitoring: the state of the platform's processes, queues, dependencies, and storage now."""

from __future__ import annotations

from datetime import datetime

from api.kernel.breakers import BreakerState, Dependencies
from api.kernel.http.metrics import Metrics
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.models import Model
from api.kernel.platform import Platform
from api.kernel.roles import Role
from api.services.admin.logic import measuring
from core import clock
from core.errors import NotFound

PLATFORM = "platform"

MONITORING = Kind(
    "monitoring",
    plural="monitoring",
    title="Monitoring",
    description="State of processes, queues, dependencies, and storage. The only id is `platform`.",
    example=PLATFORM,
)


class ProcessState(Model):
    """A process of the platform."""

    name: str
    """Name of the process."""

    state: str
    """WAITING, STARTING, READY, or RESTARTING."""

    restarts: int
    """Number of restarts since the platform started."""

    exit_code: int | None
    """Exit code of the last exit. Null if it has not exited."""

    started_at: datetime | None
    """Time at which it started. Null if it does not run."""

    memory_bytes: int | None
    """Memory that it and its children hold. Null if that can't be measured."""

    cpu_seconds: float | None
    """Processor time that it has used. Null if that can't be measured."""


class OperationLoad(Model):
    """Requests of an operation since the process started."""

    service: str
    """Name of the service."""

    operation: str
    """Id of the operation, or path of another address."""

    requests: int
    """Number of responses."""

    refused: int
    """Number of responses with a status from 400 to 499."""

    failed: int
    """Number of responses with a status of 500 or more."""

    seconds: float
    """Sum of the times of all responses. Divided by `requests`, it is the mean."""

    p95_seconds: float | None
    """Upper bound of the time of 95 percent of the responses. Null if it is more than a minute, or for streams."""


class RejectedRequests(Model):
    """Requests that were refused before an operation ran."""

    reason: str
    """Why they were refused."""

    requests: int
    """Number of requests."""


class PoolState(Model):
    """A pool of threads."""

    name: str
    """Name of the pool."""

    held: int
    """Number of calls that run or wait."""

    limit: int
    """Maximum number of calls that run or wait."""

    refused: int
    """Number of calls that were refused because the pool was full."""


class DependencyHealth(Model):
    """A system outside of the process, and its circuit breaker."""

    name: str
    """Name of the system."""

    breaker: BreakerState
    """CLOSED lets calls pass, OPEN refuses them, HALF_OPEN lets one probe pass."""

    calls: int
    """Number of calls that were sent."""

    failures: int
    """Number of failed calls."""

    refused: int
    """Number of calls that the open breaker refused."""

    retries: int
    """Number of repeated calls."""


class GaugeValue(Model):
    """One value of a gauge."""

    label: str
    """What the value is of. Empty if the gauge has one value."""

    value: float
    """The value."""


class GaugeReading(Model):
    """A gauge: the length of a queue, the lag of a consumer, or another present value."""

    name: str
    """Name of the metric."""

    description: str
    """What it measures."""

    values: list[GaugeValue] | None
    """The values. Null if the gauge can't be read."""


class DatabaseState(Model):
    """The metadata database."""

    system: str
    """Database system."""

    bytes: int | None
    """Size. Null if it can't be measured."""

    seconds: float | None
    """Time of one short read. Null if the database does not respond."""


class VolumeState(Model):
    """A place that the platform stores data in."""

    purpose: str
    """What it stores."""

    total_bytes: int | None
    """Size of the volume. Null for an object store."""

    free_bytes: int | None
    """Free space on the volume. Null for an object store."""


class PlatformState(Model):
    """State of the platform, as the process that responds sees it."""

    measured_at: datetime
    """Time of the measurement."""

    started_at: datetime
    """Time at which the responding process started. Its counts start there."""

    processes: list[ProcessState] | None
    """Processes that the supervisor runs on this machine. Null if no supervisor runs here."""

    in_flight: int
    """Number of requests without a complete response, this one included."""

    operations: list[OperationLoad]
    """Operations that had requests, ordered by service and operation."""

    rejected: list[RejectedRequests]
    """Requests that were refused before an operation ran, by reason."""

    pools: list[PoolState]
    """Pools of threads."""

    dependencies: list[DependencyHealth]
    """Systems outside of the process that it has called."""

    gauges: list[GaugeReading]
    """Queues, lags, and other present values."""

    database: DatabaseState
    """The metadata database."""

    volumes: list[VolumeState]
    """Places that the platform stores data in."""


@MONITORING.get(result=PlatformState, role=Role.ADMIN)
async def get_monitoring(ctx: Context, monitoring: str) -> PlatformState:
    """Returns the state of processes, requests, queues, dependencies, the database, and disks now.

    Counts are those of the process that responds.
    """
    if monitoring != PLATFORM:
        raise NotFound(f"There is no state of {monitoring!r}. The only id is {PLATFORM!r}.")
    dependencies = [
        DependencyHealth(
            name=one.name,
            breaker=one.state,
            calls=one.calls,
            failures=one.failures,
            refused=one.refused,
            retries=one.retries,
        )
        for one in ctx.platform.part(Dependencies).states()
    ]
    return await ctx.compute(_measure, ctx.platform, dependencies)


def _measure(platform: Platform, dependencies: list[DependencyHealth]) -> PlatformState:
    metrics = platform.part(Metrics)
    processes = measuring.processes(platform.settings)
    return PlatformState(
        measured_at=clock.now(),
        started_at=metrics.started_at,
        processes=None if processes is None else [ProcessState(**one) for one in processes],
        in_flight=metrics.in_flight,
        operations=[OperationLoad(**one) for one in measuring.loads(metrics.responses())],
        rejected=[RejectedRequests(reason=name, requests=count) for name, count in sorted(metrics.rejected().items())],
        pools=[
            PoolState(name=pool.name, held=pool.held, limit=pool.limit, refused=pool.refused)
            for pool in platform.workers.pools
        ],
        dependencies=dependencies,
        gauges=[
            GaugeReading(
                name=one.name,
                description=one.help,
                values=None
                if one.values is None
                else [GaugeValue(label=label, value=value) for label, value in measuring.labeled(one.values)],
            )
            for one in metrics.readings()
        ],
        database=DatabaseState(**measuring.database(platform.database)),
        volumes=[VolumeState(**one) for one in measuring.volumes(platform.settings)],
    )
