"""Declarations: what is accepted, what is refused, and that refusals name the field."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from assets.components import COMPONENTS, component
from assets.datasets.sql import referenced_tables
from assets.rows import reads_of
from core.errors import InvalidPayload
from lakehouse.statements import check_statement
from tests import slices
from tests.hostile_sql import DUCKDB_ATTACKS

SQL = {"asset": "p.gold.t", "description": "d", "sql": "SELECT * FROM p.silver.a JOIN p.silver.b USING (k)"}
CSV = {"asset": "p.bronze.t", "description": "d", "source": {"kind": "csv", "path": "t.csv"}}
LANDING = {
    "asset": "p.bronze.t",
    "description": "d",
    "source": {"kind": "landing"},
    "columns": {"a": {"type": "int64"}},
}


def spec_of(definitions: dg.Definitions) -> dg.AssetSpec:
    return next(spec for spec in definitions.resolve_all_asset_specs() if spec.group_name)


def definitions(name: str, attributes: dict[str, Any]) -> dg.Definitions:
    from resources.delta import Delta

    built = dg.build_defs_for_component(component(name, attributes))
    return dg.Definitions.merge(built, dg.Definitions(resources={"delta": Delta()}))


@pytest.mark.parametrize(
    ("name", "attributes", "pointer", "message"),
    [
        ("SqlTransformComponent", SQL | {"colour": "red"}, "/attributes/colour", "Extra inputs"),
        ("SqlTransformComponent", SQL | {"asset": "Gold"}, "/attributes/asset", "three lower-case names"),
        ("SqlTransformComponent", SQL | {"asset": "../../etc"}, "/attributes/asset", "three lower-case names"),
        ("SqlTransformComponent", SQL | {"owners": ["me"]}, "/attributes/owners", "email"),
        ("SqlTransformComponent", SQL | {"automation": "hourly"}, "/attributes/automation", "cron line"),
        ("SqlTransformComponent", SQL | {"sql": "SELECT 1"}, "/attributes/sql", "names no table"),
        ("SqlTransformComponent", SQL | {"description": ""}, "/attributes/description", "at least 1"),
        ("SqlTransformComponent", SQL | {"checks": [{"unique": []}]}, "/attributes/checks/0/unique", "at least 1"),
        ("DatasetComponent", CSV | {"source": {"kind": "ftp"}}, "/attributes/source", "ftp"),
        ("DatasetComponent", CSV | {"source": {"kind": "csv"}}, "/attributes/source", "exactly one"),
        (
            "DatasetComponent",
            CSV | {"source": {"kind": "csv", "path": "/etc/passwd"}},
            "/attributes/source/path",
            "relative path",
        ),
        (
            "DatasetComponent",
            CSV | {"source": {"kind": "csv", "path": "../metadata.db"}},
            "/attributes/source/path",
            "relative path",
        ),
        (
            "DatasetComponent",
            CSV | {"source": {"kind": "csv", "url": "file:///etc/passwd"}},
            "/attributes/source/url",
            "match pattern",
        ),
        (
            "DatasetComponent",
            CSV | {"source": {"kind": "package", "package": "pip", "file": "__init__.py"}},
            "/attributes/source/file",
            "match pattern",
        ),
        ("DatasetComponent", CSV | {"columns": {"a": "x", "b": {"type": "int64"}}}, "/attributes/", "every column"),
        ("DatasetComponent", LANDING | {"columns": {"a": "x"}}, "/attributes/", "needs a type"),
        ("DatasetComponent", LANDING | {"columns": {"a": {"type": "int65"}}}, "/attributes/columns/a", "int64"),
        ("Nope", SQL, "/component", "unknown"),
    ],
)
def test_wrong_attributes_are_refused_by_field(name: str, attributes: Any, pointer: str, message: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        component(name, attributes)
    faults = [fault for fault in caught.value.errors if fault["pointer"].startswith(pointer)]
    assert faults, caught.value.errors
    assert any(message in fault["detail"] for fault in faults), faults


def test_the_asset_must_be_the_one_it_is_stored_under() -> None:
    component("SqlTransformComponent", SQL, asset="p.gold.t")
    with pytest.raises(InvalidPayload, match="both ids must be the same"):
        component("SqlTransformComponent", SQL, asset="p.gold.other")


def test_templates_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster renders `{{ ... }}` in YAML; what came over REST must not run code or read the environment."""
    monkeypatch.setenv("SECRET", "s3cret")
    text = "{{ env.SECRET }} {{ ''.__class__.__mro__ }}"
    assert component("SqlTransformComponent", SQL | {"description": text}).description == text
    built = COMPONENTS["SqlTransformComponent"].from_attributes_dict(attributes=SQL | {"description": text})
    assert built.description == text


def test_a_published_definition_reads_no_file_of_the_repository() -> None:
    built = component("SqlTransformComponent", SQL | {"sql": {"file": "aggregate_carrier_punctuality.sql"}})
    with pytest.raises(InvalidPayload, match="Publish the statement itself"):
        dg.build_defs_for_component(built)


def test_an_asset_may_not_read_itself() -> None:
    with pytest.raises(InvalidPayload, match=r"p\.gold\.t must read at least one table other than itself"):
        dg.build_defs_for_component(component("SqlTransformComponent", SQL | {"sql": "SELECT * FROM p.gold.t"}))


def test_the_spec_says_everything(home: Path) -> None:
    spec = spec_of(definitions("SqlTransformComponent", SQL | {"automation": "eager", "owners": ["team:x"]}))
    assert spec.key.path == ["p", "gold", "t"]
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == {"p/silver/a", "p/silver/b"}
    assert spec.kinds == {"delta", "duckdb", "sql"}
    assert list(spec.owners) == ["team:x"]
    assert spec.group_name == "gold"
    assert spec.automation_condition is not None
    assert spec.description == "d"


