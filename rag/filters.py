"""Search filters: plain data that is compiled to the engine's SQL, so that callers never write SQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from core.errors import InvalidArgument, UnknownColumn

FilterValue = str | Sequence[str] | Mapping[str, str]
"""A value, a list of alternative values, or `{"prefix": "docs/"}`."""

Filter = Mapping[str, FilterValue]
"""Column or label names with the values they must have. All entries must match."""

COLUMNS = ("document", "title", "heading", "id")


def compile_filter(filter: Filter, labels: Collection[str]) -> str:
    """Compiles a filter to a SQL predicate.

    Args:
        filter: the filter. A name that isn't a column is a label.
        labels: names of the labels in the index.

    Raises:
        UnknownColumn: a name is neither a column nor a label.
        InvalidArgument: a value doesn't have the form of `FilterValue`.
    """
    return " AND ".join(_predicate(name, value, labels) for name, value in sorted(filter.items()))


def cache_key(filter: Filter) -> str:
    """Returns a string that is equal for equal filters."""
    return json.dumps(filter, sort_keys=True, default=list)


def _predicate(name: str, value: FilterValue, labels: Collection[str]) -> str:
    if name in COLUMNS:
        if isinstance(value, str):
            return f"{name} = {_quoted(value)}"
        if isinstance(value, Mapping):
            return f"starts_with({name}, {_quoted(_prefix(name, value))})"
        return f"{name} IN ({_all_quoted(name, value)})"
    if name not in labels:
        known = ", ".join([*COLUMNS, *sorted(labels)])
        raise UnknownColumn(f"The index has no column or label {name!r} to filter by. Columns and labels: {known}.")
    if isinstance(value, Mapping):
        raise InvalidArgument(f"Labels have no prefix filter. Give {name!r} a value or a list of values.")
    values = [value] if isinstance(value, str) else value
    return f"array_has_any(labels, [{_all_quoted(name, [f'{name}={item}' for item in values])}])"


def _prefix(name: str, value: Mapping[str, str]) -> str:
    if set(value) != {"prefix"} or not isinstance(value["prefix"], str):
        raise InvalidArgument(f'The filter on {name!r} must be a value, a list of values or {{"prefix": "..."}}.')
    return value["prefix"]


def _all_quoted(name: str, values: Sequence[str]) -> str:
    if not values or not all(isinstance(item, str) for item in values):
        raise InvalidArgument(f"The filter on {name!r} needs a list of one or more strings.")
    return ", ".join(_quoted(item) for item in values)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
