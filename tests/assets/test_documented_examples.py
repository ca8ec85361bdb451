"""The examples of the documentation, run as a reader would run them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest
import yaml

from assets import components
from assets.components import component
from core.settings import load_settings
from lakehouse.landing_files import landing_folder
from lakehouse.query import Query
from resources.delta import Delta
from tests import sample, slices

DOCS = slices.ROOT / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Returns the code blocks of a page, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def run(built: dg.Component) -> dg.ExecuteInProcessResult:
    resources = dg.Definitions(resources={"delta": Delta()}, executor=dg.in_process_executor)
    with dg.DagsterInstance.ephemeral() as instance:
        return slices.run(dg.Definitions.merge(dg.build_defs_for_component(built), resources), instance)


DECLARATIONS = [
    (page, text)
    for page in ("how-to/ingest-csv-files.md", "how-to/define-an-asset-over-rest.md")
    for text in blocks(page, "yaml")
]


@pytest.mark.parametrize(("page", "text"), DECLARATIONS, ids=range(len(DECLARATIONS)))
def test_declarations_are_accepted(page: str, text: str) -> None:
    document = yaml.safe_load(text)
    if "attributes" not in document:  # the list of checks on its own
        base = {"asset": "shop.silver.orders", "description": "d", "sql": "SELECT * FROM shop.bronze.orders"}
        document = {"component": "SqlTransformComponent", "attributes": base | document}
    name = document.get("component") or document["type"].rpartition(".")[2]
    assert component(name, document["attributes"]).asset.startswith(("shop.", "flights."))


def test_the_table_defined_over_rest_can_be_made(home: Path) -> None:
    tables = slices.open_tables()
    tables.overwrite("flights.silver.flights", sample.flights().head(5000))
    (document, *_) = [yaml.safe_load(text) for text in blocks("how-to/define-an-asset-over-rest.md", "yaml")]
    assert run(component(document["component"], document["attributes"])).success
    assert tables.snapshot("flights.gold.busiest_routes").row_count == 100


def test_the_late_flight_of_the_tutorial(home: Path) -> None:
    tables = slices.open_tables()
    (csv,) = re.findall(r"<<'CSV'\n(.*?)CSV\n", (DOCS / "tutorials/first-hour.md").read_text(), re.DOTALL)
    table = "flights.bronze.flights_landing"
    folder = landing_folder(load_settings().effective_landing_url, table)
    folder.mkdir(parents=True)
    (folder / "late.csv").write_text(csv)
    (document,) = [item for item in slices.documents("bronze") if item["attributes"]["asset"] == table]
    assert run(component("DatasetComponent", document["attributes"])).success
    assert tables.snapshot(table).to_arrow().column("flight").to_pylist() == [9999]
    reasons = Query(tables).sql(f"SELECT line, reason FROM {table}_quarantine").table.to_pylist()
    assert reasons == [{"line": 3, "reason": "day: 32 is above 31"}]


def test_queries_of_the_tutorial_name_columns_that_exist(home: Path) -> None:
    tables = slices.open_tables()
    with dg.DagsterInstance.ephemeral() as instance:
        assert slices.run(slices.tables(), instance).success
    text = (DOCS / "tutorials/first-hour.md").read_text()
    statements = [s for s in re.findall(r'headwater query "(.*?)"', text, re.DOTALL) if "busiest_routes" not in s]
    assert len(statements) == 3
    for statement in statements:
        Query(tables).sql(statement)


def test_the_component_of_the_how_to(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's class, in the module that the page names, passes the page's own test with the page's own YAML."""
    source, test = blocks("how-to/write-a-component.md", "python")[:2]
    module = ModuleType("assets.datasets.calendar")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(components._MODULES, "CalendarComponent", module.__name__)
    exec(compile(source, "write-a-component.md", "exec", dont_inherit=True), vars(module))
    names: dict[str, Any] = {}
    exec(compile(test, "write-a-component.md", "exec", dont_inherit=True), names)
    names["test_calendar"](home)
    (declared,) = [yaml.safe_load(text) for text in blocks("how-to/write-a-component.md", "yaml")]
    assert component(declared["type"].rpartition(".")[2], declared["attributes"]).asset == "calendar.bronze.days"
