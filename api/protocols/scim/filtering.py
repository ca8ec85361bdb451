"""SCIM filters as SQL conditions that narrow the rows, so that the library evaluates few of them.

The library's evaluation decides. SQL can let rows through that the library rejects, but never the other way round.
Conditions that SQL can't express (order of strings, `roles`) let all rows through.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import sqlalchemy as sa
from scim2_models import Resource, ScimFilter
from scim2_models.path import (
    ORDERING_OPERATORS,
    STRING_OPERATORS,
    AttributeBinding,
    AttrPath,
    CompareOperator,
    Comparison,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
    coerce_value,
)

from core.db import UtcDateTime

_MAX_LENGTH = 256
_PLAIN = re.compile(r"[ -~]*")
_NOT_PLAIN = "[^ -~]"
_LOOKALIKES = {"K": "\u212a", ";": "\u037e", "`": "\u1fef"}
"""The only characters outside ASCII that the library treats as equal to an ASCII character."""

_ORDERS = (*ORDERING_OPERATORS, CompareOperator.eq, CompareOperator.ne)


@dataclass(frozen=True)
class Narrowed:
    """A condition that every matching row meets. It is never NULL."""

    sql: sa.ColumnElement[bool]
    exact: bool = True
    """Whether every row that meets the condition also matches the filter."""


ALL = Narrowed(sa.true())
NONE = Narrowed(sa.false())
UNKNOWN = Narrowed(sa.true(), exact=False)


class Attribute(Protocol):
    """An attribute as SQL expressions."""

    def present(self) -> Narrowed:
        """Returns the condition for resources with a value."""

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """Returns the condition for resources with a value for which the comparison is true."""


@runtime_checkable
class Sortable(Protocol):
    """An attribute with a string by which resources can be ordered."""

    @property
    def columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        """Returns the columns to read for the string."""

    def value(self, *parts: Any) -> str | None:
        """Returns the string in the values of the columns."""


Attributes = Callable[[AttributeBinding], Attribute | None]
"""Returns the attribute that a name is bound to, or None if SQL does not have it."""


@dataclass(frozen=True)
class Text:
    """A string. Equality is exact for ASCII. Of other characters, SQL only knows that they are not ASCII."""

    element: sa.ColumnElement[str]

    @property
    def columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        """Implements `Sortable`."""
        return (self.element,)

    def value(self, *parts: Any) -> str | None:
        """Implements `Sortable`."""
        return parts[0]  # type: ignore[no-any-return]

    def present(self) -> Narrowed:
        """Implements `Attribute`."""
        return Narrowed(sa.func.coalesce(self.element, "") != "")

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """Implements `Attribute`."""
        if op is CompareOperator.ne:
            return negated(self.compared(CompareOperator.eq, value, binding))
        if value is None:
            return Narrowed(self.element.is_(None)) if op is CompareOperator.eq else NONE
        if not isinstance(value, str) or len(value) > _MAX_LENGTH:
            return UNKNOWN
        if op in ORDERING_OPERATORS:  # Databases order strings differently from the library.
            return Narrowed(self.element.is_not(None), exact=False)
        if not _PLAIN.fullmatch(value := binding.comparable(value)):
            return self._matching(_NOT_PLAIN, exact=False)
        if op is CompareOperator.eq:
            if binding.case_exact and not _LOOKALIKES.keys() & set(value):
                return Narrowed(sa.func.coalesce(self.element == value, sa.false()))
            return self._matching(_part(op, value, binding))
        return self._matching(f"{_part(op, value, binding)}|{_NOT_PLAIN}", exact=False)

    def _matching(self, expression: str, *, exact: bool = True) -> Narrowed:
        return Narrowed(sa.func.coalesce(self.element.regexp_match(expression), sa.false()), exact)


@dataclass(frozen=True)
class Strings:
    """The strings of a JSON array, searched in the text of the array."""

    document: sa.ColumnElement[Any]

    def present(self) -> Narrowed:
        """Implements `Attribute`."""
        return Narrowed(self._text != "[]")

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """Implements `Attribute`."""
        if op not in {*STRING_OPERATORS, CompareOperator.eq} or not isinstance(value, str) or len(value) > _MAX_LENGTH:
            return UNKNOWN
        value = binding.comparable(value)
        if not _PLAIN.fullmatch(value) or '"' in value or "\\" in value:
            return UNKNOWN
        quoted = _part(op, value, binding, start='"', end='"')
        return Narrowed(self._text.regexp_match(rf"{quoted}|{_NOT_PLAIN}|\\"), exact=False)

    @property
    def _text(self) -> sa.ColumnElement[str]:
        return sa.func.coalesce(sa.cast(self.document, sa.Text), "[]")


@dataclass(frozen=True)
class Parts(Strings):
    """One of several strings in each object of a JSON array. SQL only knows that some object contains it somewhere."""

    def present(self) -> Narrowed:
        """Implements `Attribute`."""
        return replace(super().present(), exact=False)


@dataclass(frozen=True)
class Instant:
    """A time that is always set."""

    element: sa.ColumnElement[datetime]

    def present(self) -> Narrowed:
        """Implements `Attribute`."""
        return ALL

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """Implements `Attribute`."""
        time = coerce_value(binding, value, op)
        if op not in _ORDERS or not isinstance(time, datetime) or time.tzinfo is None:
            return UNKNOWN
        return Narrowed(getattr(operator, op.value)(self.element, sa.literal(time, UtcDateTime)))


@dataclass(frozen=True)
class Flag:
    """A boolean that can be absent."""

    element: sa.ColumnElement[bool]

    def present(self) -> Narrowed:
        """Implements `Attribute`."""
        return Narrowed(self.element.is_not(None))

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """Implements `Attribute`."""
        if op is CompareOperator.ne:
            return negated(self.compared(CompareOperator.eq, value, binding))
        flag = coerce_value(binding, value, op)
        if not isinstance(flag, bool):
            return UNKNOWN
        return Narrowed(sa.func.coalesce(self.element if flag else sa.not_(self.element), sa.false()))


@dataclass(frozen=True)
class Related:
    """Ids of related resources: groups or members."""

    element: sa.ColumnElement[str]
    select: sa.Select[Any]

    def present(self) -> Narrowed:
        """Implements `Attribute`."""
        return Narrowed(sa.exists(self.select))

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """Implements `Attribute`."""
        if op is CompareOperator.ne:
            return negated(self.compared(CompareOperator.eq, value, binding))
        if value is None:
            return UNKNOWN
        one = Text(self.element).compared(op, value, binding)
        return Narrowed(sa.exists(self.select.where(one.sql)), one.exact)


def name_of(binding: AttributeBinding) -> tuple[str, str]:
    """Returns the schema and the name of an attribute, such as `emails.value`."""
    schema = str(getattr(binding.model, "__schema__", ""))
    return schema, binding.urn.removeprefix(f"{schema}:")


def negated(narrowed: Narrowed) -> Narrowed:
    """Returns the negated condition, if the condition is exact."""
    return Narrowed(sa.not_(narrowed.sql)) if narrowed.exact else UNKNOWN


def narrowed(filter: ScimFilter[Any] | None, model: type[Resource[Any]], attributes: Attributes) -> Narrowed:
    """Returns a condition that every row of a model that matches the filter meets."""
    if filter is None:
        return ALL
    bound: Any = ScimFilter
    return _Narrowing(bound[model](str(filter)), attributes).visit(filter.ast)


class _Narrowing(FilterVisitor[Narrowed]):
    def __init__(self, filter: ScimFilter[Any], attributes: Attributes) -> None:
        self._filter = filter
        self._attributes = attributes

    def visit_comparison(self, node: Comparison) -> Narrowed:
        binding = self._filter.resolve_comparison(node.attr_path, strict=False)
        if binding is None:  # The model has no such attribute.
            return NONE
        attribute = self._attributes(binding)
        return attribute.compared(node.op, node.value, binding) if attribute else UNKNOWN

    def visit_present(self, node: Present) -> Narrowed:
        binding = self._filter.resolve(node.attr_path, strict=False)
        if binding is None:
            return NONE
        attribute = self._attributes(binding)
        return attribute.present() if attribute else UNKNOWN

    def visit_not(self, node: Not) -> Narrowed:
        return negated(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> Narrowed:
        terms = [self.visit(term) for term in node.terms]
        join = sa.and_ if node.op is LogicalOperator.and_ else sa.or_
        return Narrowed(join(*(term.sql for term in terms)), all(term.exact for term in terms))

    def visit_value_path(self, node: ValuePath) -> Narrowed:
        """Treats `members[value eq "x"]` as `members eq "x"`. Of several conditions, SQL checks each separately."""
        inner = node.val_filter
        condition = self._within(node.attr_path, inner)
        is_value = isinstance(inner, Comparison) and str(inner.attr_path).lower() == "value"
        return condition if is_value else replace(condition, exact=False)

    def _within(self, path: AttrPath, node: Any) -> Narrowed:
        """Returns the condition for resources with at least one value for each condition of a value selection."""
        if isinstance(node, LogicalExpr):
            terms = [self._within(path, term) for term in node.terms]
            join = sa.and_ if node.op is LogicalOperator.and_ else sa.or_
            return Narrowed(join(*(term.sql for term in terms)), exact=False)
        if not isinstance(node, Comparison | Present) or node.attr_path.sub_attr or node.attr_path.uri:
            return UNKNOWN
        part = AttrPath(path.attr, node.attr_path.attr, path.uri)
        if isinstance(node, Present):
            return self.visit_present(Present(part))
        return UNKNOWN if node.op is CompareOperator.ne else self.visit_comparison(replace(node, attr_path=part))


def _part(op: CompareOperator, value: str, binding: AttributeBinding, start: str = r"\A", end: str = r"\Z") -> str:
    before = start if op in (CompareOperator.sw, CompareOperator.eq) else ""
    after = end if op in (CompareOperator.ew, CompareOperator.eq) else ""
    return f"{before}{''.join(_one_of(character, exact=binding.case_exact) for character in value)}{after}"


def _one_of(character: str, *, exact: bool) -> str:
    same = {character} if exact else {character.lower(), character.upper()}
    same |= {_LOOKALIKES[one] for one in same if one in _LOOKALIKES}
    if len(same) > 1:
        return f"[{''.join(sorted(same))}]"
    return character if character.isalnum() else f"\\{character}"
