"""Reading of Parquet files. Every value stays exact in the types of Delta, or the file is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument, SchemaMismatch
from lakehouse.files.casting import Faults, add_faults, no_rows, without_faults
from lakehouse.files.rows import LINE, Column, Parsed, Rejected

if TYPE_CHECKING:
    import pyarrow as pa

_YEAR_10000_US = 253_402_300_800_000_000
_YEAR_1_US = -62_135_596_800_000_000
_DAY_US = 86_400_000_000


def read_parquet(content: bytes, address: str) -> pa.Table:
    """Reads a Parquet file.

    Dictionaries are decoded, unsigned integers become wider signed ones, and timestamps have microseconds.

    Raises:
        SchemaMismatch: the file isn't a Parquet file, is damaged or encrypted, has a column of a type that Delta
            doesn't support, or has a value that the stored type would change.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        table = file.read()
        int96_columns = _int96_columns(file)
        if int96_columns:
            table = _with_int96(content, table, int96_columns)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SchemaMismatch(f"{address} can't be read as Parquet: {str(error).strip().splitlines()[0]}") from error
    if not table.column_names:
        raise SchemaMismatch(f"{address} has no columns.")
    if len(set(table.column_names)) < len(table.column_names):
        repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
        raise SchemaMismatch(f"{address} has several columns named {', '.join(repeated)}. Rename them.")
    arrays = [_as_stored(table.column(name), f"{address}: column {name}") for name in table.column_names]
    return pa.table(arrays, names=table.column_names)


def parse_parquet(content: bytes, address: str, columns: Sequence[Column]) -> Parsed:
    """Reads a Parquet file that must have exactly the declared columns. `_line` is the number of the row.

    A file with other columns is rejected as one line. A row with a missing value, or a value out of bounds, is rejected
    as JSON.

    Raises:
        InvalidArgument: two columns have the same name.
    """
    import polars as pl

    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise InvalidArgument("Two declared columns have the same name. Rename one of them.")
    try:
        table = read_parquet(content, address)
        table = _declared(table, columns)
    except SchemaMismatch as error:
        return no_rows(columns, [Rejected(1, content, str(error))])
    rows: Any = pl.from_arrow(table)
    rows = rows.with_columns(pl.Series(LINE, range(1, table.num_rows + 1), dtype=pl.Int64))

    def reject(index: int, reason: str) -> Rejected:
        row = json.dumps(rows.row(index, named=True), default=str, ensure_ascii=False)
        return Rejected(index + 1, row.encode(), reason)

    faults: Faults = {}
    for column in columns:
        add_faults(faults, column, rows[column.name], rows[column.name])
    return without_faults(rows, [], faults, reject)


def _int96_columns(file: Any) -> list[str]:
    schema = file.metadata.schema
    return [schema.column(n).path for n in range(len(schema)) if schema.column(n).physical_type == "INT96"]


def _with_int96(content: bytes, table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Replaces INT96 columns with timestamps in microseconds.

    Arrow reads INT96 as nanoseconds, which overflow outside of the years 1678 to 2261, or as microseconds, which
    truncates. The comparison of both shows whether a value has nanoseconds.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    coarse = pq.ParquetFile(pa.BufferReader(content), coerce_int96_timestamp_unit="us").read()
    for name in names:
        if "." in name:
            raise SchemaMismatch(
                f"The nested column {name} has the old timestamp type INT96, which is only supported in top-level "
                "columns. Write it with another timestamp type."
            )
        index = table.column_names.index(name)
        micros, nanos = (part.column(index).cast(pa.int64()) for part in (coarse, table))
        limit = 2**63 // 1000
        representable = pc.and_(pc.greater(micros, -limit), pc.less(micros, limit))
        remainder = pc.subtract(nanos, pc.multiply(pc.if_else(representable, micros, 0), 1000))
        if pc.any(pc.and_(representable, pc.not_equal(remainder, 0))).as_py():
            raise SchemaMismatch(
                f"Column {name} has timestamps with nanoseconds, which Delta doesn't support. Round them to "
                "microseconds."
            )
        # Spark and Impala write INT96 as instants in UTC.
        table = table.set_column(index, name, coarse.column(index))
    return table


def _as_stored(values: pa.ChunkedArray, column: str) -> pa.ChunkedArray:
    import pyarrow as pa

    target = _target(values.type)
    try:
        converted = values if target == values.type else values.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(f"{column} ({values.type}) can't be stored as {target}: {error}") from error
    _check_years(converted, column)
    return converted


def _target(kind: pa.DataType) -> pa.DataType:
    """Returns the type that a column is stored as. A safe cast to it keeps every value exactly or raises an error."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _target(kind.value_type)
    if types.is_unsigned_integer(kind):
        return {8: pa.int16(), 16: pa.int32()}.get(kind.bit_width, pa.int64())
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_date64(kind):
        return pa.date32()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_fixed_size_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_struct(kind):
        return pa.struct([field.with_type(_target(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(_target(kind.key_type), _target(kind.item_type))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_target(kind.value_type))
    return kind


def _check_years(values: pa.ChunkedArray, column: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(values.type):
        low, high, numbers = _YEAR_1_US, _YEAR_10000_US, values.cast(pa.int64())
    elif pa.types.is_date32(values.type):
        low, high, numbers = _YEAR_1_US // _DAY_US, _YEAR_10000_US // _DAY_US, values.cast(pa.int32())
    else:
        return
    outside = pc.or_(pc.less(numbers, low), pc.greater_equal(numbers, high))
    if pc.any(outside).as_py():
        raise SchemaMismatch(f"{column} has a year outside of 1 to 9999.")


def _declared(table: pa.Table, columns: Sequence[Column]) -> pa.Table:
    import pyarrow as pa

    names = [column.name for column in columns]
    missing = [name for name in names if name not in table.column_names]
    extra = [name for name in table.column_names if name not in names]
    if missing or extra:
        parts = [f"the file lacks {', '.join(missing)}"] * bool(missing)
        parts += [f"the file has undeclared columns {', '.join(extra)}"] * bool(extra)
        raise SchemaMismatch("; ".join(parts))
    arrays = []
    for column in columns:
        values = table.column(column.name)
        if not _is_convertible(values.type, column):
            raise SchemaMismatch(f"column {column.name} is {values.type} in the file, not {column.type}")
        try:
            arrays.append(values.cast(_arrow_type(column)))
        except pa.ArrowInvalid as error:
            raise SchemaMismatch(f"column {column.name}: {error}") from error
    return pa.table(arrays, names=names)


def _arrow_type(column: Column) -> pa.DataType:
    import pyarrow as pa

    types = {"float64": pa.float64(), "date": pa.date32(), "timestamp": pa.timestamp("us", "UTC"), "bool": pa.bool_()}
    return types.get(column.type) or pa.type_for_alias(column.type)


def _is_convertible(kind: pa.DataType, column: Column) -> bool:
    import pyarrow as pa

    types = pa.types
    if column.type in ("int32", "int64"):
        return bool(types.is_integer(kind))
    if column.type == "float64":
        return bool(types.is_floating(kind) or types.is_integer(kind))
    if column.type == "timestamp":
        return bool(types.is_timestamp(kind) and kind.tz is not None)
    return bool(kind == _arrow_type(column))
