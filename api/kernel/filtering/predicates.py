"""Predicates over the terms of a filter. Each one evaluates in SQL and in Python with the same result.

A predicate is true or false, never unknown: a comparison with a missing value is false in SQL too, and its negation is
true. Strings compare by code point on every database.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from api.kernel.filtering.expressions import Bytewise, Holds, Position
from api.kernel.filtering.terms import Field, FieldType, Literal, Term

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Predicate(Protocol):
    """A condition that is true or false for an item."""

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the predicate in SQL. It is never NULL."""

    def matches(self, item: Any) -> bool:
        """Returns whether the predicate is true for the item."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """A conjunction of any number of predicates. Without predicates, it is true."""

    parts: Sequence[Predicate]

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the predicates joined by AND."""
        return sa.and_(sa.true(), *(part.sql() for part in self.parts))

    def matches(self, item: Any) -> bool:
        """Returns whether all predicates are true."""
        return all(part.matches(item) for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A disjunction of predicates."""

    parts: Sequence[Predicate]

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the predicates joined by OR."""
        return sa.or_(sa.false(), *(part.sql() for part in self.parts))

    def matches(self, item: Any) -> bool:
        """Returns whether one of the predicates is true."""
        return any(part.matches(item) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """A negation."""

    part: Predicate

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the negated predicate."""
        return sa.not_(self.part.sql())

    def matches(self, item: Any) -> bool:
        """Returns whether the predicate is false."""
        return not self.part.matches(item)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two terms of the same type."""

    left: Term
    operator: str
    right: Term

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the comparison. It is false if one of the terms is NULL."""
        left, right = self.left.sql(), self.right.sql()
        ordered = self.left.type is FieldType.STRING and self.operator not in ("==", "!=")
        test = OPERATORS[self.operator](Bytewise(left) if ordered else left, right)
        return _never_null(test, left, right)

    def matches(self, item: Any) -> bool:
        """Returns the result of the comparison: False if one of the terms is missing."""
        left, right = self.left.value(item), self.right.value(item)
        return left is not None and right is not None and bool(OPERATORS[self.operator](left, right))


@dataclass(frozen=True, slots=True)
class OneOf:
    """A test whether a term equals one of several constants."""

    term: Term
    constants: Sequence[Literal]

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the test with IN. It is false for NULL."""
        if not self.constants:
            return sa.false()
        term = self.term.sql()
        return _never_null(term.in_([constant.sql() for constant in self.constants]), term)

    def matches(self, item: Any) -> bool:
        """Returns whether the term equals one of the constants."""
        value = self.term.value(item)
        return value is not None and value in [constant.constant for constant in self.constants]


@dataclass(frozen=True, slots=True)
class IsPresent:
    """A test whether a term has a value."""

    term: Term

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the test with IS NOT NULL."""
        return self.term.sql().is_not(None)

    def matches(self, item: Any) -> bool:
        """Returns whether the term has a value."""
        return self.term.value(item) is not None


@dataclass(frozen=True, slots=True)
class Contains:
    """A test whether a list of strings contains a string."""

    field: Field
    string: str

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the test on a JSON array. It is false for other values."""
        return sa.func.coalesce(Holds(self.field.sql(), sa.literal(self.string, sa.Text())), sa.false())

    def matches(self, item: Any) -> bool:
        """Returns whether the list contains the string."""
        value = self.field.value(item)
        return isinstance(value, list | tuple | set | frozenset) and self.string in value


@dataclass(frozen=True, slots=True)
class Substring:
    """A test whether a string starts with, ends with, or contains another one."""

    term: Term
    method: str
    string: str

    def sql(self) -> sa.ColumnElement[bool]:
        """Returns the test by position, because LIKE ignores case on SQLite."""
        term, part, size = self.term.sql(), sa.literal(self.string, sa.Text()), len(self.string)
        if not self.string:
            return term.is_not(None)
        if self.method == "contains":
            test: sa.ColumnElement[bool] = Position(term, part) > 0
        elif self.method == "startsWith":
            test = sa.func.substr(term, 1, size) == part
        else:
            length = sa.func.length(term)
            test = sa.and_(length >= size, sa.func.substr(term, length - size + 1) == part)
        return _never_null(test, term)

    def matches(self, item: Any) -> bool:
        """Returns the result of the test. It is False if the term has no value."""
        value = self.term.value(item)
        if value is None:
            return False
        if self.method == "contains":
            return self.string in value
        return bool(value.startswith(self.string) if self.method == "startsWith" else value.endswith(self.string))


def _never_null(test: sa.ColumnElement[bool], *terms: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Returns the test with false instead of NULL. Tests on columns can still use an index."""
    columns = [term for term in terms if not isinstance(term, sa.BindParameter)]
    if all(isinstance(term, sa.Column) for term in columns):
        return sa.and_(test, *(term.is_not(None) for term in columns))
    return sa.func.coalesce(test, sa.false())
