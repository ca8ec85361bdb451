"""The language of MLflow's searches, parsed by sqlglot.

    metrics.rmse < 1 AND params.model = 'tree' AND tags.`mlflow.source.name` ILIKE '%train%'

Beyond MLflow's language, conditions can be combined with OR, NOT, and parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import InvalidArgument

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.dialects.dialect import Dialect

T = TypeVar("T")
_MAX_COMPARISONS = 100
Groups = Mapping[str, str]
"""The group of each word that a key can start with. It is empty for attributes."""

GROUPS: Groups = {
    **dict.fromkeys(("metrics", "metric"), "metrics"),
    **dict.fromkeys(("params", "param", "parameters", "parameter"), "params"),
    **dict.fromkeys(("tags", "tag"), "tags"),
    **dict.fromkeys(("datasets", "dataset"), "datasets"),
    **dict.fromkeys(("attributes", "attribute", "attr", "run"), ""),
}
"""What searches of runs compare."""

_OPERATORS = {
    "EQ": "=",
    "NEQ": "!=",
    "LT": "<",
    "LTE": "<=",
    "GT": ">",
    "GTE": ">=",
    "Like": "LIKE",
    "ILike": "ILIKE",
}
"""Operators by the name of their class in sqlglot."""

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: bool(one == other),
    "!=": lambda one, other: bool(one != other),
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
    "IN": lambda one, other: one in other,
    "NOT IN": lambda one, other: one not in other,
    "LIKE": lambda one, other: bool(like_pattern(other).fullmatch(one)),
    "ILIKE": lambda one, other: bool(like_pattern(other.lower()).fullmatch(one.lower())),
}


@dataclass(frozen=True, slots=True)
class Key:
    """What is compared: a key of a group such as `metrics`, or an attribute if `group` is empty."""

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.group}.{self.name}" if self.group else self.name


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a key with a number, a text, or several of them."""

    key: Key
    operator: str
    """One of `= != < <= > >= LIKE ILIKE IN`, `NOT IN`, `IS NULL`, and `IS NOT NULL`."""
    value: Any = None

    def text(self) -> str:
        """Returns the text that it compares with.

        Raises:
            InvalidArgument: it compares with a number.
        """
        if not isinstance(self.value, str):
            raise invalid(str(self.key), f"is a text: compare it with '{self.value}'")
        return self.value

    def number(self) -> float:
        """Returns the number that it compares with.

        Raises:
            InvalidArgument: it compares with something else.
        """
        try:
            return float(self.value)
        except (TypeError, ValueError):
            raise invalid(str(self.key), "is a number: compare it with one") from None


@dataclass(frozen=True, slots=True)
class Combination:
    """Conditions that are combined with `and`, `or`, or `not`."""

    operator: str
    conditions: tuple[Condition, ...]


Condition = Comparison | Combination


def parse(text: str, groups: Groups = GROUPS) -> Condition | None:
    """Parses a filter. Returns None for an empty one.

    Raises:
        InvalidArgument: the filter can't be parsed.
    """
    if not text.strip():
        return None
    from sqlglot import exp

    tree = _parsed(text, "filter")
    if len(list(tree.find_all(exp.Column))) > _MAX_COMPARISONS:
        raise InvalidArgument(f"The filter has more than {_MAX_COMPARISONS} conditions.")
    return _condition(tree, groups)


def parse_order(text: str, groups: Groups = GROUPS) -> tuple[Key, bool]:
    """Parses a key of an order, such as `metrics.rmse DESC`. Returns the key, and whether the order is descending.

    Raises:
        InvalidArgument: it can't be parsed.
    """
    from sqlglot import exp

    ordered = _parsed(f"SELECT 1 ORDER BY {text}", "order").args.get("order")
    parts = ordered.expressions if ordered else []
    if len(parts) != 1 or not isinstance(parts[0].this, exp.Column):
        raise invalid(text, "is not a key such as metrics.rmse DESC")
    return _key(parts[0].this, groups), bool(parts[0].args.get("desc"))


def compile(condition: Condition | None, comparison: Callable[[Comparison], T], combine: dict[str, Any], true: T) -> T:
    """Returns a condition in another form.

    Args:
        condition: the condition. None matches everything.
        comparison: returns one comparison in that form.
        combine: functions that combine conditions in that form, by `and`, `or`, and `not`.
        true: what matches everything.
    """
    if condition is None:
        return true
    if isinstance(condition, Comparison):
        return comparison(condition)
    parts = [compile(part, comparison, combine, true) for part in condition.conditions]
    result: T = combine[condition.operator](*parts)
    return result


