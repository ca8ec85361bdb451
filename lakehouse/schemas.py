"""Conversion of data to the schema of a table, and the errors for data that doesn't match it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias, Union

from core.errors import SchemaMismatch, UnknownColumn
from lakehouse.stored_types import canonical, contains, fits, name_faults, stored, type_faults

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

TableData: TypeAlias = Union["pa.Table", "pa.RecordBatchReader", "pl.DataFrame", "pl.LazyFrame"]
Prepared: TypeAlias = Union["pa.Table", "pa.RecordBatchReader"]

_MAX_DAYS = 95_000_000
"""Maximum distance from 1970 in days that every reader supports (260,000 years)."""


def to_arrow(data: TableData) -> Prepared:
    """Returns the data as Arrow, without a copy if possible. A lazy frame is computed."""
    import polars as pl
    import pyarrow as pa

    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    return pa.table(data) if isinstance(data, pl.DataFrame) else data


def storable(data: Prepared, table: str) -> Prepared:
    """Returns the data in types that Delta supports. Every value stays exact.

    Raises:
        SchemaMismatch: Delta doesn't support the type or the name of a column, or a value doesn't fit the Delta type
            (a large unsigned integer, nanoseconds, a year more than 260,000 years from 1970). The message names the
            columns.
    """
    import pyarrow as pa

    schema = data.schema
    require_storable(schema, table)
    target = pa.schema([field.with_type(stored(field.type)) for field in schema], metadata=schema.metadata)
    return _with_checked_dates(data if target.equals(schema) else _cast(data, target, table), table)


def require_storable(schema: pa.Schema, table: str) -> None:
    """Checks that a table can have these columns.

    Raises:
        SchemaMismatch: the message lists each column whose name or type isn't possible, and says what to do.
    """
    if not schema.names or not all(schema.names):
        raise SchemaMismatch(f"Data for {table} needs columns, each with a name.")
    if faults := name_faults(schema.names):
        reasons = "; ".join(dict.fromkeys(faults.values()))
        repeated = sorted(name for name, fault in faults.items() if "occurs twice" in fault)
        raise SchemaMismatch(
            f"Columns occur twice in the data for {table} (Delta ignores case in names): {', '.join(repeated)}."
            if repeated
            else f"{table} can't have these columns: {reasons}.",
            errors=[{"pointer": f"/{name}", "detail": fault} for name, fault in faults.items()],
        )
    unsupported = {field: list(dict.fromkeys(type_faults(field.type))) for field in schema}
    unsupported = {field: hints for field, hints in unsupported.items() if hints}
    if unsupported:
        columns = ", ".join(f"{field.name} ({field.type})" for field in unsupported)
        advice = "; ".join(dict.fromkeys(hint for hints in unsupported.values() for hint in hints))
        raise SchemaMismatch(
            f"{table} can't store the columns {columns}: Delta doesn't support their types. What to do: {advice}.",
            errors=[
                {"pointer": f"/{field.name}", "detail": f"Delta doesn't support this type: {'; '.join(hints)}"}
                for field, hints in unsupported.items()
            ],
        )


def conform(data: Prepared, target: pa.Schema, table: str, *, evolve: bool) -> Prepared:
    """Returns the data with its columns in the order of the table, after checking names and types.

    With `evolve`, columns may be new or missing. Types may not change.

    Raises:
        SchemaMismatch: the message lists each column that doesn't match the table.
    """
    data = storable(data, table) if not _has_nulls(data.schema) else _typed_nulls(data, target, table)
    source = data.schema
    problems: list[tuple[str, str]] = []
    if not evolve:
        problems += [(name, "is not a column of the table") for name in source.names if name not in target.names]
        problems += [(name, "is missing in the data") for name in target.names if name not in source.names]
    for field in source:
        if field.name in target.names and not fits(field.type, target.field(field.name).type):
            expected = target.field(field.name).type
            problems.append((field.name, f"is {field.type} in the data and {expected} in the table"))
    names_in_table = {name.lower(): name for name in target.names}
    problems += [
        (name, f"differs only by case from {names_in_table[name.lower()]}, a column of the table")
        for name in source.names
        if evolve and name not in target.names and name.lower() in names_in_table
    ]
    if problems:
        list_of_problems = "; ".join(f"{name} {problem}" for name, problem in problems)
        raise SchemaMismatch(
            f"The data doesn't match {table}: {list_of_problems}. Nothing was written. Change the data to match the "
            "table, or write it to another table.",
            errors=[{"pointer": f"/{name}", "detail": problem} for name, problem in problems],
            metadata={"table": table, "columns": [name for name, _ in problems]},
        )
    names = [name for name in target.names if name in source.names]
    names += [name for name in source.names if name not in target.names]
    return data if names == source.names else _select(data, names)


def plain(data: pa.Table) -> pa.Table:
    """Returns the rows with the Arrow types of a table's schema. Engines use other types of strings and lists."""
    import pyarrow as pa

    return data.cast(pa.schema([field.with_type(canonical(field.type)) for field in data.schema]))


