"""Searches of runs as SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from api.services.ai_catalog.logic import search_language
from api.services.ai_catalog.logic.metric_values import MAX_MS, time_of
from api.services.ai_catalog.logic.search_language import Comparison, Key, invalid
from api.services.ai_catalog.logic.sorted_pages import SortKey
from api.services.ai_catalog.run_tables import RUN, RUN_INPUT, RUN_METRIC, RUN_PARAM, RUN_TAG
from core.db import UtcDateTime

_TABLES = {"metrics": RUN_METRIC, "params": RUN_PARAM, "tags": RUN_TAG}
_ATTRIBUTES: dict[str, sa.Column[Any]] = {
    "run_id": RUN.c.id,
    "run_name": RUN.c.name,
    "run name": RUN.c.name,
    "status": RUN.c.status,
    "start_time": RUN.c.started_at,
    "created": RUN.c.started_at,
    "end_time": RUN.c.ended_at,
    "user_id": RUN.c.created_by,
    "experiment_id": RUN.c.experiment_id,
    "source": RUN.c.source,
}
_COMPARE: dict[str, Callable[[Any, Any], sa.ColumnElement[bool]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "IN": lambda column, values: column.in_(values),
    "NOT IN": lambda column, values: column.not_in(values),
}


def condition(text: str, dialect: str) -> sa.ColumnElement[bool]:
    """Returns the condition for the runs that a filter matches.

    Args:
        text: the filter. An empty one matches all runs.
        dialect: `sqlite` or `postgresql`.

    Raises:
        InvalidArgument: the filter can't be parsed, or compares something unknown.
    """
    combine = {"and": sa.and_, "or": sa.or_, "not": sa.not_}
    tree = search_language.parse(text)
    return search_language.compile(tree, lambda one: _compared(one, dialect), combine, sa.true())


def order(texts: list[str]) -> list[SortKey]:
    """Returns the order of runs: the given keys, then the newest start, then the id.

    Runs without a metric come last in both directions, after those where it is NaN.

    Raises:
        InvalidArgument: a key can't be parsed or is unknown.
    """
    keys = [part for text in texts for part in _sort_keys(*search_language.parse_order(text))]
    return [*keys, SortKey(RUN.c.started_at, True), SortKey(RUN.c.id, False)]


def _compared(comparison: Comparison, dialect: str) -> sa.ColumnElement[bool]:
    """Returns the condition of one comparison. A comparison with a key that a run doesn't have is false."""
    key = comparison.key
    table = _TABLES.get(key.group)
    if comparison.operator in ("IS NULL", "IS NOT NULL") and table is not None:
        found = _with_key(table, key.name)
        return found if comparison.operator == "IS NOT NULL" else sa.not_(found)
    if table is not None:
        return _with_key(table, key.name, matching(table.c.value, comparison, dialect))
    if key.group == "datasets":
        if key.name not in ("name", "digest"):
            raise invalid(str(key), "is not a key: use datasets.name or datasets.digest")
        same = matching(RUN_INPUT.c[key.name], comparison, dialect)
        return sa.exists().where(RUN_INPUT.c.run_id == RUN.c.id, same)
    return matching(_attribute(key), comparison, dialect)


def _with_key(table: sa.Table, key: str, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(table.c.run_id == RUN.c.id, table.c.key == key, *conditions)


def matching(column: sa.ColumnElement[Any], comparison: Comparison, dialect: str) -> sa.ColumnElement[bool]:
    """Returns the condition of a comparison of a column.

    Raises:
        InvalidArgument: the column can't be compared in this way.
    """
    if compare := _COMPARE.get(comparison.operator):
        values = comparison.value if isinstance(comparison.value, tuple) else (comparison.value,)
        typed = [_typed(column, Comparison(comparison.key, "=", value)) for value in values]
        return compare(column, typed if isinstance(comparison.value, tuple) else typed[0])
    if comparison.operator in ("LIKE", "ILIKE") and isinstance(column.type, sa.String):
        return _like(column, comparison.text(), dialect, exact=comparison.operator == "LIKE")
    raise invalid(str(comparison.key), f"can't be compared by {comparison.operator}")


def _typed(column: sa.ColumnElement[Any], comparison: Comparison) -> Any:
    if isinstance(column.type, sa.String):
        return comparison.text()
    number = comparison.number()
    if isinstance(column.type, sa.Double | sa.BigInteger):
        return number
    if not 0 <= number <= MAX_MS:
        raise invalid(str(comparison.key), "is a time: compare it with milliseconds since 1970")
    return time_of(int(number))


def _like(column: sa.ColumnElement[Any], pattern: str, dialect: str, *, exact: bool) -> sa.ColumnElement[bool]:
    if not exact:
        return sa.func.lower(column).like(pattern.lower())
    if dialect != "sqlite":
        return column.like(pattern)
    # SQLite's LIKE ignores case.
    glob = re.sub(r"[*?\[]", r"[\g<0>]", pattern).replace("%", "*").replace("_", "?")
    return sa.type_coerce(column.op("GLOB")(glob), sa.Boolean)


def _attribute(key: Key) -> sa.Column[Any]:
    if key.name not in _ATTRIBUTES:
        raise invalid(key.name, f"is not an attribute of runs. Attributes are {', '.join(_ATTRIBUTES)}")
    return _ATTRIBUTES[key.name]


def _sort_keys(key: Key, descending: bool) -> list[SortKey]:
    table = _TABLES.get(key.group)
    if table is None:
        if key.group:
            raise invalid(str(key), "can't be ordered by")
        attribute = _attribute(key)
        empty: Any = time_of(0) if isinstance(attribute.type, UtcDateTime) else ""
        return [
            SortKey(sa.case((attribute.is_(None), 1), else_=0), False),
            SortKey(sa.func.coalesce(attribute, empty, type_=attribute.type), descending),
        ]
    value = sa.select(table.c.value).where(table.c.run_id == RUN.c.id, table.c.key == key.name).scalar_subquery()
    if table is not RUN_METRIC:
        return [
            SortKey(sa.case((value.is_(None), 1), else_=0), False),
            SortKey(sa.func.coalesce(value, ""), descending),
        ]
    missing = sa.not_(_with_key(table, key.name))
    return [
        SortKey(sa.case((missing, 2), (value.is_(None), 1), else_=0), False),
        SortKey(sa.func.coalesce(value, 0.0), descending),
    ]
