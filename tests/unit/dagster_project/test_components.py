"""The schemas of components, which forms are drawn from."""

from __future__ import annotations

from typing import Any

from dagster_project.components import components


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set[str]().union(*map(references, value)) if isinstance(value, list) else set()


def test_each_component_has_a_description_and_a_complete_schema() -> None:
    found = {one["name"]: one for one in components({})["components"]}
    assert {"SqlTransformComponent", "ModelTrainingComponent", "RagIndexComponent"} <= found.keys()
    for name, one in found.items():
        schema = one["schema"]
        assert one["description"], name
        assert {"asset", "description"} <= set(schema["required"]), name
        known = {f"#/$defs/{inner}" for inner in schema.get("$defs", ())}
        assert references(schema) <= known, name
    assert "sql" in found["SqlTransformComponent"]["schema"]["required"]