def test_the_code_version_follows_what_decides_the_content() -> None:
    def version(**changes: Any) -> str | None:
        return spec_of(definitions("SqlTransformComponent", SQL | changes)).code_version

    assert version() == version(description="other", owners=["team:x"], automation="eager")
    assert version() != version(sql="SELECT * FROM p.silver.a")
    assert version() != version(columns={"k": "key"})


def test_the_code_version_is_the_same_in_every_process() -> None:
    code = (
        f"from assets.components import component;print(component('SqlTransformComponent', {SQL!r}).code_version('x'))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=slices.ROOT)
    assert run.stdout.strip() == component("SqlTransformComponent", SQL).code_version("x")


def test_a_landing_table_has_a_quarantine_asset() -> None:
    specs = definitions("DatasetComponent", LANDING).resolve_all_asset_specs()
    assert {spec.key.to_user_string() for spec in specs} == {"p/bronze/t", "p/bronze/t_quarantine"}
    assert all(spec.owners and spec.description and spec.code_version for spec in specs)


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        ("select * from a.b.c", ["a.b.c"]),
        ("SELECT * FROM a.b.c AS c, a.b.d JOIN a.b.e USING (k)", ["a.b.c", "a.b.d", "a.b.e"]),
        ('SELECT * FROM "a"."b"."c"', ["a.b.c"]),
        ("WITH x AS (SELECT * FROM a.b.c) SELECT * FROM x", ["a.b.c"]),
        ("SELECT 'FROM a.b.c' FROM a.b.d -- FROM a.b.e\n/* FROM a.b.f */", ["a.b.d"]),
        ("FROM a.b.c SELECT k WHERE k IN (SELECT k FROM a.b.d)", ["a.b.c", "a.b.d"]),
        ("SELECT c.x.y FROM a.b.c", ["a.b.c"]),
        ("SELECT 1", []),
        ("SELECT * FROM A.B.c t, LATERAL (SELECT * FROM a.b.d), (VALUES (1)) v", ["a.b.c", "a.b.d"]),
        ("SELECT 'it''s FROM a.b.x', $$FROM a.b.y$$, E'\\' FROM a.b.z' FROM a.b.c", ["a.b.c"]),
        ("SELECT * FROM a.b.c /* x */, /* y */ a . b . d", ["a.b.c", "a.b.d"]),
        (
            "SELECT (SELECT max(k) FROM a.b.d), [x FOR x IN (SELECT list(k) FROM a.b.e)] FROM a.b.c",
            ["a.b.c", "a.b.d", "a.b.e"],
        ),
        ("SELECT * FROM a.b.c PIVOT (sum(v) FOR k IN (1, 2)) UNION ALL BY NAME TABLE a.b.d", ["a.b.c", "a.b.d"]),
        ("WITH a AS (SELECT 1), RECURSIVE AS (SELECT 2) SELECT * FROM a.b.c", ["a.b.c"]),
    ],
)
def test_inputs_are_found_in_the_statement(statement: str, tables: list[str]) -> None:
    """What the light parser finds is what DuckDB will read; a disagreement would stop the run."""
    assert referenced_tables(statement) == tables
    with duckdb.connect(":memory:") as connection:
        assert check_statement(connection, statement).tables == tables


def test_a_statement_that_duckdb_refuses_has_no_inputs_that_a_run_would_read() -> None:
    """Attacks that name a table of another way in: the definition is refused, or the run is, before it reads a row."""
    for statement in DUCKDB_ATTACKS:
        named = referenced_tables(statement.replace("t.in.view", "t.s.view"))
        assert set(named) <= {
            "t.s.view",
            "system.information_schema.tables",
            "t.information_schema.tables",
            "temp.main.input_0",
            "memory.main.input_0",
        }


def test_every_public_component_exists_or_is_named_in_the_registry() -> None:
    assert {"DatasetComponent", "SqlTransformComponent"} <= set(COMPONENTS)
    assert issubclass(COMPONENTS["DatasetComponent"], dg.Component)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ({"kind": "csv", "path": "t.csv"}, "csv"),
        ({"kind": "csv", "path": "t.parquet"}, "parquet"),
        ({"kind": "file", "url": "https://host/t.jsonl?x=1"}, "jsonl"),
        ({"kind": "csv", "path": "t.tsv.zip"}, "tsv"),
        ({"kind": "csv", "path": "t.dat", "format": "json"}, "json"),
        ({"kind": "package", "package": "pip", "file": "t.parquet"}, "parquet"),
        ({"kind": "landing", "pattern": "*.parquet"}, "parquet"),
        ({"kind": "landing", "pattern": "*", "format": "jsonl"}, "jsonl"),
        ({"kind": "landing"}, "csv"),
    ],
)
def test_the_kind_of_a_table_from_files_is_their_format(source: dict[str, Any], kind: str) -> None:
    """The kind of fault: a label that is written down by hand beside what decides it."""
    made = definitions("DatasetComponent", CSV | {"source": source, "columns": {"a": {"type": "int64"}}})
    kinds = [
        spec.kinds for asset in made.assets or () if isinstance(asset, dg.AssetsDefinition) for spec in asset.specs
    ]
    assert kinds
    assert all(found == {"delta", kind} for found in kinds)


@pytest.mark.parametrize(
    "path", sorted((slices.ROOT / "examples" / "connections").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_examples_of_connections_are_definitions(path: Path) -> None:
    declared = yaml.safe_load(path.read_text())
    built = dg.build_defs_for_component(component(declared["component"], declared["attributes"]))
    assert reads_of(built) == {f"connection:shop:{declared['attributes']['source']['connection']}"}