def require_columns(table: str, existing: list[str], required: list[str]) -> None:
    """Checks that columns exist.

    Raises:
        UnknownColumn: the message names the first unknown column and lists the existing ones.
    """
    for name in required:
        if name not in existing:
            raise UnknownColumn(
                f"{table} has no column {name}. It has {', '.join(existing)}.",
                metadata={"table": table, "column": name, "existing": existing},
            )


def _has_nulls(schema: pa.Schema) -> bool:
    import pyarrow as pa

    return any(contains(field.type, pa.types.is_null) for field in schema)


def _typed_nulls(data: Prepared, target: pa.Schema, table: str) -> Prepared:
    import pyarrow as pa

    # A column without values has no type, so it gets the type of the table's column.
    fields = [
        target.field(field.name).with_nullable(True)
        if contains(field.type, pa.types.is_null) and field.name in target.names
        else field
        for field in data.schema
    ]
    return storable(_cast(data, pa.schema(fields), table), table)


def _cast(data: Prepared, target: pa.Schema, table: str) -> Prepared:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        columns = [_cast_column(column, field, table) for column, field in zip(data.columns, target, strict=True)]
        return pa.Table.from_arrays(columns, schema=target)
    return pa.RecordBatchReader.from_batches(
        target,
        (
            pa.RecordBatch.from_arrays(
                [_cast_column(column, field, table) for column, field in zip(batch.columns, target, strict=True)],
                schema=target,
            )
            for batch in data
        ),
    )


def _cast_column(column: pa.ChunkedArray | pa.Array, field: pa.Field, table: str) -> pa.ChunkedArray | pa.Array:
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SchemaMismatch(
            f"A value is too large or too precise for its column in {table}: {field.name} is stored as {field.type}, "
            f"and {error}",
            errors=[{"pointer": f"/{field.name}", "detail": str(error)}],
            metadata={"table": table, "columns": [field.name]},
        ) from error


def _with_checked_dates(data: Prepared, table: str) -> Prepared:
    """Checks that file statistics can represent the dates and instants. Streams are checked when they are consumed."""
    import pyarrow as pa

    names = [field.name for field in data.schema if contains(field.type, pa.types.is_temporal)]
    if not names:
        return data
    if isinstance(data, pa.Table):
        _check_dates(data, names, table)
        return data

    def checked_batches() -> Iterator[pa.RecordBatch]:
        for batch in data:
            _check_dates(batch, names, table)
            yield batch

    return pa.RecordBatchReader.from_batches(data.schema, checked_batches())


def _check_dates(data: pa.Table | pa.RecordBatch, names: list[str], table: str) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        for leaf in _leaves(data.column(name)):
            if not pa.types.is_temporal(leaf.type):
                continue
            days = pa.types.is_date32(leaf.type)
            bounds = pc.min_max(leaf.cast(pa.int32() if days else pa.int64()))
            limit = _MAX_DAYS if days else _MAX_DAYS * 86_400_000_000
            if bounds["min"].is_valid and (bounds["min"].as_py() < -limit or bounds["max"].as_py() > limit):
                raise SchemaMismatch(
                    f"A value of {name} is too far from 1970 to be stored in {table}: years must be between -258000 "
                    "and 262000.",
                    errors=[{"pointer": f"/{name}", "detail": "Delta readers don't support this year"}],
                    metadata={"table": table, "columns": [name]},
                )


def _leaves(column: pa.ChunkedArray | pa.Array) -> Iterator[pa.Array]:
    import pyarrow as pa

    for array in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        kind = array.type
        if pa.types.is_struct(kind):
            for part in array.flatten():
                yield from _leaves(part)
        elif pa.types.is_map(kind):
            yield from _leaves(array.keys)
            yield from _leaves(array.items)
        elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
            yield from _leaves(array.flatten())
        else:
            yield array


def _select(data: Prepared, names: list[str]) -> Prepared:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data.select(names)
    schema = pa.schema([data.schema.field(name) for name in names])
    return pa.RecordBatchReader.from_batches(schema, (batch.select(names) for batch in data))
