"""Predicates of clients. They are hints: files that can't match may be left out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import HeadwaterError

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

    from lakehouse.partition_filters import PartitionFilter
    from lakehouse.snapshot import Snapshot

_MAX_DEPTH = 50
_COMPARISONS = {"equal": "EQ", "lessThan": "LT", "lessThanOrEqual": "LTE", "greaterThan": "GT"}
_COMPARISONS["greaterThanOrEqual"] = "GTE"


class Hints:
    """The predicates of one query that use only partition columns. Others are left to the client."""

    def __init__(self, snapshot: Snapshot, texts: Sequence[str], document: str | None) -> None:
        conditions = [*texts, *_conditions(document, snapshot.partition_columns)]
        self._filters = [found for one in conditions if (found := _filter(one, snapshot))]

    def matches(self, values: Sequence[Mapping[str, str | None]]) -> list[bool]:
        """Returns whether files with these partition values can match."""
        possible = [True] * len(values)
        for one in self._filters:
            try:
                possible = [before and now for before, now in zip(possible, one.matches(values), strict=True)]
            except HeadwaterError:
                continue  # the client filters the rows itself
        return possible


def _filter(condition: str, snapshot: Snapshot) -> PartitionFilter | None:
    from lakehouse.partition_filters import PartitionFilter

    try:
        return PartitionFilter(condition, snapshot) if condition.strip() else None
    except HeadwaterError:
        return None


def _conditions(document: str | None, columns: Sequence[str]) -> list[str]:
    """Returns the terms of a predicate in JSON that use only these columns."""
    if not document:
        return []
    try:
        tree = json.loads(document)
    except (ValueError, RecursionError):
        return []
    expressions = (_expression(term, set(columns), _MAX_DEPTH) for term in _terms(tree))
    return [expression.sql("postgres") for expression in expressions if expression is not None]


def _terms(tree: Any) -> list[Any]:
    if isinstance(tree, dict) and tree.get("op") == "and" and isinstance(tree.get("children"), list):
        return [term for child in tree["children"][:100] for term in _terms(child)]
    return [tree]


def _expression(tree: Any, columns: set[str], depth: int) -> Expr | None:
    """Returns a term as SQL, or None if it uses other columns, operators, or types."""
    from sqlglot import exp

    if not isinstance(tree, dict) or depth == 0:
        return None
    op = tree.get("op")
    if op == "column":
        name = str(tree.get("name"))
        return exp.column(exp.to_identifier(name, quoted=True)) if name in columns else None
    if op == "literal":
        return _literal(tree.get("value"), tree.get("valueType"))
    children = tree.get("children")
    if not isinstance(children, list) or not 1 <= len(children) <= 100:
        return None
    parts = [_expression(child, columns, depth - 1) for child in children]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if op in ("and", "or"):
        return exp.and_(*known) if op == "and" else exp.or_(*known)
    if op == "not" and len(known) == 1:
        return exp.not_(known[0])
    if op == "isNull" and len(known) == 1:
        return exp.Is(this=known[0], expression=exp.Null())
    if op in _COMPARISONS and len(known) == 2:
        comparison: Expr = getattr(exp, _COMPARISONS[op])(this=known[0], expression=known[1])
        return comparison
    return None


def _literal(value: Any, kind: Any) -> Expr | None:
    from sqlglot import exp

    text = str(value)
    if kind == "string":
        return exp.Literal.string(text)
    if kind == "date":
        return exp.cast(exp.Literal.string(text), "date")
    if kind == "bool" and text.lower() in ("true", "false"):
        return exp.true() if text.lower() == "true" else exp.false()
    if kind in ("int", "long") and text.lstrip("-").isdecimal() and text.isascii():
        return exp.Literal.number(text)
    return None
