"""Examples of requests for the conformance suite. Each service has a module with those of its kinds."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

_MODULES = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]


def _merged(name: str) -> dict[str, Any]:
    return {key: value for module in _MODULES for key, value in getattr(module, name, {}).items()}


BODIES: dict[str, dict[str, Any]] = _merged("BODIES")
"""A valid body of each operation that requires one, with made-up ids."""

DRAFTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = _merged("DRAFTS")
"""A spec to create each stored kind with, and a change of it."""

ROWS: dict[str, dict[str, Any]] = _merged("ROWS")
"""A body to create an item of each kind over a separate table that belongs to projects. Ids are in brackets."""

BODIES_WITH_REFERENCES: dict[str, dict[str, Any]] = _merged("BODIES_WITH_REFERENCES")
"""A body of each operation that takes references, with all of its references. Ids are in brackets."""

SPECS_WITH_REFERENCES: dict[str, dict[str, Any]] = _merged("SPECS_WITH_REFERENCES")
"""The references in the spec of each stored kind that has them. Ids are in brackets."""

_NAMES: dict[str, str] = _merged("NAMES")


def name_of(kind: str) -> str:
    """Returns the name of the example of a kind. If names can recur, another tenant has one with the same name."""
    return _NAMES.get(kind, kind.rpartition(".")[2].replace("_", "-"))
