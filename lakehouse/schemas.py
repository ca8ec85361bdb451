"""Fitting data to a table's schema: explicit evolution only, and errors that name the columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, Union

from core.errors import SchemaMismatch, UnknownColumn

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TableData: TypeAlias = Union["pa.Table", "pa.RecordBatchReader", "pl.DataFrame", "pl.LazyFrame"]
Prepared: TypeAlias = Union["pa.Table", "pa.RecordBatchReader"]


def to_arrow(data: TableData) -> Prepared:
    """The data as Arrow, without a copy where possible; a lazy frame is computed."""
    import polars as pl
    import pyarrow as pa

    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    return pa.table(data) if isinstance(data, pl.DataFrame) else data


def storable(data: Prepared, table: str) -> Prepared:
    """Widens types Delta lacks (unsigned integers, half floats) so that no value is lost.

    Raises:
        SchemaMismatch: a type cannot be stored at all, or a 64-bit unsigned value exceeds the signed range.
    """
    import pyarrow as pa

    schema = data.schema
    if not schema.names or any(not name for name in schema.names):
        raise SchemaMismatch(f"Data for {table} needs columns, each with a name.")
    if repeated := sorted(_repeated(schema.names)):
        raise SchemaMismatch(
            f"Columns occur twice in the data for {table} (Delta ignores case in names): {', '.join(repeated)}.",
            errors=[{"pointer": f"/{name}", "detail": "occurs twice"} for name in repeated],
        )
    wrong = [f"{field.name} ({field.type})" for field in schema if _unstorable(field.type)]
    if wrong:
        raise SchemaMismatch(
            f"{table} cannot store columns {', '.join(wrong)}: Delta has no such type. Convert times of day and "
            "durations to integers or strings, and give empty columns a type.",
            errors=[{"pointer": f"/{name.split(' ')[0]}", "detail": "no such type in Delta"} for name in wrong],
        )
    target = pa.schema([field.with_type(_widened(field.type)) for field in schema])
    return data if target.equals(schema) else _cast(data, target, table)


def conform(data: Prepared, target: pa.Schema, table: str, *, evolve: bool) -> Prepared:
    """Orders columns as the table has them and checks names and types.

    With `evolve`, columns may be new or missing; a type may never change.

    Raises:
        SchemaMismatch: names every column that does not fit, and what was expected.
    """
    data = storable(data, table) if not _has_nulls(data.schema) else _typed_nulls(data, target, table)
    source = data.schema
    problems: list[tuple[str, str]] = []
    if not evolve:
        problems += [(name, "is not a column of the table") for name in source.names if name not in target.names]
        problems += [(name, "is missing in the data") for name in target.names if name not in source.names]
    for field in source:
        if field.name in target.names and not _fits(field.type, target.field(field.name).type):
            problems.append((field.name, f"is {field.type} in the data and {target.field(field.name).type} there"))
    if problems:
        hint = "" if evolve else " To add columns, write with evolve_schema or use add_columns."
        raise SchemaMismatch(
            f"The data does not fit {table}: {'; '.join(f'{name} {what}' for name, what in problems)}.{hint}",
            errors=[{"pointer": f"/{name}", "detail": what} for name, what in problems],
            metadata={"table": table, "columns": [name for name, _ in problems]},
        )
    names = [name for name in target.names if name in source.names]
    names += [name for name in source.names if name not in target.names]
    return data if names == source.names else _select(data, names)


def plain(data: pa.Table) -> pa.Table:
    """The same rows with the Arrow types a table's schema shows (engines spell strings and lists differently)."""
    import pyarrow as pa

    return data.cast(pa.schema([field.with_type(_canonical(field.type)) for field in data.schema]))


def require_columns(table: str, existing: list[str], wanted: list[str]) -> None:
    """Checks that columns exist.

    Raises:
        UnknownColumn: names the first unknown column and those that exist.
    """
    for name in wanted:
        if name not in existing:
            raise UnknownColumn(
                f"{table} has no column {name}; it has {', '.join(existing)}.",
                metadata={"table": table, "column": name, "existing": existing},
            )


