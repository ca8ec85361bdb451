"""Reading instances from a request: each error has a JSON pointer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from serving.signature import Feature, Signature, read_instance

SIGNATURE = Signature(
    (Feature("age", 20, 90, 55, 0.0), Feature("a/b~c", None, None, None, 1.0)),
    "relapse",
    "c.f.visits",
    ("site", "visit"),
)


def faults(given: Any) -> list[tuple[str, str]]:
    return [(fault["pointer"], fault["detail"]) for fault in read_instance(SIGNATURE, given, "/instances/3").faults]


class TestSignature:
    def test_a_signature_survives_serialization(self) -> None:
        assert Signature.from_json(SIGNATURE.to_json()) == SIGNATURE


class TestReadInstance:
    def test_numbers_booleans_and_null(self) -> None:
        instance = read_instance(SIGNATURE, {"age": True, "a/b~c": None}, "/i")
        assert instance.faults == []
        assert instance.key is None
        assert instance.values["age"] == 1.0
        assert math.isnan(instance.values["a/b~c"])

    def test_a_key_with_inputs_that_replace_looked_up_ones(self) -> None:
        instance = read_instance(SIGNATURE, {"site": "north", "visit": 7, "age": 30}, "/i")
        assert instance.faults == []
        assert instance.key == ("north", "7")
        assert instance.values == {"age": 30.0}

    @pytest.mark.parametrize("value", ["30", [30], {"is": 30}, math.nan, math.inf, 1e39, 10**400])
    def test_other_values_are_errors(self, value: Any) -> None:
        assert [pointer for pointer, _ in faults({"age": value})] == ["/instances/3/age"]

    def test_pointers_are_escaped(self) -> None:
        assert [pointer for pointer, _ in faults({"a/b~c": "x"})] == ["/instances/3/a~1b~0c"]

    def test_every_error_is_reported(self) -> None:
        errors = faults({"age": "old", "height": 1.8, "visit": 1.5})
        assert [pointer for pointer, _ in errors] == ["/instances/3/age", "/instances/3/height", "/instances/3/visit"]
        assert errors[1][1] == "is not an input of this model"

    def test_an_incomplete_key_is_an_error(self) -> None:
        assert faults({"visit": "v1", "age": 3}) == [
            ("/instances/3", "the entity's key is incomplete: site is missing")
        ]

    @pytest.mark.parametrize("given", [{}, [], "v1", None, 3])
    def test_an_instance_without_key_and_inputs_is_an_error(self, given: Any) -> None:
        assert [pointer for pointer, _ in faults(given)] == ["/instances/3"]
