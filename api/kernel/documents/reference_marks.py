"""Marks the fields of answers that contain references, so that clients can show a name and a link.

Requests declare their references by types, because the kernel resolves names in them. Answers contain ids only, in
fields that have the same names as those of filters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.kernel.kinds.slots import filter_references

MARK = "x-refers-to"


def mark(schemas: Mapping[str, Any], nouns: Mapping[str, str]) -> None:
    """Adds `x-refers-to` to the text fields whose names say that they contain a reference.

    Args:
        schemas: schemas by name. They are changed.
        nouns: full names of the kinds of the service, by name. `<name>_id` refers to one of them.
    """
    for schema in schemas.values():
        properties = schema.get("properties", {})
        for name, kinds in filter_references(properties, nouns).items():
            text = next(
                (option for option in properties[name].get("anyOf", [properties[name]]) if _is_text(option)), None
            )
            # A project that isn't called `project_id` is a name.
            if text is not None and name != "project":
                text.setdefault(MARK, list(kinds) or ["*"])


def _is_text(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("type") == "string") and "enum" not in schema