def comparisons(condition: Condition | None) -> list[Comparison]:
    """Returns all comparisons of a condition, in their order."""

    def combine(*parts: list[Comparison]) -> list[Comparison]:
        return [one for part in parts for one in part]

    return compile(condition, lambda one: [one], dict.fromkeys(("and", "or", "not"), combine), [])


def matches(condition: Condition | None, value: Callable[[Key], Any]) -> bool:
    """Returns whether an item matches. `value` returns the text or number of a key, or None if the item has none."""

    def compared(comparison: Comparison) -> bool:
        found = value(comparison.key)
        if comparison.operator in ("IS NULL", "IS NOT NULL"):
            return (found is None) == (comparison.operator == "IS NULL")
        if found is None:
            return False
        expected = comparison.value if isinstance(found, str) else comparison.number()
        if isinstance(found, str) and not isinstance(expected, tuple):
            expected = comparison.text()
        return _COMPARE[comparison.operator](found, expected)

    combine = {"and": lambda *parts: all(parts), "or": lambda *parts: any(parts), "not": lambda part: not part}
    return compile(condition, compared, combine, True)


def like_pattern(pattern: str) -> re.Pattern[str]:
    """Returns the regular expression of a pattern in which `%` is any text and `_` is any character."""
    return re.compile(re.escape(pattern).replace("%", ".*").replace("_", "."), re.DOTALL)


def invalid(text: str, detail: str) -> InvalidArgument:
    """Returns the error for a part of a search."""
    return InvalidArgument(f"{text[:100]!r} {detail}.")


@cache
def _language() -> type[Dialect]:
    """Returns the dialect: keys are quoted with `"` or a backtick, and texts with `'` or `"`."""
    # Imported on first use, because it takes a sixth of the time in which the API starts.
    from sqlglot import tokens
    from sqlglot.dialects.dialect import Dialect

    class Language(Dialect):
        class Tokenizer(tokens.Tokenizer):
            IDENTIFIERS = ['"', "`"]
            QUOTES = ["'"]

    return Language


def _parsed(text: str, noun: str) -> exp.Expr:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(text, dialect=_language())
    except (SqlglotError, RecursionError):
        raise invalid(text, f"is not a valid {noun}") from None
    if len(trees) != 1 or trees[0] is None:
        raise invalid(text, f"is not a valid {noun}")
    return trees[0]


def _condition(tree: exp.Expr, groups: Groups) -> Condition:
    from sqlglot import exp

    match tree:
        case exp.Paren():
            return _condition(tree.this, groups)
        case exp.And() | exp.Or():
            operator = "and" if isinstance(tree, exp.And) else "or"
            return Combination(operator, (_condition(tree.left, groups), _condition(tree.right, groups)))
        case exp.Not(this=exp.In() | exp.Is() as inner):
            return _comparison(inner, groups, negated=True)
        case exp.Not():
            return Combination("not", (_condition(tree.this, groups),))
    return _comparison(tree, groups, negated=False)


def _comparison(tree: exp.Expr, groups: Groups, *, negated: bool) -> Comparison:
    from sqlglot import exp

    if not isinstance(tree.this, exp.Column):
        raise invalid(tree.sql(dialect=_language()), "does not start with a key such as metrics.rmse")
    key = _key(tree.this, groups)
    if isinstance(tree, exp.Is) and isinstance(tree.expression, exp.Null):
        return Comparison(key, "IS NOT NULL" if negated else "IS NULL")
    if isinstance(tree, exp.In) and tree.expressions:
        return Comparison(key, "NOT IN" if negated else "IN", tuple(_value(one) for one in tree.expressions))
    if operator := _OPERATORS.get(type(tree).__name__):
        return Comparison(key, operator, _value(tree.expression))
    raise invalid(tree.sql(dialect=_language()), "is not a supported comparison")


def _value(tree: exp.Expr) -> float | str:
    from sqlglot import exp

    negative = isinstance(tree, exp.Neg)
    literal = tree.this if negative else tree
    if isinstance(literal, exp.Column) and len(literal.parts) == 1 and literal.this.quoted:
        return literal.name
    if not isinstance(literal, exp.Literal) or (negative and literal.is_string):
        raise invalid(tree.sql(dialect=_language()), "is not a number or a text")
    if literal.is_string:
        return str(literal.this)
    try:
        return -float(literal.this) if negative else float(literal.this)
    except ValueError:
        raise invalid(literal.name, "is not a number") from None


def _key(column: exp.Column, groups: Groups) -> Key:
    parts = [part.name for part in column.parts]
    if len(parts) == 1:
        return Key("", parts[0].lower())
    group = groups.get(parts[0].lower())
    if group is None:
        words = ", ".join(dict.fromkeys(group or "attributes" for group in groups.values()))
        raise invalid(".".join(parts), f"must start with one of {words}")
    name = ".".join(parts[1:])
    return Key(group, name if group else name.lower())
