"""Transformations of the sample from bronze to silver: pure functions of Polars frames.

Clock times of the source are local `HHMM` numbers: departures in the zone of New York, arrivals in the zone of the
destination. Midnight is both 0 and 2400, an arrival after midnight has the date of the departure, and clocks change
twice a year. The results are UTC instants.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assets.datasets.schemas import Column

ORIGIN_ZONE = "America/New_York"

ZONES_ABSENT_FROM_AIRPORTS = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
"""Zones of Puerto Rico and Saint Thomas: the source has 7,602 flights to these airports but does not list them."""

WIND_LIMIT_MPH = 200.0
"""More than any wind measured at ground level outside a tornado. The source contains one reading of 1,048."""


def flights(scheduled: pl.DataFrame, landed: pl.DataFrame, airports: pl.DataFrame) -> pl.DataFrame:
    """Returns flights with instants and without duplicates.

    Args:
        scheduled: bronze flights as in the source.
        landed: rows with the same columns that arrived later; they replace earlier rows of the same flight.
        airports: silver airports, for the zones of arrivals.

    Returns:
        One row per flight, without the rows that have no valid date or scheduled departure time.
    """
    rows = _keyed(scheduled, landed)
    rows = rows.with_columns(_zone_of_destination(rows, airports).alias("dest_time_zone"))
    rows = rows.with_columns(
        scheduled_departure_at=_to_utc(_clock("sched_dep_time"), ORIGIN_ZONE),
        cancelled=pl.col("dep_time").is_null(),
        diverted=pl.col("dep_time").is_not_null() & pl.col("arr_delay").is_null(),
    ).filter(pl.col("scheduled_departure_at").is_not_null())
    rows = rows.with_columns(departed_at=pl.col("scheduled_departure_at") + pl.duration(minutes="dep_delay"))
    # Zone by zone, because Polars converts a column from one zone at a time.
    by_zone = rows.partition_by("dest_time_zone", maintain_order=True)
    rows = pl.concat([_arrivals(part) for part in by_zone]) if by_zone else _arrivals(rows)
    # The delay is correct beyond midnight, too. The clock time is used only where there is no delay.
    arrived = pl.col("scheduled_arrival_at") + pl.duration(minutes="arr_delay")
    rows = rows.with_columns(arrived_at=pl.coalesce(arrived, "observed_arrival_at"))
    return rows.sort("scheduled_departure_at", "flight_id")


def clock_disagreements(rows: pl.DataFrame, scheduled: pl.DataFrame, landed: pl.DataFrame) -> pl.DataFrame:
    """Returns the flights whose instants, converted to local clock times, differ from the source.

    Args:
        rows: silver flights.
        scheduled: the bronze flights from which they were computed.
        landed: the landed rows from which they were computed.

    Returns:
        The flights that differ, with the clock times of both.
    """
    clocks = ["sched_dep_time", "dep_time", "sched_arr_time", "arr_time"]
    source = _keyed(scheduled, landed).select("flight_id", *clocks)
    joined = rows.join(source, on="flight_id", how="left")
    parts = joined.partition_by("dest_time_zone", maintain_order=True)
    converted = pl.concat([_with_clocks(part) for part in parts]) if parts else _with_clocks(joined)
    wrong = [pl.col(f"shown_{clock}") != pl.col(clock) % 2400 for clock in clocks]
    unmatched = pl.col("sched_dep_time").is_null()
    return converted.filter(pl.any_horizontal(*wrong, unmatched)).select(
        "flight_id", *clocks, *(f"shown_{clock}" for clock in clocks)
    )


def weather(raw: pl.DataFrame) -> pl.DataFrame:
    """Returns hourly weather by instant instead of by local hour, which occurs twice when clocks go back."""
    observed = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False)
    plausible = pl.when(pl.col("wind_speed") <= WIND_LIMIT_MPH).then("wind_speed")
    rows = raw.with_columns(observed.alias("observed_at"), plausible.alias("wind_speed"))
    return rows.unique(["origin", "observed_at"], keep="last", maintain_order=True)


def planes(raw: pl.DataFrame) -> pl.DataFrame:
    """Returns aircraft by registration."""
    return raw.rename({"year": "manufacture_year"}).unique("tailnum", keep="last", maintain_order=True)


def airports(raw: pl.DataFrame) -> pl.DataFrame:
    """Returns airports by FAA code."""
    return raw.rename({"tz": "utc_offset_hours", "tzone": "time_zone"}).unique("faa", keep="last", maintain_order=True)


def airlines(raw: pl.DataFrame) -> pl.DataFrame:
    """Returns airlines by IATA code."""
    return raw.with_columns(pl.col("name").str.strip_chars()).unique("carrier", keep="last", maintain_order=True)


_POLARS_TYPES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "string": pl.String,
    "date32": pl.Date,
    "int32": pl.Int32,
    "double": pl.Float64,
    "bool": pl.Boolean,
    "timestamp[us, tz=UTC]": pl.Datetime("us", "UTC"),
}


def typed(rows: pl.DataFrame, columns: Mapping[str, Column]) -> pl.DataFrame:
    """Returns the declared columns in their order, cast strictly.

    Raises:
        polars.exceptions.InvalidOperationError: a value does not fit the declared type.
    """
    return rows.select(pl.col(name).cast(_POLARS_TYPES[column.type]) for name, column in columns.items())


def _keyed(scheduled: pl.DataFrame, landed: pl.DataFrame) -> pl.DataFrame:
    """Returns the last row of each flight, with date and key."""
    rows = pl.concat([scheduled, landed.select(scheduled.columns)])
    rows = rows.with_columns(_calendar_date().alias("flight_date")).with_columns(_flight_id().alias("flight_id"))
    return rows.unique("flight_id", keep="last", maintain_order=True)


def _calendar_date() -> pl.Expr:
    text = pl.format("{}-{}-{}", "year", "month", "day")
    return text.str.to_date("%Y-%m-%d", strict=False)


def _flight_id() -> pl.Expr:
    day = pl.col("flight_date").dt.strftime("%Y%m%d")
    return pl.format("{}-{}{}-{}", day, "carrier", "flight", "origin")


def _zone_of_destination(rows: pl.DataFrame, airports: pl.DataFrame) -> pl.Series:
    known = dict(airports.select("faa", "time_zone").drop_nulls().iter_rows())
    zones = known | {code: zone for code, zone in ZONES_ABSENT_FROM_AIRPORTS.items() if code not in known}
    return rows["dest"].replace_strict(zones, default=None, return_dtype=pl.String)


def _clock(column: str, *, days: int = 0) -> pl.Expr:
    # 2400 is midnight at the end of the day, which this arithmetic includes.
    minutes = pl.col(column) // 100 * 60 + pl.col(column) % 100
    return pl.col("flight_date").cast(pl.Datetime("us")) + pl.duration(minutes=minutes, days=days)


def _to_utc(local: pl.Expr, zone: str) -> pl.Expr:
    # Of an hour that occurs twice, the first occurrence is used. An hour that does not exist comes from a clock that
    # had not been changed yet: flight B6 35 landed at "2:03" on 10 March.
    hour = timedelta(hours=1)
    instant = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    before = (local - hour).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return pl.coalesce(instant, before.dt.convert_time_zone("UTC") + hour)


def _arrivals(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds the scheduled and the observed instant of arrival to flights to one time zone."""
    zone: str | None = next(iter(rows["dest_time_zone"].head(1)), None)
    return rows.with_columns(
        scheduled_arrival_at=_first_after("scheduled_departure_at", "sched_arr_time", zone),
        observed_arrival_at=_first_after("departed_at", "arr_time", zone),
    )


