"""What a filter consists of: terms and predicates, each as SQL and as Python, with equal results.

A predicate is true or false, never unknown: a comparison with what is missing is false in SQL too, and so its negation
is true. Strings compare by code point on every database.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol

import sqlalchemy as sa

from api.kernel.expressions import Bytewise, Entry, Holds, Position
from core.db import UtcDateTime


class FieldType(Enum):
    """What a field holds, in the words of an error."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "true or false"
    TIMESTAMP = "timestamp"
    STRINGS = "list of strings"
    LABELS = "labels"


_SQL_TYPES: dict[FieldType, sa.types.TypeEngine[Any]] = {
    FieldType.STRING: sa.String(),
    FieldType.INTEGER: sa.BigInteger(),
    FieldType.NUMBER: sa.Double(),
    FieldType.BOOLEAN: sa.Boolean(),
    FieldType.TIMESTAMP: UtcDateTime(),
}
_PYTHON_TYPES: dict[FieldType, tuple[type, ...]] = {
    FieldType.STRING: (str,),
    FieldType.INTEGER: (int,),
    FieldType.NUMBER: (int, float, Decimal),
    FieldType.BOOLEAN: (bool,),
    FieldType.TIMESTAMP: (datetime,),
}
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, eq=False)
class Field:
    """A field that filters may name: its SQL expression, and how it is read from an item; what is unused is left out.

    `column` of a list or of labels is a JSON column or a path in one. Two fields are equal only if they are one.
    """

    type: FieldType
    column: sa.ColumnElement[Any] | None = None
    read: Callable[[Any], Any] | None = None

    def sql(self) -> sa.ColumnElement[Any]:
        """The SQL expression."""
        if self.column is None:
            raise TypeError("this field was declared without a column")
        return self.column

    def value(self, item: Any) -> Any:
        """What the item holds, None if it is missing or of another type."""
        if self.read is None:
            raise TypeError("this field was declared without a reader")
        found = self.read(item)
        if isinstance(found, Enum):
            found = found.value
        return _plain(found, _PYTHON_TYPES[self.type]) if self.type in _PYTHON_TYPES else found


def _plain(value: Any, types: tuple[type, ...]) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, int | float | Decimal) and float in types:
        try:
            return None if math.isnan(value) else float(value)
        except OverflowError:
            return None
    return value


class Term(Protocol):
    """One side of a comparison."""

    @property
    def type(self) -> FieldType:
        """What it holds."""

    def sql(self) -> sa.ColumnElement[Any]:
        """The term in SQL."""

    def value(self, item: Any) -> Any:
        """The term of an item; None if it is missing."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    type: FieldType
    constant: Any

    def sql(self) -> sa.ColumnElement[Any]:
        """A bound parameter."""
        return sa.literal(self.constant, _SQL_TYPES[self.type])

    def value(self, item: Any) -> Any:
        """The constant, whatever the item."""
        return self.constant


@dataclass(frozen=True, slots=True)
class Label:
    """One label."""

    field: Field
    key: str
    type: FieldType = FieldType.STRING

    def sql(self) -> sa.ColumnElement[Any]:
        """The value of the label."""
        return Entry(self.field.sql(), sa.literal(self.key, sa.Text()))

    def value(self, item: Any) -> Any:
        """The value of the label."""
        return _plain((self.field.value(item) or {}).get(self.key), (str,))


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
