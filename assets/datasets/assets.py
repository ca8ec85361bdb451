"""The silver tables of the sample: typed, in UTC, and without duplicates, computed by Polars."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.datasets import schemas
from assets.datasets.checks import asset_checks, step_checks
from assets.datasets.column_lineage import lineage_metadata
from assets.datasets.rules import Check, Range, Reference, RowCount
from assets.declaration import eager
from assets.step_checks import ProducedVersion, StepCheck, checked_asset
from core.ids import asset_id, asset_key
from lakehouse.column_sources import Sources
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    import polars as pl

    from lakehouse.step import Step

OWNERS = ["team:data"]
FLIGHTS = "flights.silver.flights"
WEATHER = "flights.silver.weather"
PLANES = "flights.silver.planes"
AIRPORTS = "flights.silver.airports"
AIRLINES = "flights.silver.airlines"
_DISAGREEING_FRACTION = 0.001
_FOLDER = Path(__file__).parent


def _code_version() -> str:
    """Returns the digest of the code that determines the content of the silver tables."""
    files = [(_FOLDER / name).read_bytes() for name in ("transforms.py", "schemas.py")]
    return hashlib.sha256(b"\0".join(files)).hexdigest()[:16]


def _when_flights_land() -> dg.AutomationCondition[Any]:
    """Returns `eager` for landed rows only, because the packaged source changes only in the daily refresh."""
    landing = dg.AssetSelection.assets(["flights", "bronze", "flights_landing"])
    condition = eager(landing)
    return (condition & dg.AutomationCondition.all_deps_blocking_checks_passed()).with_label("when flights land")


def _silver(
    table: str, *deps: str, description: str, automation: dg.AutomationCondition[Any] | None = None
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["flights", "silver", table],
        deps=[dg.AssetKey(asset_key(dep)) for dep in (f"flights.bronze.{table}", *deps)],
        description=description,
        group_name="silver",
        owners=OWNERS,
        kinds={"delta", "polars"},
        code_version=_code_version(),
        automation_condition=automation,
    )


CHECKS: Mapping[str, Sequence[Check]] = {
    FLIGHTS: [
        Check(row_count=RowCount(min=1), blocking=True),
        Check(unique=["flight_id"], blocking=True),
        Check(
            not_null=["flight_id", "flight_date", "carrier", "origin", "dest", "scheduled_departure_at"],
            name="not_null_keys",
            blocking=True,
        ),
        Check(not_null=["scheduled_arrival_at"], tolerance=0.01, blocking=True),
        Check(range=Range(column="dep_delay", min=-120, max=2880), severity="warn"),
        Check(range=Range(column="arr_delay", min=-180, max=2880), severity="warn"),
        Check(range=Range(column="distance", min=1, max=12000), severity="warn", tolerance=0.0001),
        Check(holds="arrived_at > departed_at", name="arrives_after_departure", blocking=True, tolerance=0.0001),
        Check(holds="NOT (cancelled AND departed_at IS NOT NULL)", name="cancelled_never_departed", blocking=True),
        Check(references=Reference(column="carrier", table="flights.silver.airlines", key="carrier"), blocking=True),
        Check(
            references=Reference(column="dest", table="flights.silver.airports", key="faa"),
            severity="warn",
            description="Four destinations (BQN, PSE, SJU, STT; 2.3 % of the flights) are not among the airports.",
        ),
        Check(
            references=Reference(column="tailnum", table="flights.silver.planes", key="tailnum"),
            severity="warn",
            tolerance=0.2,
            description="The source lacks the aircraft of 14.9 % of the flights, mostly of AA and MQ.",
        ),
    ],
    WEATHER: [
        Check(unique=["origin", "observed_at"], blocking=True),
        Check(not_null=["origin", "observed_at"], blocking=True),
        Check(range=Range(column="temp", min=-40, max=130)),
        Check(range=Range(column="humid", min=0, max=100)),
        Check(range=Range(column="wind_speed", min=0, max=200)),
        Check(range=Range(column="visib", min=0, max=10)),
    ],
    PLANES: [
        Check(unique=["tailnum"], blocking=True),
        Check(not_null=["tailnum"], blocking=True),
        Check(range=Range(column="manufacture_year", min=1940, max=2014)),
        Check(range=Range(column="seats", min=1, max=900)),
    ],
    AIRPORTS: [
        Check(unique=["faa"], blocking=True),
        Check(not_null=["faa"], blocking=True),
        Check(
            not_null=["time_zone"],
            severity="warn",
            description="The source lacks the time zone of three airports, none of them a destination.",
        ),
        Check(
            range=Range(column="lat", min=15, max=72),
            severity="warn",
            description="The source places Dillant Hopkins (EEN, New Hampshire) at 72.3 N, 42.9 E.",
        ),
    ],
    AIRLINES: [
        Check(unique=["carrier"], blocking=True),
        Check(not_null=["carrier", "name"], blocking=True),
    ],
}


def clocks_agree(version: ProducedVersion) -> dg.AssetCheckResult:
    """Compares the instants of the written version with the clock times of the source versions that it was read from.

    One flight of the sample differs: it landed at "2:03" in the night in which clocks skipped that hour.
    """
    from assets.datasets import transforms

    tables, silver = version.delta.tables(), version.snapshot
    edges = version.delta.lineage().provenance(FLIGHTS, silver.data_version)
    versions = {edge.in_asset: int(edge.in_version.rpartition("@")[2]) for edge in edges}
    scheduled, landed = (
        tables.snapshot(table, version=versions.get(table)).scan().collect()
        for table in ("flights.bronze.flights", "flights.bronze.flights_landing")
    )
    wrong = transforms.clock_disagreements(silver.scan().collect(), scheduled, landed)
    return dg.AssetCheckResult(
        asset_key=_CLOCKS_AGREE.asset_key,
        check_name=_CLOCKS_AGREE.name,
        passed=wrong.height <= silver.row_count * _DISAGREEING_FRACTION,
        description=f"{wrong.height} of {silver.row_count} flights have another local time than the source.",
        metadata={
            "failing_rows": wrong.height,
            "checked_rows": silver.row_count,
            "tolerance": _DISAGREEING_FRACTION,
            "delta/version": silver.version,
            "sample": dg.JsonMetadataValue(wrong.head(5).to_dicts()),
        },
    )


_CLOCKS_AGREE = dg.AssetCheckSpec(
    "clocks_agree",
    asset=asset_key(FLIGHTS),
    blocking=True,
    description="The UTC instants, converted to the zones of origin and destination, are the clock times of the "
    "source.",
)


@checked_asset(
    specs=[
        _silver(
            "flights",
            "flights.bronze.flights_landing",
            "flights.silver.airports",
            description="One row per flight, times as UTC instants; landed rows replace rows of the source.",
            automation=_when_flights_land(),
        )
    ],
    checks=[StepCheck(_CLOCKS_AGREE, clocks_agree), *step_checks(FLIGHTS, CHECKS[FLIGHTS])],
)
def silver_flights(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
    """One row per flight: scheduled and actual times as UTC instants. Landed rows replace rows of the source."""
    from assets.datasets import transforms

    step = delta.step(context)
    scheduled = _frame(step, "flights.bronze.flights")
    landed = _frame(step, "flights.bronze.flights_landing").select(scheduled.columns)
    airports = _frame(step, "flights.silver.airports", columns=["faa", "time_zone"])
    rows = transforms.flights(scheduled, landed, airports)
    replaced = scheduled.height + landed.height - rows.height
    return _write(context, step, rows, schemas.FLIGHTS, {"replaced_or_undated_rows": replaced})


@checked_asset(
    specs=[
        _silver("weather", description="Hourly weather by airport and UTC hour; impossible wind speeds set to missing.")
    ],
    checks=step_checks(WEATHER, CHECKS[WEATHER]),
)
def silver_weather(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
    """Hourly weather by airport and UTC hour; impossible wind speeds set to missing."""
    from assets.datasets import transforms

    step = delta.step(context)
    return _write(context, step, transforms.weather(_frame(step, "flights.bronze.weather")), schemas.WEATHER)


@checked_asset(
    specs=[_silver("planes", description="Aircraft by registration.")],
    checks=step_checks(PLANES, CHECKS[PLANES]),
)
def silver_planes(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
    """Aircraft by registration."""
    from assets.datasets import transforms

    step = delta.step(context)
    return _write(context, step, transforms.planes(_frame(step, "flights.bronze.planes")), schemas.PLANES)


@checked_asset(
    specs=[_silver("airports", description="Airports by FAA code with their time zone.")],
    checks=step_checks(AIRPORTS, CHECKS[AIRPORTS]),
)
def silver_airports(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
    """Airports by FAA code with their time zone."""
    from assets.datasets import transforms

    step = delta.step(context)
    return _write(context, step, transforms.airports(_frame(step, "flights.bronze.airports")), schemas.AIRPORTS)


@checked_asset(
    specs=[_silver("airlines", description="Airlines by IATA code.")],
    checks=step_checks(AIRLINES, CHECKS[AIRLINES]),
)
def silver_airlines(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
    """Airlines by IATA code."""
    from assets.datasets import transforms

    step = delta.step(context)
    return _write(context, step, transforms.airlines(_frame(step, "flights.bronze.airlines")), schemas.AIRLINES)


def definitions() -> dg.Definitions:
    """Returns the silver tables and their checks."""
    return dg.Definitions(
        assets=[silver_airlines, silver_airports, silver_flights, silver_planes, silver_weather],
        asset_checks=[check for asset, checks in CHECKS.items() for check in asset_checks(asset, checks)],
    )


def _frame(step: "Step", table: str, *, columns: Sequence[str] | None = None) -> "pl.DataFrame":
    rows = step.read(table, columns=columns).scan()
    return (rows if columns is None else rows.select(columns)).collect()


def _write(
    context: dg.AssetExecutionContext,
    step: "Step",
    rows: "pl.DataFrame",
    columns: Mapping[str, schemas.Column],
    metadata: Mapping[str, Any] | None = None,
) -> dg.MaterializeResult[Any]:
    from assets.datasets.transforms import typed

    table = typed(rows, columns).to_arrow().cast(schemas.arrow_schema(columns))
    sources = column_sources(asset_id(context.asset_key.path), columns)
    step.declare_columns(sources)
    commit = step.overwrite(table, evolve_schema=True)
    return materialized(context, commit, metadata={**lineage_metadata(sources), **(metadata or {})})


def column_sources(asset: str, columns: Mapping[str, schemas.Column]) -> Sources:
    """Returns the bronze and silver columns from which each column of a silver table is computed."""
    project, _, table = asset_key(asset)

    def source(name: str) -> tuple[str, str]:
        other, _, column = name.rpartition(".")
        return (f"{project}.silver.{other}" if other else f"{project}.bronze.{table}"), column

    return {
        name: [source(used) for used in ((name,) if column.sources is None else column.sources)]
        for name, column in columns.items()
    }
