"""The terms of a filter: fields, labels, and constants. Each one evaluates in SQL and in Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol

import sqlalchemy as sa

from api.kernel.filtering.expressions import Entry
from core.db import UtcDateTime


class FieldType(Enum):
    """Type of a field. The values are the names in error messages."""

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


@dataclass(frozen=True, eq=False)
class Field:
    """A field that filters can use, with its SQL expression, its reader, or both.

    `column` of a list or of labels is a JSON column or a path in one. `read` returns the value of an item. Fields
    compare by identity.
    """

    type: FieldType
    column: sa.ColumnElement[Any] | None = None
    read: Callable[[Any], Any] | None = None

    def sql(self) -> sa.ColumnElement[Any]:
        """Returns the SQL expression."""
        if self.column is None:
            raise TypeError("this field was declared without a column")
        return self.column

    def value(self, item: Any) -> Any:
        """Returns the value of an item, or None if it is missing or has another type."""
        if self.read is None:
            raise TypeError("this field was declared without a reader")
        value = self.read(item)
        if isinstance(value, Enum):
            value = value.value
        return _plain(value, _PYTHON_TYPES[self.type]) if self.type in _PYTHON_TYPES else value


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
        """Type of the values."""

    def sql(self) -> sa.ColumnElement[Any]:
        """Returns the term in SQL."""

    def value(self, item: Any) -> Any:
        """Returns the value for an item, or None if it is missing."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant."""

    type: FieldType
    constant: Any

    def sql(self) -> sa.ColumnElement[Any]:
        """Returns a bound parameter."""
        return sa.literal(self.constant, _SQL_TYPES[self.type])

    def value(self, item: Any) -> Any:
        """Returns the constant."""
        return self.constant


@dataclass(frozen=True, slots=True)
class Label:
    """A label of an item."""

    field: Field
    key: str
    type: FieldType = FieldType.STRING

    def sql(self) -> sa.ColumnElement[Any]:
        """Returns the value of the label in SQL."""
        return Entry(self.field.sql(), sa.literal(self.key, sa.Text()))

    def value(self, item: Any) -> Any:
        """Returns the value of the label, or None."""
        return _plain((self.field.value(item) or {}).get(self.key), (str,))
