"""No module imports itself through others, not even for the type checker or inside a function.

So every module can be read and tested with only the modules below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGES = (
    "api",
    "assets",
    "core",
    "dagster_project",
    "federated",
    "jobs",
    "lakehouse",
    "migrations",
    "rag",
    "resources",
    "serving",
)


def circles(imports: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yields one circle, or nothing."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        yield error.args[1]


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 300
    assert list(circles(imports)) == []


@pytest.mark.parametrize(
    ("imports", "found"), [({"a": {"b"}, "b": {"c"}, "c": set()}, 0), ({"a": {"b"}, "b": {"c"}, "c": {"a"}}, 1)]
)
def test_the_check_finds_circles(imports: dict[str, set[str]], found: int) -> None:
    assert len(list(circles(imports))) == found
