"""The asset graph of the sample project: complete, documented, changed on purpose only, and light to load."""

from __future__ import annotations

import json
import subprocess
import sys

import dagster as dg
import pytest

from core.ids import asset_id, is_asset_id
from dagster_project.definitions import defs
from resources.contracts import CONTRACT_CHECK
from tests.asset_graph import SNAPSHOT, text
from tests.slices import ROOT

HEAVY = ("polars", "pyarrow", "deltalake", "duckdb", "lancedb", "pyspark", "pysail", "flwr", "torch", "sklearn", "onnx")


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


def test_the_graph_is_the_stored_one(definitions: dg.Definitions) -> None:
    assert json.loads(text(definitions)) == json.loads(SNAPSHOT.read_text()), "run `python -m tests.asset_graph`"


def test_every_asset_is_documented_and_versioned(definitions: dg.Definitions) -> None:
    for spec in definitions.resolve_all_asset_specs():
        name = asset_id(spec.key.path)
        assert is_asset_id(name), name
        assert spec.description, name
        assert spec.owners, name
        assert spec.kinds, name
        assert spec.code_version, name
        assert spec.group_name == spec.key.path[1], name


def test_every_input_is_an_asset_of_the_project(definitions: dg.Definitions) -> None:
    specs = list(definitions.resolve_all_asset_specs())
    made = {spec.key for spec in specs}
    assert {dep.asset_key for spec in specs for dep in spec.deps} <= made


def test_every_table_people_rely_on_has_a_gate(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    gates = [key for key in graph.asset_check_keys if graph.get_check_spec(key).blocking]
    gated = {key.asset_key for key in gates if key.name != CONTRACT_CHECK}
    relied_on = {spec.key for spec in definitions.resolve_all_asset_specs() if spec.group_name in ("silver", "gold")}
    assert relied_on <= gated


def test_products_follow_their_inputs_and_may_not_grow_old(definitions: dg.Definitions) -> None:
    products = [spec for spec in definitions.resolve_all_asset_specs() if spec.group_name == "gold"]
    assert len(products) >= 2
    assert all(spec.automation_condition is not None and spec.freshness_policy is not None for spec in products)


def test_loading_starts_no_thread_opens_nothing_and_imports_no_engine() -> None:
    code = (
        "import os, sys\n"
        "from dagster_project.definitions import defs\n"
        "defs().get_repository_def()\n"
        "open_files = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "connections = [name for name in open_files if name.endswith('.db') or 'socket' in name]\n"
        "print(len(os.listdir('/proc/self/task')), heavy, connections)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "1 [] []"
