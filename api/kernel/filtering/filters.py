"""Filters of lists and conditions of grants: a subset of CEL over declared fields, compiled to SQL and to Python.

    owner == "ana" && labels.env in ["prod", "stage"] && !("pii" in spec.tags) && size >= 3

A comparison with a missing value is false, and its negation is true. `== null` and `!= null` test for missing values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from api.kernel.filtering import cel
from api.kernel.filtering.cel import Fault, core, offset
from api.kernel.filtering.predicates import (
    AllOf,
    AnyOf,
    Comparison,
    Contains,
    IsPresent,
    Not,
    OneOf,
    Predicate,
    Substring,
)
from api.kernel.filtering.terms import Field, FieldType, Label, Literal, Term
from core import clock
from core.db import UtcDateTime
from core.errors import InvalidArgument

__all__ = ["NOW", "Field", "FieldType", "Filter", "parse"]

MAX_CONDITIONS = 50
MAX_LIST_LENGTH = 100


class _Now(Field):
    """The time at which a filter is used."""

    def sql(self) -> sa.ColumnElement[Any]:
        return sa.literal(clock.now(), UtcDateTime())


NOW = _Now(FieldType.TIMESTAMP, read=lambda item: clock.now())
"""The current time, for lists that declare the field `now`."""

_ALLOWED = (
    'Write field == "value" (also !=, <, <=, >, >=), field in ["a", "b"], "value" in field, field == null, '
    'field.startsWith("x") (also endsWith, contains), labels.key, has(labels.key), timestamp("2026-01-31T00:00:00Z"), '
    "joined by &&, ||, ! and brackets."
)
_OPERATORS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "in": "in"}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ORDERED = (FieldType.STRING, FieldType.INTEGER, FieldType.NUMBER, FieldType.TIMESTAMP)
_COLLECTIONS = (FieldType.STRINGS, FieldType.LABELS)


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    text: str
    predicate: Predicate

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the filter as an SQL condition that is never NULL."""
        return self.predicate.sql()

    def matches(self, item: Any) -> bool:
        """Returns whether the item matches the filter."""
        return self.predicate.matches(item)


def parse(text: str, fields: Mapping[str, Field]) -> Filter:
    """Parses a filter over these fields. Everything matches an empty filter.

    Raises:
        InvalidArgument: the filter is not valid, or uses other fields. The error has the position and the grammar.
    """
    return _parse(text, tuple(fields.items()))


@lru_cache(maxsize=2048)
def _parse(text: str, fields: tuple[tuple[str, Field], ...]) -> Filter:
    try:
        if not text.strip():
            return Filter(text, AllOf(()))
        syntax = cel.syntax(text)
        return Filter(text, _Reader(dict(fields), syntax.strings).condition(syntax.tree))
    except Fault as fault:
        names = ", ".join(f"{name} ({field.type.value})" for name, field in fields) or "none"
        raise InvalidArgument(
            f"filter: {fault.detail} at position {fault.offset + 1}. {_ALLOWED} Fields of this list: {names}."
        ) from None


class _Null:
    """The literal `null`."""


