"""Profiles of tables: statistics of each column, computed by SQL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from lakehouse.writes import quoted

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 200
"""Number of columns that a profile describes."""

_BINS = 20
_TOP = 10
_TOP_COLUMNS = 40
_MAX_DISTINCT = 1_000
"""Number of distinct values up to which the most frequent ones are counted."""
_MAX_CHARACTERS = 200


class _Sort(Enum):
    """The statistics that a type of column has."""

    NUMBER = auto()
    ORDERED = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """Statistics of a column."""

    name: str
    type: str
    nulls: int
    distinct: int | None
    """Approximate number of distinct values; `None` for nested and binary columns."""
    minimum: str | None = None
    maximum: str | None = None
    mean: float | None = None
    standard_deviation: float | None = None
    quartiles: tuple[float, ...] = ()
    """25, 50, and 75 percent quantiles of finite numbers."""
    not_finite: int = 0
    """Number of NaN and infinite values."""
    histogram: tuple[tuple[float, int], ...] = ()
    """Upper bound and number of values of each bin, of equal width."""
    top: tuple[tuple[str, int], ...] = ()
    """Most frequent values with their number, for columns with few distinct ones."""
    top_counted: bool = False
    """Whether the most frequent values were counted."""


def statistics_statement(table: str, schema: pa.Schema) -> str:
    """Returns the statement that computes the statistics of all columns in one row."""
    selected = ["count(*) AS n"]
    for number, column in enumerate(schema):
        name, sort = quoted(column.name), _sort(column.type)
        selected.append(f"count({name}) AS n{number}")
        if sort is _Sort.OTHER:
            continue
        selected.append(f"approx_count_distinct({name}) AS d{number}")
        value = _finite(name, column.type) if sort is _Sort.NUMBER else name
        selected += [
            f"left(CAST({bound}({value}) AS VARCHAR), {_MAX_CHARACTERS}) AS {bound}{number}" for bound in ("min", "max")
        ]
        if sort is _Sort.NUMBER:
            number_value = f"CAST({value} AS DOUBLE)"
            selected += [
                f"count({value}) AS f{number}",
                f"avg({number_value}) AS mean{number}",
                f"stddev_samp({number_value}) AS sd{number}",
                f"quantile_cont({number_value}, [0.25, 0.5, 0.75]) AS q{number}",
                f"min({number_value}) AS low{number}",
                f"max({number_value}) AS high{number}",
            ]
    return f"SELECT {', '.join(selected)} FROM {table}"  # noqa: S608 - names are quoted, and the statement is checked


def distribution_statement(table: str, schema: pa.Schema, row: Mapping[str, Any]) -> str | None:
    """Returns the statement of the histograms and most frequent values, from the row of statistics.

    Its rows have the number of a column, a value or the upper bound of a bin as text, and a count. `None` if no column
    has either.
    """
    parts = []
    for number, column in enumerate(schema):
        name, sort = quoted(column.name), _sort(column.type)
        bounds = _bounds(row.get(f"low{number}"), row.get(f"high{number}")) if sort is _Sort.NUMBER else ()
        if bounds:
            value = f"CAST({_finite(name, column.type)} AS DOUBLE)"
            counts = [f"count_if({value} <= CAST('{bound!r}' AS DOUBLE))" for bound in bounds[:-1]]
            listed = ", ".join([*counts, f"count({value})"])
            parts.append(f"SELECT {number} AS i, 'bins' AS v, [{listed}] AS c FROM {table}")  # noqa: S608 - as above
    frequent = [
        (number, quoted(column.name))
        for number, column in enumerate(schema)
        if 0 < (row.get(f"d{number}") or 0) <= _MAX_DISTINCT and _sort(column.type) is not _Sort.OTHER
    ]
    for number, name in frequent[:_TOP_COLUMNS]:
        text = f"left(CAST({name} AS VARCHAR), {_MAX_CHARACTERS})"
        parts.append(
            f"SELECT i, v, c FROM (SELECT {number} AS i, {text} AS v, [count(*)] AS c FROM {table} "  # noqa: S608
            f"WHERE {name} IS NOT NULL GROUP BY {name} ORDER BY count(*) DESC, v LIMIT {_TOP})"
        )
    return " UNION ALL ".join(parts) or None


def profiles(
    schema: pa.Schema, row: Mapping[str, Any], distributions: Sequence[Mapping[str, Any]]
) -> list[ColumnProfile]:
    """Returns the profiles of the columns from the results of both statements."""
    bins: dict[int, list[int]] = {}
    top: dict[int, list[tuple[str, int]]] = {}
    for one in distributions:
        if one["v"] == "bins" and len(one["c"]) > 1:
            bins[one["i"]] = one["c"]
        else:
            top.setdefault(one["i"], []).append((one["v"], one["c"][0]))
    found = []
    for number, column in enumerate(schema):
        numeric = _sort(column.type) is _Sort.NUMBER
        bounds = _bounds(row.get(f"low{number}"), row.get(f"high{number}")) if numeric else ()
        cumulated = bins.get(number, [])
        counts = [count - before for count, before in zip(cumulated, [0, *cumulated], strict=False)]
        found.append(
            ColumnProfile(
                name=column.name,
                type=str(column.type),
                nulls=row["n"] - row[f"n{number}"],
                distinct=row.get(f"d{number}"),
                minimum=row.get(f"min{number}"),
                maximum=row.get(f"max{number}"),
                mean=row.get(f"mean{number}"),
                standard_deviation=row.get(f"sd{number}"),
                quartiles=tuple(row.get(f"q{number}") or ()),
                not_finite=row[f"n{number}"] - row[f"f{number}"] if numeric else 0,
                histogram=tuple(zip(bounds, counts, strict=True)) if cumulated else (),
                top=tuple(top.get(number, ())),
                top_counted=number in top,
            )
        )
    return found


def _bounds(low: float | None, high: float | None) -> tuple[float, ...]:
    """Returns the upper bounds of bins of equal width; none if all values are equal or too far apart."""
    if low is None or high is None or not low < high or not math.isfinite(high - low):
        return ()
    width = (high - low) / _BINS
    bounds = (*(low + width * n for n in range(1, _BINS)), high)
    return bounds if len(set(bounds)) == _BINS else ()


def _finite(name: str, type: pa.DataType) -> str:
    import pyarrow as pa

    return f"CASE WHEN isfinite({name}) THEN {name} END" if pa.types.is_floating(type) else name


def _sort(type: pa.DataType) -> _Sort:
    import pyarrow.types as types

    if types.is_integer(type) or types.is_floating(type) or types.is_decimal(type):
        return _Sort.NUMBER
    if types.is_boolean(type) or types.is_temporal(type) or types.is_string(type) or types.is_large_string(type):
        return _Sort.ORDERED
    return _Sort.OTHER
