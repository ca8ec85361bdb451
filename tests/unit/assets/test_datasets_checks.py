"""Checks from YAML: each rule finds the rows that break it and says how many and which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from pydantic import ValidationError

from assets.datasets.checks import asset_checks, evaluate, step_checks
from assets.datasets.rules import Check
from core.errors import UnknownColumn
from lakehouse.tables import Tables
from tests import slices

TABLE, OTHER = "p.s.orders", "p.s.customers"


@pytest.fixture
def tables(home: Path) -> Tables:
    tables = slices.open_tables()
    tables.overwrite(
        TABLE,
        pl.DataFrame(
            {
                "id": [1, 2, 2, 3],
                "customer": ["a", "b", "z", None],
                "amount": [5.0, -1.0, 200.0, None],
                "due": [1, 2, 3, 4],
                "paid": [1, 1, 5, None],
            }
        ),
    )
    tables.overwrite(OTHER, pl.DataFrame({"name": ["a", "b"]}))
    return tables


def check(**attributes: Any) -> Check:
    return Check.model_validate(attributes)


@pytest.mark.parametrize(
    ("attributes", "failing"),
    [
        ({"unique": ["id"]}, 2),
        ({"unique": ["id", "customer"]}, 0),
        ({"not_null": ["customer", "amount"]}, 1),
        ({"range": {"column": "amount", "min": 0, "max": 100}}, 2),
        ({"range": {"column": "amount", "max": 200}}, 0),
        ({"references": {"column": "customer", "table": OTHER, "key": "name"}}, 1),
        ({"holds": "paid >= due", "name": "paid_in_time"}, 1),
    ],
)
def test_counts_and_shows_the_rows_that_break_a_rule(tables: Tables, attributes: Any, failing: int) -> None:
    result = evaluate(tables, TABLE, check(**attributes))
    assert result.metadata["failing_rows"].value == failing
    assert result.metadata["checked_rows"].value == 4
    assert len(result.metadata["sample"].value) == failing
    assert result.passed == (failing == 0)
    if failing:
        assert "customer" in result.metadata["sample"].value[0]


def test_a_tolerance_is_a_fraction_of_the_rows(tables: Tables) -> None:
    rule = {"range": {"column": "amount", "min": 0, "max": 100}}
    assert evaluate(tables, TABLE, check(**rule, tolerance=0.5)).passed
    assert not evaluate(tables, TABLE, check(**rule, tolerance=0.49)).passed


def test_row_count(tables: Tables) -> None:
    assert evaluate(tables, TABLE, check(row_count={"min": 4, "max": 4})).passed
    assert not evaluate(tables, TABLE, check(row_count={"min": 5})).passed
    assert not evaluate(tables, TABLE, check(row_count={"min": 0, "max": 3})).passed


def test_an_older_version_can_be_checked(tables: Tables) -> None:
    tables.overwrite(TABLE, pl.DataFrame({"id": [1], "customer": ["a"], "amount": [1.0], "due": [1], "paid": [1]}))
    assert evaluate(tables, TABLE, check(unique=["id"])).passed
    old = evaluate(tables, TABLE, check(unique=["id"]), version=0)
    assert not old.passed
    assert old.metadata["delta/version"].value == 0


def test_severity_and_the_version_referred_to(tables: Tables) -> None:
    rule = {"column": "customer", "table": OTHER, "key": "name"}
    result = evaluate(tables, TABLE, check(references=rule, severity="warn"))
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert result.metadata["reference"].value == f"{OTHER}@0"


def test_an_unknown_column_is_named_with_those_that_exist(tables: Tables) -> None:
    with pytest.raises(UnknownColumn, match=r"names the column 'nope', but p\.s\.orders has id, customer"):
        evaluate(tables, TABLE, check(unique=["nope"]))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "give exactly one of unique"),
        ({"unique": ["a"], "not_null": ["a"]}, "given: unique, not_null"),
        ({"unique": []}, "unique"),
        ({"range": {"column": "a"}}, "give min, max or both"),
        ({"holds": "a > 1"}, "needs a name"),
        ({"unique": ["a"], "blocking": True, "severity": "warn"}, "a check that blocks has severity error"),
        ({"references": {"column": "a", "table": "x", "key": "k"}}, "references.table"),
        ({"unique": ["a"], "tolerance": 1.0}, "tolerance"),
        ({"unique": ["a"], "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_declaration_is_refused_with_the_reason(attributes: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        check(**attributes)


def test_names_are_made_from_the_rule_and_must_differ() -> None:
    assert check(unique=["a", "b"]).check_name == "unique_a_b"
    with pytest.raises(ValueError, match="same name"):
        step_checks(TABLE, [check(unique=["a"]), check(unique=["a"])])


def test_only_a_check_that_informs_and_reads_another_table_has_a_step_of_its_own() -> None:
    other = {"column": "id", "table": "flights.silver.planes", "key": "id"}
    checks = [
        check(unique=["id"], blocking=True),
        check(not_null=["id"]),
        check(references=other, name="gate", blocking=True),
        check(references=other, name="note"),
    ]
    assert [(item.spec.name, item.spec.blocking) for item in step_checks(TABLE, checks)] == [
        ("unique_id", True),
        ("not_null_id", False),
        ("gate", True),
    ]
    (definition,) = asset_checks(TABLE, checks)
    assert [spec.name for spec in definition.check_specs] == ["note"]
    assert asset_checks(TABLE, []) == step_checks(TABLE, []) == []
