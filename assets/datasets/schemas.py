"""Declared schemas of the silver tables of the sample: type, nullability, and description of each column.

The descriptions become Delta column comments, from which the data dictionary is generated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """Arrow type, description, and nullability of a column."""

    type: str
    description: str
    nullable: bool = True
    sources: tuple[str, ...] | None = None
    """Source columns, of the bronze table or, as `airports.time_zone`, of a silver table. `None` for the column of the
    same name."""


_DAY = ("year", "month", "day")
_DEPARTURE = (*_DAY, "sched_dep_time")
_ARRIVAL = (*_DEPARTURE, "sched_arr_time", "dest", "airports.time_zone")

UTC = "timestamp[us, tz=UTC]"

FLIGHTS = {
    "flight_id": Column(
        "string",
        "Key: local date, carrier and number, origin, as `20130101-UA1545-EWR`.",
        False,
        sources=(*_DAY, "carrier", "flight", "origin"),
    ),
    "flight_date": Column("date32", "Scheduled day of departure, local at the origin.", False, sources=_DAY),
    "hour": Column("int32", "Scheduled hour of departure, local at the origin, 0-23.", False),
    "carrier": Column("string", "IATA code of the airline, see `flights.silver.airlines`.", False),
    "flight": Column("int32", "Flight number of the carrier.", False),
    "tailnum": Column("string", "Registration of the aircraft; about 15 % are not in `flights.silver.planes`."),
    "origin": Column("string", "FAA code of the airport of departure: EWR, JFK or LGA.", False),
    "dest": Column("string", "FAA code of the destination.", False),
    "dest_time_zone": Column(
        "string",
        "IANA time zone of the destination; missing for an unknown airport.",
        sources=("dest", "airports.time_zone"),
    ),
    "scheduled_departure_at": Column(UTC, "Scheduled departure from the gate.", False, sources=_DEPARTURE),
    "departed_at": Column(
        UTC, "Actual departure from the gate; missing if cancelled.", sources=(*_DEPARTURE, "dep_delay")
    ),
    "scheduled_arrival_at": Column(
        UTC, "Scheduled arrival at the gate; missing where the destination's zone is.", sources=_ARRIVAL
    ),
    "arrived_at": Column(
        UTC,
        "Actual arrival at the gate; of a diverted flight, the first such clock time.",
        sources=(*_ARRIVAL, "arr_delay", "arr_time", "dep_delay"),
    ),
    "dep_delay": Column("int32", "Departure delay in minutes, negative if early; missing if cancelled."),
    "arr_delay": Column("int32", "Arrival delay in minutes, negative if early; missing if cancelled or diverted."),
    "air_time": Column("int32", "Minutes in the air; missing if cancelled or diverted."),
    "distance": Column("int32", "Distance between the airports in miles.", False),
    "cancelled": Column("bool", "Whether the flight never departed.", False, sources=("dep_time",)),
    "diverted": Column(
        "bool", "Whether it departed but no regular arrival is recorded.", False, sources=("dep_time", "arr_delay")
    ),
}

WEATHER = {
    "origin": Column("string", "FAA code of the airport observed.", False),
    "observed_at": Column(UTC, "Hour of the observation.", False, sources=("time_hour",)),
    "temp": Column("double", "Temperature in degrees Fahrenheit."),
    "dewp": Column("double", "Dew point in degrees Fahrenheit."),
    "humid": Column("double", "Relative humidity in percent."),
    "wind_dir": Column("int32", "Wind direction in degrees, 0-360."),
    "wind_speed": Column("double", "Wind speed in miles per hour; over 200 is a sensor fault, set to missing."),
    "wind_gust": Column("double", "Gust speed in miles per hour; missing when there were no gusts."),
    "precip": Column("double", "Precipitation of the hour in inches.", False),
    "pressure": Column("double", "Sea level pressure in millibars."),
    "visib": Column("double", "Visibility in miles, capped at 10.", False),
}

PLANES = {
    "tailnum": Column("string", "Registration of the aircraft.", False),
    "manufacture_year": Column("int32", "Year of manufacture.", sources=("year",)),
    "type": Column("string", "Type of aircraft.", False),
    "manufacturer": Column("string", "Manufacturer.", False),
    "model": Column("string", "Model.", False),
    "engines": Column("int32", "Number of engines.", False),
    "seats": Column("int32", "Number of seats.", False),
    "speed": Column("int32", "Average cruising speed in miles per hour; known for 23 aircraft."),
    "engine": Column("string", "Type of engine.", False),
}

AIRPORTS = {
    "faa": Column("string", "FAA code of the airport.", False),
    "name": Column("string", "Usual name.", False),
    "lat": Column("double", "Latitude in degrees.", False),
    "lon": Column("double", "Longitude in degrees.", False),
    "alt": Column("int32", "Altitude in feet.", False),
    "utc_offset_hours": Column("int32", "Offset from UTC in winter, in hours.", False, sources=("tz",)),
    "dst": Column("string", "Daylight saving: A as in the USA, N none, U unknown.", False),
    "time_zone": Column("string", "IANA time zone; unknown for 3 airports.", sources=("tzone",)),
}

AIRLINES = {
    "carrier": Column("string", "IATA code of the airline.", False),
    "name": Column("string", "Full name of the airline.", False),
}


def arrow_schema(columns: Mapping[str, Column]) -> pa.Schema:
    """Returns the Arrow schema of a declaration, with descriptions as field metadata `comment`."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(name, _arrow_type(column.type), nullable=column.nullable, metadata={"comment": column.description})
            for name, column in columns.items()
        ]
    )


def _arrow_type(name: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us", "UTC") if name == UTC else pa.type_for_alias(name)
