"""Rows as Python values, for JSON and terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def python_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Returns one dictionary for each row. The values are those of `python_values`."""
    columns = [python_values(column) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """Returns the values of a column.

    Python's dates have the years 1 to 9999. If a column contains other years, its dates and instants are text, such as
    `-0001-11-28` and `10000-01-01`.
    """
    import pyarrow as pa

    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError, pa.ArrowInvalid):
        return column.cast(_with_text_dates(column.type)).to_pylist()  # type: ignore[no-any-return]


def _with_text_dates(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    types = pa.types
    if types.is_temporal(kind) and not types.is_interval(kind):
        return pa.string()
    if types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_with_text_dates(kind.value_type)))
    if types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_with_text_dates(kind.value_type)))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_with_text_dates(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(
            kind.key_field.with_type(_with_text_dates(kind.key_type)),
            kind.item_field.with_type(_with_text_dates(kind.item_type)),
        )
    return kind
