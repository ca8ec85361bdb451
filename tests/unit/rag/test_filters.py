from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidArgument, UnknownColumn
from rag.filters import cache_key, compile_filter


@pytest.mark.parametrize(
    ("filter", "sql"),
    [
        ({"document": "a.md"}, "document = 'a.md'"),
        ({"document": ["a.md", "b.md"]}, "document IN ('a.md', 'b.md')"),
        ({"document": {"prefix": "docs/"}}, "starts_with(document, 'docs/')"),
        ({"team": "x"}, "array_has_any(labels, ['team=x'])"),
        ({"team": ["x", "y"]}, "array_has_any(labels, ['team=x', 'team=y'])"),
        ({"team": "x", "document": "a"}, "document = 'a' AND array_has_any(labels, ['team=x'])"),
        ({"document": "x' OR '1'='1"}, "document = 'x'' OR ''1''=''1'"),
    ],
)
def test_filters_are_compiled_to_predicates(filter: dict[str, Any], sql: str) -> None:
    assert compile_filter(filter, {"team"}) == sql


def test_the_error_for_an_unknown_name_lists_the_known_names() -> None:
    with pytest.raises(UnknownColumn, match=r"'taem'.*document, title, heading, id, team"):
        compile_filter({"taem": "x"}, {"team"})


@pytest.mark.parametrize("value", [[], [1], {"suffix": "x"}, {"prefix": 1}])
def test_malformed_values_are_refused(value: Any) -> None:
    with pytest.raises(InvalidArgument):
        compile_filter({"document": value}, set())


def test_labels_have_no_prefix_filter() -> None:
    with pytest.raises(InvalidArgument, match="prefix"):
        compile_filter({"team": {"prefix": "x"}}, {"team"})


def test_equal_filters_have_the_same_cache_key() -> None:
    assert cache_key({"a": ("x", "y"), "b": "z"}) == cache_key({"b": "z", "a": ["x", "y"]})