def _repeated(names: list[str]) -> set[str]:
    lowered = [name.lower() for name in names]
    return {name for name in names if lowered.count(name.lower()) > 1}


def _has_nulls(schema: pa.Schema) -> bool:
    import pyarrow as pa

    return any(_contains(field.type, pa.types.is_null) for field in schema)


def _typed_nulls(data: Prepared, target: pa.Schema, table: str) -> Prepared:
    import pyarrow as pa

    # A column without a single value has no type of its own: it takes the table's.
    fields = [
        target.field(field.name).with_nullable(True)
        if _contains(field.type, pa.types.is_null) and field.name in target.names
        else field
        for field in data.schema
    ]
    return storable(_cast(data, pa.schema(fields), table), table)


def _cast(data: Prepared, target: pa.Schema, table: str) -> Prepared:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        try:
            return data.cast(target)
        except pa.ArrowInvalid as error:
            raise SchemaMismatch(f"A value is too large for its column in {table}: {error}") from error
    batches = (pa.RecordBatch.from_arrays(_cast_columns(batch, target), schema=target) for batch in data)
    return pa.RecordBatchReader.from_batches(target, batches)


def _cast_columns(batch: pa.RecordBatch, target: pa.Schema) -> list[pa.Array]:
    return [column.cast(field.type) for column, field in zip(batch.columns, target, strict=True)]


def _select(data: Prepared, names: list[str]) -> Prepared:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data.select(names)
    schema = pa.schema([data.schema.field(name) for name in names])
    return pa.RecordBatchReader.from_batches(schema, (batch.select(names) for batch in data))


def _widened(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    wider = {
        pa.uint8(): pa.int16(),
        pa.uint16(): pa.int32(),
        pa.uint32(): pa.int64(),
        pa.uint64(): pa.int64(),
        pa.float16(): pa.float32(),
    }
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_widened(kind.value_type)))
    if pa.types.is_large_list(kind):
        return pa.large_list(kind.value_field.with_type(_widened(kind.value_type)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_widened(field.type)) for field in kind])
    return wider.get(kind, kind)


def _unstorable(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return any(_contains(kind, test) for test in (types.is_time, types.is_duration, types.is_interval, types.is_null))


def _contains(kind: pa.DataType, test: Callable[[pa.DataType], bool]) -> bool:
    """Whether a type, or one nested in it, passes a test."""
    return test(kind) or any(_contains(kind.field(number).type, test) for number in range(kind.num_fields))


def _fits(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether every value of `source` is a value of `target`."""
    import pyarrow as pa

    source, target = _canonical(source), _canonical(target)
    if source == target:
        return True
    types = pa.types
    if types.is_signed_integer(source) and types.is_signed_integer(target):
        return bool(source.bit_width <= target.bit_width)
    if types.is_floating(source) and types.is_floating(target):
        return bool(source.bit_width <= target.bit_width)
    if types.is_decimal(source) and types.is_decimal(target):
        return bool(source.scale == target.scale and source.precision <= target.precision)
    if types.is_list(source) and types.is_list(target):
        return _fits(source.value_type, target.value_type)
    if types.is_struct(source) and types.is_struct(target):
        ours, theirs = {f.name: f.type for f in source}, {f.name: f.type for f in target}
        return ours.keys() == theirs.keys() and all(_fits(kind, theirs[name]) for name, kind in ours.items())
    if types.is_map(source) and types.is_map(target):
        return _fits(source.key_type, target.key_type) and _fits(source.item_type, target.item_type)
    return False


def _canonical(kind: pa.DataType) -> pa.DataType:
    """One spelling per Delta type: Arrow has several layouts of strings, lists and instants."""
    import pyarrow as pa

    types = pa.types
    if types.is_dictionary(kind):
        return _canonical(kind.value_type)
    if types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_timestamp(kind):
        return pa.timestamp("us", tz="UTC" if kind.tz else None)
    if types.is_date64(kind):
        return pa.date32()
    if types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(kind.value_type)
    return kind