class _Reader:
    """A conversion of a syntax tree to predicates."""

    def __init__(self, fields: Mapping[str, Field], strings: Mapping[int, str]) -> None:
        self.fields = fields
        self.strings = strings
        self.conditions = 0

    def condition(self, node: Any) -> Predicate:
        """Returns the predicate of a node."""
        node = core(node)
        if node.data == "paren_expr":
            return self.condition(node.children[0])
        if node.data in ("conditionalor", "conditionaland"):
            parts = [self.condition(part) for part in self._operands(node)]
            return AnyOf(parts) if node.data == "conditionalor" else AllOf(parts)
        if node.data == "unary" and node.children[0].data == "unary_not":
            return self._not(node)
        self.conditions += 1
        if self.conditions > MAX_CONDITIONS:
            raise Fault(offset(node), f"there are more than {MAX_CONDITIONS} conditions")
        if node.data == "relation":
            return self._relation(node)
        if node.data == "member_dot_arg":
            return self._method(node)
        if node.data == "ident_arg" and node.children[0] == "has":
            return IsPresent(self._scalar(self._argument(node, "has")))
        term = self._term(node)
        if isinstance(term, Field) and term.type is FieldType.BOOLEAN:
            return Comparison(term, "==", Literal(FieldType.BOOLEAN, True))
        raise Fault(offset(node), "this is not a condition")

    def _operands(self, node: Any) -> list[Any]:
        parts = []
        rule = node.data
        while node.data == rule and len(node.children) == 2:
            parts.append(node.children[1])
            node = core(node.children[0])
        return [node, *reversed(parts)]

    def _not(self, node: Any) -> Predicate:
        negated = False
        while node.data == "unary" and len(node.children) == 2 and node.children[0].data == "unary_not":
            negated = not negated
            node = core(node.children[1])
        part = self.condition(node)
        return Not(part) if negated else part

    def _relation(self, node: Any) -> Predicate:
        operator = _OPERATORS[node.children[0].data.removeprefix("relation_")]
        first, second = core(node.children[0].children[0]), core(node.children[1])
        if first.data == "relation":
            raise Fault(offset(first), "comparisons cannot be chained")
        if operator == "in":
            return self._in(first, second)
        left, right = self._term(first), self._term(second)
        if isinstance(left, _Null | Literal) and not isinstance(right, _Null | Literal):
            first, second, left, right, operator = second, first, right, left, _MIRRORED[operator]
        if isinstance(left, _Null | Literal):
            raise Fault(offset(first), "a comparison needs a field")
        if left.type in _COLLECTIONS:
            raise Fault(offset(first), f'{left.type.value} cannot be compared; write "value" in the field')
        if isinstance(right, _Null):
            if operator not in ("==", "!="):
                raise Fault(offset(second), "null has no order")
            return Not(IsPresent(left)) if operator == "==" else IsPresent(left)
        if operator not in ("==", "!=") and left.type not in _ORDERED:
            raise Fault(offset(first), f"{left.type.value} has no order")
        return Comparison(left, operator, self._typed(right, left.type, second))

    def _in(self, first: Any, second: Any) -> Predicate:
        left = self._term(first)
        if second.data == "list_lit":
            if isinstance(left, _Null | Literal) or left.type in _COLLECTIONS:
                raise Fault(offset(first), "only a field with a single value can be in a list")
            items = [item for list_ in second.children for item in list_.children]
            if len(items) > MAX_LIST_LENGTH:
                raise Fault(offset(second), f"the list has more than {MAX_LIST_LENGTH} values")
            constants = []
            for item in items:
                term = self._typed(self._term(item), left.type, item)
                if not isinstance(term, Literal):
                    raise Fault(offset(item), "a list contains values, not fields")
                constants.append(term)
            return OneOf(left, constants)
        right = self._term(second)
        if not isinstance(right, Field) or right.type not in _COLLECTIONS:
            raise Fault(offset(second), "`in` needs a list of strings, labels, or [ ]")
        if not isinstance(left, Literal) or left.type is not FieldType.STRING:
            raise Fault(offset(first), "`in` needs a string before it")
        if right.type is FieldType.STRINGS:
            return Contains(right, left.constant)
        return IsPresent(Label(right, left.constant))

    def _typed(self, term: Term | _Null, type: FieldType, node: Any) -> Term:
        if isinstance(term, Literal) and term.type is FieldType.INTEGER and type is FieldType.NUMBER:
            return Literal(type, float(term.constant))
        if isinstance(term, _Null) or term.type is not type:
            actual = "null" if isinstance(term, _Null) else term.type.value
            raise Fault(offset(node), f"{type.value} is expected, not {actual},")
        return term

    def _method(self, node: Any) -> Predicate:
        name = str(node.children[1])
        if name not in ("startsWith", "endsWith", "contains"):
            raise Fault(node.children[1].start_pos, f"unknown method {name!r}")
        term = self._scalar(node.children[0])
        if term.type is not FieldType.STRING:
            raise Fault(offset(node), f"{name} is a method of strings, not of {term.type.value},")
        return Substring(term, name, self._string(self._argument(node, name)))

    def _argument(self, node: Any, name: str) -> Any:
        arguments = node.children[-1].children if getattr(node.children[-1], "data", "") == "exprlist" else []
        if len(arguments) != 1:
            raise Fault(offset(node), f"{name} takes one argument")
        return arguments[0]

    def _scalar(self, node: Any) -> Term:
        term = self._term(node)
        if isinstance(term, _Null | Literal) or term.type in _COLLECTIONS:
            raise Fault(offset(node), "a field with a single value is expected")
        return term

    def _string(self, node: Any) -> str:
        term = self._term(node)
        if not isinstance(term, Literal) or term.type is not FieldType.STRING:
            raise Fault(offset(node), "a string in quotes is expected")
        return str(term.constant)

    def _term(self, node: Any) -> Term | _Null:
        node = core(node)
        while node.data == "paren_expr":
            node = core(node.children[0])
        if node.data == "literal":
            return self._literal(node.children[0])
        if node.data in ("ident", "member_dot"):
            return self._named(node)
        if node.data == "member_index":
            labels = self._term(node.children[0])
            if not isinstance(labels, Field) or labels.type is not FieldType.LABELS:
                raise Fault(offset(node), "only labels have [ ]")
            return Label(labels, self._string(node.children[1]))
        if node.data == "ident_arg" and node.children[0] == "timestamp":
            argument = self._argument(node, "timestamp")
            return Literal(FieldType.TIMESTAMP, _instant(self._string(argument), offset(argument)))
        if node.data == "ident_arg":
            raise Fault(offset(node), f"unknown function {str(node.children[0])!r}")
        raise Fault(offset(node), "this expression is not allowed")

    def _named(self, node: Any) -> Term:
        start, path = offset(node), []
        while node.data == "member_dot":
            path.append(str(node.children[1]))
            node = core(node.children[0])
        if node.data != "ident":
            raise Fault(start, "only fields have parts")
        path.append(str(node.children[0]))
        name = ".".join(reversed(path))
        if name in self.fields:
            return self.fields[name]
        labels = self.fields.get(".".join(reversed(path[1:])))
        if labels is not None and labels.type is FieldType.LABELS:
            return Label(labels, path[0])
        raise Fault(start, f"unknown field {name!r}")

    def _literal(self, token: Any) -> Term | _Null:
        text, start = str(token), token.start_pos
        if token.type == "STRING_LIT":
            return Literal(FieldType.STRING, self.strings[start])
        if token.type == "NULL_LIT":
            return _Null()
        if token.type == "BOOL_LIT":
            return Literal(FieldType.BOOLEAN, text == "true")
        if token.type == "FLOAT_LIT" and math.isfinite(float(text)):
            return Literal(FieldType.NUMBER, float(text))
        if token.type == "INT_LIT":
            integer = int(text, 16 if "x" in text else 10)
            if -(2**63) <= integer < 2**63:
                return Literal(FieldType.INTEGER, integer)
        raise Fault(start, "this value is out of range or of a type that is not allowed")


def _instant(text: str, start: int) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
        if "T" in text and instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Fault(start, "this is not a timestamp such as 2026-01-31T00:00:00Z")
