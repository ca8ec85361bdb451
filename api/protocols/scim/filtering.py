"""SCIM filters as SQL: what rows must meet at least, so that few of them are looked at one by one.

The library's own evaluation stays the judge. SQL may leave rows in that it then refuses, never the other way round.
What SQL does not know (order of strings, `roles`) leaves all rows in.
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

_LONGEST = 256
_PLAIN = re.compile(r"[ -~]*")
_NOT_PLAIN = "[^ -~]"
_LOOKALIKES = {"K": "\u212a", ";": "\u037e", "`": "\u1fef"}
"""The only characters beyond ASCII that are equal to one of ASCII when the library compares."""

_ORDERS = (*ORDERING_OPERATORS, CompareOperator.eq, CompareOperator.ne)


@dataclass(frozen=True)
class Narrowed:
    """What rows meet that meet a filter. It is never NULL."""

    sql: sa.ColumnElement[bool]
    exact: bool = True
    """Whether whatever meets it meets the filter, too."""


ALL = Narrowed(sa.true())
NONE = Narrowed(sa.false())
UNKNOWN = Narrowed(sa.true(), exact=False)


class Attribute(Protocol):
    """An attribute as SQL sees it."""

    def present(self) -> Narrowed:
        """What has a value of it."""

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """What has a value that compares so."""


@runtime_checkable
class Sortable(Protocol):
    """An attribute that resources can be ordered by, by a string."""

    @property
    def columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        """What SQL reads for it."""

    def value(self, *parts: Any) -> str | None:
        """The string in what was read."""


Attributes = Callable[[AttributeBinding], Attribute | None]
"""The attribute that a name is bound to; None if SQL does not know it."""


@dataclass(frozen=True)
class Text:
    """A string. Equality is exact for plain ASCII; of what is beyond, SQL only knows that it is beyond."""

    element: sa.ColumnElement[str]

    @property
    def columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        """As `Sortable`."""
        return (self.element,)

    def value(self, *parts: Any) -> str | None:
        """As `Sortable`."""
        return parts[0]  # type: ignore[no-any-return]

    def present(self) -> Narrowed:
        """As `Attribute`."""
        return Narrowed(sa.func.coalesce(self.element, "") != "")

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """As `Attribute`."""
        if op is CompareOperator.ne:
            return negated(self.compared(CompareOperator.eq, value, binding))
        if value is None:
            return Narrowed(self.element.is_(None)) if op is CompareOperator.eq else NONE
        if not isinstance(value, str) or len(value) > _LONGEST:
            return UNKNOWN
        if op in ORDERING_OPERATORS:  # databases order strings otherwise than the library
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
    """The strings of a JSON array, looked for in the text of the array."""

    document: sa.ColumnElement[Any]

    def present(self) -> Narrowed:
        """As `Attribute`."""
        return Narrowed(self._text != "[]")

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """As `Attribute`."""
        if op not in {*STRING_OPERATORS, CompareOperator.eq} or not isinstance(value, str) or len(value) > _LONGEST:
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
    """One of several strings of each object in a JSON array. SQL only knows that some object has it somewhere."""

    def present(self) -> Narrowed:
        """As `Attribute`."""
        return replace(super().present(), exact=False)


@dataclass(frozen=True)
class Instant:
    """A time that is always there."""

    element: sa.ColumnElement[datetime]

    def present(self) -> Narrowed:
        """As `Attribute`."""
        return ALL

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """As `Attribute`."""
        wanted = coerce_value(binding, value, op)
        if op not in _ORDERS or not isinstance(wanted, datetime) or wanted.tzinfo is None:
            return UNKNOWN
        return Narrowed(getattr(operator, op.value)(self.element, sa.literal(wanted, UtcDateTime)))


@dataclass(frozen=True)
class Flag:
    """True, false, or not there."""

    element: sa.ColumnElement[bool]

    def present(self) -> Narrowed:
        """As `Attribute`."""
        return Narrowed(self.element.is_not(None))

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """As `Attribute`."""
        if op is CompareOperator.ne:
            return negated(self.compared(CompareOperator.eq, value, binding))
        wanted = coerce_value(binding, value, op)
        if not isinstance(wanted, bool):
            return UNKNOWN
        return Narrowed(sa.func.coalesce(self.element if wanted else sa.not_(self.element), sa.false()))


@dataclass(frozen=True)
class Related:
    """Ids of other resources: groups or members."""

    element: sa.ColumnElement[str]
    select: sa.Select[Any]

    def present(self) -> Narrowed:
        """As `Attribute`."""
        return Narrowed(sa.exists(self.select))

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        """As `Attribute`."""
        if op is CompareOperator.ne:
            return negated(self.compared(CompareOperator.eq, value, binding))
        if value is None:
            return UNKNOWN
        one = Text(self.element).compared(op, value, binding)
        return Narrowed(sa.exists(self.select.where(one.sql)), one.exact)


def name_of(binding: AttributeBinding) -> tuple[str, str]:
    """The schema and the name of an attribute, such as `emails.value`."""
    schema = str(getattr(binding.model, "__schema__", ""))
    return schema, binding.urn.removeprefix(f"{schema}:")


def negated(narrowed: Narrowed) -> Narrowed:
    """What does not meet it, if SQL knows that."""
    return Narrowed(sa.not_(narrowed.sql)) if narrowed.exact else UNKNOWN


def narrowed(filter: ScimFilter[Any] | None, model: type[Resource[Any]], attributes: Attributes) -> Narrowed:
    """What rows of a model must meet at least to meet the filter."""
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
        if binding is None:  # the model has no such attribute
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
        """`members[value eq "x"]` is `members eq "x"`. Of several conditions SQL only knows that each is met by one."""
        inner = node.val_filter
        found = self._within(node.attr_path, inner)
        alone = isinstance(inner, Comparison) and str(inner.attr_path).lower() == "value"
        return found if alone else replace(found, exact=False)

    def _within(self, path: AttrPath, node: Any) -> Narrowed:
        """What has at least one value for each condition of a value selection."""
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
