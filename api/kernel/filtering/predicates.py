"""What a filter asks: predicates over terms, each as SQL and as Python, with equal results.

A predicate is true or false, never unknown: a comparison with what is missing is false in SQL too, and so its negation
is true. Strings compare by code point on every database.
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
    """What is true or false of an item."""

    def sql(self) -> sa.ColumnElement[bool]:
        """The predicate in SQL, never NULL."""

    def matches(self, item: Any) -> bool:
        """Whether it is true of the item."""


@dataclass(frozen=True, slots=True)
class Every:
    """All of some predicates: any number, none included."""

    parts: Sequence[Predicate]

    def sql(self) -> sa.ColumnElement[bool]:
        """AND."""
        return sa.and_(sa.true(), *(part.sql() for part in self.parts))

    def matches(self, item: Any) -> bool:
        """Whether all of them are true."""
        return all(part.matches(item) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of some predicates."""

    parts: Sequence[Predicate]

    def sql(self) -> sa.ColumnElement[bool]:
        """OR."""
        return sa.or_(sa.false(), *(part.sql() for part in self.parts))

    def matches(self, item: Any) -> bool:
        """Whether one of them is true."""
        return any(part.matches(item) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    part: Predicate

    def sql(self) -> sa.ColumnElement[bool]:
        """NOT."""
        return sa.not_(self.part.sql())

    def matches(self, item: Any) -> bool:
        """Whether it is false."""
        return not self.part.matches(item)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two terms of one type, compared."""

    left: Term
    how: str
    right: Term

    def sql(self) -> sa.ColumnElement[bool]:
        """The comparison; false if one of them is NULL."""
        left, right = self.left.sql(), self.right.sql()
        ordered = self.left.type is FieldType.STRING and self.how not in ("==", "!=")
        test = OPERATORS[self.how](Bytewise(left) if ordered else left, right)
        return _certain(test, left, right)

    def matches(self, item: Any) -> bool:
        """The comparison; false if one of them is missing."""
        left, right = self.left.value(item), self.right.value(item)
        return left is not None and right is not None and bool(OPERATORS[self.how](left, right))


@dataclass(frozen=True, slots=True)
class OneOf:
    """A term that equals one of some constants."""

    term: Term
    constants: Sequence[Literal]

    def sql(self) -> sa.ColumnElement[bool]:
        """IN; false for NULL."""
        if not self.constants:
            return sa.false()
        term = self.term.sql()
        return _certain(term.in_([constant.sql() for constant in self.constants]), term)

    def matches(self, item: Any) -> bool:
        """Whether it is one of them."""
        value = self.term.value(item)
        return value is not None and value in [constant.constant for constant in self.constants]


@dataclass(frozen=True, slots=True)
class Present:
    """A term that is there."""

    term: Term

    def sql(self) -> sa.ColumnElement[bool]:
        """IS NOT NULL."""
        return self.term.sql().is_not(None)

    def matches(self, item: Any) -> bool:
        """Whether it is there."""
        return self.term.value(item) is not None


@dataclass(frozen=True, slots=True)
class Member:
    """A string in a list of strings."""

    field: Field
    string: str

    def sql(self) -> sa.ColumnElement[bool]:
        """Membership in a JSON array; false if it is none."""
        return sa.func.coalesce(Holds(self.field.sql(), sa.literal(self.string, sa.Text())), sa.false())

    def matches(self, item: Any) -> bool:
        """Whether the list holds it."""
        value = self.field.value(item)
        return isinstance(value, list | tuple | set | frozenset) and self.string in value


@dataclass(frozen=True, slots=True)
class Part:
    """A string that begins with, ends with or contains another."""

    term: Term
    how: str
    string: str

    def sql(self) -> sa.ColumnElement[bool]:
        """By position, not by LIKE, which ignores case on SQLite."""
        term, part, size = self.term.sql(), sa.literal(self.string, sa.Text()), len(self.string)
        if not self.string:
            return term.is_not(None)
        if self.how == "contains":
            test: sa.ColumnElement[bool] = Position(term, part) > 0
        elif self.how == "startsWith":
            test = sa.func.substr(term, 1, size) == part
        else:
            length = sa.func.length(term)
            test = sa.and_(length >= size, sa.func.substr(term, length - size + 1) == part)
        return _certain(test, term)

    def matches(self, item: Any) -> bool:
        """The same in Python."""
        value = self.term.value(item)
        if value is None:
            return False
        if self.how == "contains":
            return self.string in value
        return bool(value.startswith(self.string) if self.how == "startsWith" else value.endswith(self.string))


def _certain(test: sa.ColumnElement[bool], *terms: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """The test, false instead of NULL. Around a column it stays one that an index serves."""
    columns = [term for term in terms if not isinstance(term, sa.BindParameter)]
    if all(isinstance(term, sa.Column) for term in columns):
        return sa.and_(test, *(term.is_not(None) for term in columns))
    return sa.func.coalesce(test, sa.false())
