"""Whatever can be known wrong about a definition before a run is refused with a pointer to the attribute.

The kind of fault: an attribute that can be known wrong before a run is accepted, and each run fails. The attributes are
found by walking the models of all components, so that a new one has to say how it can be wrong, or why it cannot.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from assets.binding import findings_of
from assets.components import COMPONENTS, component
from core.errors import InvalidPayload
from core.settings import load_settings
from lakehouse.tables import Tables
from resources.spark.server import stop
from tests import slices
from tests.ports import free_ports
from tests.unit.assets.valid_definitions import BASE, EVENTS, VALID
from tests.unit.assets.wrong_attributes import ANYTHING, PARTS, WRONG


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        yield from models(get_args(annotation)[0])
    elif get_origin(annotation) is not None:
        for argument in get_args(annotation):
            yield from models(argument)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation


def attributes() -> set[str]:
    """Every attribute, by the class that declares it."""
    found: set[str] = set()
    waiting = [COMPONENTS[name] for name in COMPONENTS]
    seen: set[type[BaseModel]] = set()
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            owner = next(base for base in reversed(model.__mro__) if name in getattr(base, "__annotations__", {}))
            owner_name = "FeatureViewComponent" if owner.__name__ == "FeatureView" else owner.__name__
            if name != "kind":
                found.add(f"{owner_name}.{name}")
            waiting += models(field.annotation)
    return found


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    folder: Path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:  # Spark finds tables where the settings say
        patch.setenv("HEADWATER_HOME", str(folder))
        patch.setenv("HEADWATER_PORT", str(free_ports(8)))
        tables = slices.open_tables()
        tables.append("p.silver.events", EVENTS)
        yield tables
        stop(load_settings())


def changed(definition: str, path: str, value: Any) -> tuple[str, dict[str, Any]]:
    made: dict[str, Any] = BASE | copy.deepcopy(VALID[definition])
    *parents, last = path.split("/")
    target: Any = made
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
    target[int(last) if isinstance(target, list) else last] = value
    return made.pop("component"), made


def faults(lake: Tables, name: str, attributes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    try:
        declared = component(name, attributes)
    except InvalidPayload as error:
        return list(error.errors)
    return list(findings_of(declared, lake).faults)


def test_every_attribute_says_how_it_can_be_wrong() -> None:
    assert attributes() == {*WRONG, *ANYTHING, *PARTS}


@pytest.mark.parametrize("definition", VALID)
def test_a_definition_without_a_fault_has_none(lake: Tables, definition: str) -> None:
    name, made = changed(definition, "description", "d")
    assert faults(lake, name, made) == []


CASES = [
    pytest.param(*case, id=f"{attribute}-{number}")
    for attribute, cases in WRONG.items()
    for number, case in enumerate(cases)
]


@pytest.mark.parametrize(("definition", "path", "value"), CASES)
def test_a_wrong_attribute_is_refused_at_its_place(lake: Tables, definition: str, path: str, value: Any) -> None:
    found = faults(lake, *changed(definition, path, value))
    assert found
    pointer = f"/attributes/{path}"
    near = [fault["pointer"] for fault in found if _meets(fault["pointer"], pointer)]
    assert near, found


def _meets(reported: str, wanted: str) -> bool:
    """Whether a pointer leads to an attribute, into it, or to the model that it is one of several attributes of."""
    return (
        reported == wanted
        or reported.startswith(f"{wanted}/")
        or (wanted.startswith(f"{reported}/") and reported != "/attributes")
    )


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("fedprox", {"proximal_mu": -1}),
        ("fedavgm", {"server_learning_rate": 0}),
        ("fedavgm", {"server_momentum": 1}),
        ("fedadagrad", {"eta": 0}),
        ("fedadam", {"beta_1": 1.0}),
        ("fedyogi", {"tau": -0.1}),
        ("fedtrimmedavg", {"beta": 0.5}),
        ("krum", {"num_malicious_nodes": 1.5}),
        ("krum", {"num_malicious_nodes": 9}),
        ("multikrum", {"num_nodes_to_select": 0}),
    ],
)
def test_options_of_strategies_have_ranges(lake: Tables, strategy: str, options: dict[str, float]) -> None:
    name, made = changed("rounds", "strategy", strategy)
    (fault,) = faults(lake, name, made | {"strategy_options": options})
    assert fault["pointer"] == f"/attributes/strategy_options/{next(iter(options))}"


class TestNotChecked:
    """What is not checked is said, and never taken for right."""

    @pytest.mark.parametrize(
        ("definition", "path", "pointer"),
        [
            ("sql", "sql", "sql"),
            ("spark", "inputs/0", "inputs/0"),
            ("features", "sources/events/table", "sources/events/table"),
            ("model", "features", "features"),
            ("index", "sources/1/assets/0", "sources/1/assets/0"),
            ("index", "sources/2/asset", "sources/2/asset"),
            ("rounds", "table", "table"),
            ("sql", "checks/3/references/table", "checks/3/references"),
        ],
    )
    def test_an_input_that_was_never_made(self, lake: Tables, definition: str, path: str, pointer: str) -> None:
        value = "SELECT x FROM p.silver.unmade" if path == "sql" else "p.silver.unmade"
        name, made = changed(definition, path, value)
        if definition == "spark":
            made["sql"] = "SELECT id FROM unmade"
        found = findings_of(component(name, made), lake)
        assert found.faults == []
        reasons = {item["pointer"]: item["reason"] for item in found.not_checked}
        assert "p.silver.unmade has not been materialized yet" in reasons[f"/attributes/{pointer}"]

    def test_checks_of_columns_that_are_not_known(self, lake: Tables) -> None:
        name, made = changed("sql", "sql", "SELECT x FROM p.silver.unmade")
        reported = {item["pointer"] for item in findings_of(component(name, made), lake).not_checked}
        assert {f"/attributes/checks/{number}" for number in range(5)} <= reported
        assert "/attributes/checks/5" not in reported, "the number of rows needs no column"

    @pytest.mark.parametrize(
        ("definition", "pointer"),
        [("file", "source"), ("landing", "source"), ("index", "sources/0"), ("index", "golden")],
    )
    def test_files(self, lake: Tables, definition: str, pointer: str) -> None:
        name, made = changed(definition, "description", "d")
        reported = {item["pointer"] for item in findings_of(component(name, made), lake).not_checked}
        assert f"/attributes/{pointer}" in reported

    @pytest.mark.parametrize("engine", ["local", "sc://spark:15002"])
    def test_spark_sql_on_another_engine(self, lake: Tables, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
        monkeypatch.setenv("HEADWATER_SPARK", engine)
        name, made = changed("spark", "sql", "SELECT nobody_knows FROM events")
        found = findings_of(component(name, made), lake)
        (item,) = found.not_checked
        assert (item["pointer"], found.faults) == ("/attributes/sql", [])
        assert engine in item["reason"]

    @pytest.mark.parametrize("definition", ["sql", "features", "model", "rounds", "package"])
    def test_nothing_where_everything_is_known(self, lake: Tables, definition: str) -> None:
        name, made = changed(definition, "description", "d")
        assert findings_of(component(name, made), lake).not_checked == []