def _first_after(start: str, clock: str, zone: str | None) -> pl.Expr:
    """Returns the first instant after `start` with the clock time `clock` in `zone`; no flight takes a day."""
    if zone is None:
        return pl.lit(None, pl.Datetime("us", "UTC"))
    instants = [_to_utc(_clock(clock, days=days), zone) for days in (0, 1, 2)]
    return pl.coalesce([pl.when(instant > pl.col(start)).then(instant) for instant in instants])


def _with_clocks(rows: pl.DataFrame) -> pl.DataFrame:
    """Adds the local clock time, as HHMM, of each instant to flights to one time zone."""
    zone: str | None = next(iter(rows["dest_time_zone"].head(1)), None)
    missing = pl.lit(None, pl.Int64)
    return rows.with_columns(
        shown_sched_dep_time=_hhmm("scheduled_departure_at", ORIGIN_ZONE),
        shown_dep_time=_hhmm("departed_at", ORIGIN_ZONE),
        shown_sched_arr_time=_hhmm("scheduled_arrival_at", zone) if zone else missing,
        shown_arr_time=_hhmm("arrived_at", zone) if zone else missing,
    )


def _hhmm(column: str, zone: str) -> pl.Expr:
    clock = pl.col(column).dt.convert_time_zone(zone)
    return clock.dt.hour().cast(pl.Int64) * 100 + clock.dt.minute()
