"""Every verb beside the standard methods has a test that looks for its effect elsewhere."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.kernel.endpoint import Shape
from tests.conformance.operations import ENDPOINTS

TESTS = Path(__file__).parents[1]
VERBS = {one.operation_id for one in ENDPOINTS if one.shape in (Shape.ACTION, Shape.COLLECTION_ACTION)}


def marks(thing: Any) -> Iterator[str]:
    """The operations whose effects a module, a class or a function says it proves."""
    marked = getattr(thing, "pytestmark", [])
    for mark in marked if isinstance(marked, list) else [marked]:
        if mark.name == "effect":
            yield from mark.args


def proven() -> set[str]:
    """What is marked anywhere among the tests."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        if "mark.effect" not in path.read_text():
            continue
        module = importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))
        found |= set(marks(module))
        for _, thing in inspect.getmembers(module, lambda it: inspect.isclass(it) or inspect.isfunction(it)):
            found |= set(marks(thing))
            if inspect.isclass(thing):
                found |= {one for _, method in inspect.getmembers(thing, inspect.isfunction) for one in marks(method)}
    return found


def test_every_verb_has_one() -> None:
    missing = sorted(VERBS - proven())
    assert not missing, f"Mark the test that proves them with @pytest.mark.effect(...): {missing}"


def test_no_mark_names_what_there_is_not() -> None:
    assert sorted(proven() - {endpoint.operation_id for endpoint in ENDPOINTS}) == []
