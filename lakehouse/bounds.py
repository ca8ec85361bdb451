"""Bounds of columns in file statistics. A bound is used only if it's right for every known writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

_CUT_LENGTH = 32
"""Number of characters from which a writer may have cut off a text, possibly without rounding up."""

_MILLISECOND = 1000
"""Possible error of an instant in microseconds: statistics contain milliseconds, rounded up or down."""

_EXACT_DIGITS = 15
"""Number of digits of a decimal that stay exact if a writer or reader converts JSON numbers to floats."""

_MAX_INSTANT = 2**63 - 1 - _MILLISECOND


def file_conditions(actions: pa.Table, schema: pa.Schema) -> list[list[ds.Expression]]:
    """Returns conditions that all rows of a file meet, for each file.

    A file without a null count may contain nulls. Bounds that contradict each other aren't used.

    Args:
        actions: the files of a version, as delta-rs lists them.
        schema: the table's schema with the column names of the statistics.
    """
    conditions: list[list[ds.Expression]] = [[] for _ in range(actions.num_rows)]
    nulls, bounds = _by_name(actions, "null_count"), _trusted_bounds(actions, schema)
    rows = actions["num_records"].to_pylist() if "num_records" in actions.column_names else [None] * len(conditions)
    for field in schema:
        null_counts = nulls[field.name].to_pylist() if field.name in nulls else [None] * len(conditions)
        low, high = bounds.get(field.name, (None, None))
        _add_conditions(conditions, field.name, low, high, null_counts, rows)
    return conditions


def with_trusted_bounds(actions: pa.Table, schema: pa.Schema) -> pa.Table:
    """Returns the list of files with only those bounds that can be trusted."""
    import pyarrow as pa

    bounds = _trusted_bounds(actions, schema)
    trusted = actions.select([name for name in actions.column_names if name not in ("min", "max")])
    for position, part in enumerate(("min", "max")):
        arrays = [pair[position] for pair in bounds.values()]
        if arrays:
            trusted = trusted.append_column(part, pa.StructArray.from_arrays(arrays, list(bounds)))
    return trusted


def _trusted_bounds(actions: pa.Table, schema: pa.Schema) -> dict[str, tuple[pa.Array, pa.Array]]:
    lows, highs = _by_name(actions, "min"), _by_name(actions, "max")
    pairs = {
        field.name: _bounds(lows[field.name], highs[field.name], field.type)
        for field in schema
        if field.name in lows and field.name in highs
    }
    return {name: pair for name, pair in pairs.items() if pair is not None}


def _add_conditions(
    conditions: list[list[ds.Expression]],
    name: str,
    low: pa.Array | None,
    high: pa.Array | None,
    null_counts: list[int | None],
    rows: list[int | None],
) -> None:
    import pyarrow.dataset as ds

    column = ds.field(name)
    null = column.is_null()
    for number, count in enumerate(null_counts):
        if not isinstance(count, int | None):  # a nested column has a count for each field
            return
        if count and count == rows[number]:
            conditions[number].append(null)
            continue
        minimum = low[number] if low is not None and low[number].is_valid else None
        maximum = high[number] if high is not None and high[number].is_valid else None
        if minimum is None and maximum is None:
            continue
        if minimum is None or maximum is None:
            condition = column <= maximum if minimum is None else column >= minimum
        else:
            condition = (column >= minimum) & (column <= maximum)
        conditions[number].append(condition if count == 0 else condition | null)


def _by_name(actions: pa.Table, part: str) -> dict[str, pa.Array]:
    import pyarrow as pa

    if part not in actions.column_names:
        return {}
    column = actions[part].combine_chunks()
    kind = column.type
    return dict(zip([kind.field(n).name for n in range(kind.num_fields)], pa.StructArray.flatten(column), strict=True))


def _bounds(low: pa.Array, high: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Array] | None:
    import pyarrow as pa
    import pyarrow.compute as pc

    types = pa.types
    if low.type != kind or high.type != kind:
        return None
    if types.is_timestamp(kind):
        low, high = _shifted(low, -_MILLISECOND), _shifted(high, _MILLISECOND)
    elif types.is_string(kind):
        high = pc.if_else(pc.less(pc.utf8_length(high), _CUT_LENGTH), high, None)
    elif types.is_floating(kind):
        low, high = (pc.if_else(pc.is_nan(bound), None, bound) for bound in (low, high))
    elif types.is_decimal(kind):
        if kind.precision > _EXACT_DIGITS:
            return None
    elif not (types.is_integer(kind) or types.is_date32(kind)):
        return None
    consistent = pc.fill_null(pc.less_equal(low, high), fill_value=True)
    return pc.if_else(consistent, low, None), pc.if_else(consistent, high, None)


def _shifted(bound: pa.Array, by: int) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    number = bound.cast(pa.int64())
    within = pc.and_(pc.less(number, _MAX_INSTANT), pc.greater(number, -_MAX_INSTANT))
    return pc.add(pc.if_else(within, number, None), by).cast(bound.type)
