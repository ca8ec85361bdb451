"""A definition whose columns change after its table was made.

The kind of fault: a component adds rows to a table that it, or an earlier definition of the same asset, made with other
columns. Publishing tells what the change means, and refuses what cannot be; the next run follows the declaration.
"""

from __future__ import annotations

import warnings
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from assets.components import COMPONENTS, component
from core.errors import SchemaMismatch
from core.settings import load_settings
from dagster_project.validate import validate
from lakehouse.landing_files import landing_folder
from lakehouse.tables import Tables
from resources.delta import Delta
from tests import slices

TABLE = "shop.bronze.orders"
QUARANTINE = f"{TABLE}_quarantine"
FIRST = {"id": {"type": "int32", "nullable": False}, "amount": {"type": "float64"}}


def declared(columns: dict[str, Any]) -> dict[str, Any]:
    return {"asset": TABLE, "description": "Orders.", "source": {"kind": "landing"}, "columns": columns}


def run(columns: dict[str, Any]) -> None:
    built = dg.build_defs_for_component(component("DatasetComponent", declared(columns)))
    extra = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
    job = dg.Definitions.merge(built, extra).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(instance=instance)


def drop(name: str, text: str) -> None:
    folder = landing_folder(load_settings().effective_landing_url, TABLE)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def verdict(attributes: dict[str, Any], name: str = "DatasetComponent") -> dict[str, Any]:
    row = {"asset_id": attributes["asset"], "component": name, "attributes": attributes}
    with warnings.catch_warnings():  # as in the process that validates, where none is an error
        warnings.simplefilter("ignore")
        return validate({"candidate": attributes["asset"], "rows": [row]})


@pytest.fixture
def tables(home: Any) -> Tables:
    tables = slices.open_tables()
    drop("1.csv", "id,amount\n1,1.5\n2,\n")
    run(FIRST)
    return tables


def test_a_column_more_a_wider_type_and_one_fewer(tables: Tables) -> None:
    later = {"id": {"type": "int64"}, "note": {"type": "string", "nullable": False}}
    reported = verdict(declared(later))
    assert reported["errors"] == []
    effects = {change["column"]: (change["effect"], change["pointer"]) for change in reported["changes"]}
    assert effects == {
        "id": ("WIDENED", "/attributes/columns/id/type"),
        "note": ("ADDED", "/attributes/columns/note/type"),
        "amount": ("UNUSED", "/attributes/columns"),
    }
    before = tables.snapshot(TABLE)
    drop("2.csv", "id,note\n3000000000,new\nx,bad\n")
    run(later)
    rows = tables.snapshot(TABLE).scan().select("id", "amount", "note").sort("id").collect().rows()
    assert rows == [(1, 1.5, None), (2, None, None), (3_000_000_000, None, "new")]
    assert tables.snapshot(TABLE, version=before.version).schema.field("id").type == pa.int32()
    assert tables.snapshot(QUARANTINE).row_count == 1
    drop("3.csv", "id,amount\n4,4.5\n")
    run(FIRST)  # and back: the wider type stays
    assert tables.snapshot(TABLE).row_count == 4
    assert tables.snapshot(TABLE).schema.field("id").type == pa.int64()


@pytest.mark.parametrize(
    ("columns", "column", "message"),
    [
        ({"id": {"type": "string"}, "amount": {"type": "float64"}}, "id", "not every int32 is a string"),
        ({"id": {"type": "int32"}, "amount": {"type": "int64"}}, "amount", "not every double is a int64"),
        ({"ID": {"type": "int32"}, "amount": {"type": "float64"}}, "ID", "only by case"),
        ({"id": {"type": "bool"}, "amount": {"type": "date"}}, "id", "not every int32 is a bool"),
    ],
)
def test_what_cannot_be_is_refused_before_and_changes_nothing(
    tables: Tables, columns: dict[str, Any], column: str, message: str
) -> None:
    reported = verdict(declared(columns))
    fault = next(fault for fault in reported["errors"] if fault["pointer"] == f"/attributes/columns/{column}/type")
    assert message in fault["detail"]
    assert "asset id" in fault["detail"]
    drop("2.csv", ",".join(columns) + "\n7,7\n")
    with pytest.raises(SchemaMismatch, match="asset id"):
        run(columns)
    assert tables.snapshot(TABLE).row_count == 2
    # And what is advised can be done.
    elsewhere = declared(columns) | {"asset": "shop.bronze.orders2"}
    assert verdict(elsewhere)["errors"] == []


def test_the_quarantine_of_an_earlier_release_follows(home: Any) -> None:
    tables = slices.open_tables()
    from lakehouse.landing_tables import quarantine_schema

    whole = quarantine_schema()
    tables.create(QUARANTINE, whole.remove(whole.get_field_index("raw_bytes")))
    drop("1.csv", "id,amount\nx,1\n")
    run(FIRST)
    assert tables.snapshot(QUARANTINE).row_count == 1
    assert "raw_bytes" in tables.snapshot(QUARANTINE).schema.names


OTHERS: dict[str, dict[str, Any]] = {
    "ModelTrainingComponent": {
        "features": "shop.gold.f",
        "key": ["k"],
        "target": "t",
        "train": "k < 2",
        "tune": "k = 1",
        "test": "k >= 2",
    },
    "RagIndexComponent": {"sources": [{"kind": "files", "glob": ["*.md"]}]},
    "FederatedTrainingComponent": {
        "table": "shop.gold.f",
        "clients": {"a": "true", "b": "true"},
        "features": ["x"],
        "target": "t",
        "holdout_where": "true",
    },
    "OnlineFeaturesComponent": {"table": "shop.gold.f", "keys": ["k"]},
    "DatasetComponent": declared(FIRST),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_table_that_another_component_made(home: Any, name: str) -> None:
    """Every component that keeps rows says which columns they have, so that it can be compared with what is there."""
    tables = slices.open_tables()
    attributes = {"asset": TABLE, "description": "d"} | OTHERS[name]
    built = component(name, attributes)
    schemas = built.appended()
    assert TABLE in schemas
    foreign = pa.table({field.name: pa.array([{}], pa.struct([("x", pa.int8())])) for field in schemas[TABLE]})
    tables.append(TABLE, foreign)
    reported = verdict(attributes, name)
    assert len(reported["errors"]) == len(schemas[TABLE])
    tables.overwrite(TABLE, pa.table({"other": [1]}), evolve_schema=True)
    reported = verdict(attributes, name)
    assert reported["errors"] or {change["effect"] for change in reported["changes"]} == {"ADDED", "UNUSED"}
    assert bool(reported["errors"]) == (name != "DatasetComponent")


def test_components_that_keep_rows_are_the_ones_that_say_so() -> None:
    """`append` and `merge` in a component need an answer to what becomes of a table with other columns."""
    saying = {name for name in COMPONENTS if "appended" in vars(COMPONENTS[name])}
    assert saying == set(OTHERS)
