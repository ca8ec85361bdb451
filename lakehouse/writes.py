"""Writes through delta-rs: create, append, overwrite, and delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from core.errors import ConstraintViolated, InvalidArgument
from lakehouse import small_appends
from lakehouse.content import MAX_BYTES, digest
from lakehouse.features import arrow_schema
from lakehouse.partitions import require_partitionable
from lakehouse.schemas import Prepared, conform, require_columns, storable

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
    from pyarrow.fs import SubTreeFileSystem

DEFAULT_PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    # Opening and every commit replay the log from the last checkpoint. Measured optimum: 5 to 20.
    "delta.checkpointInterval": "10",
    # A vacuum cleans up the log, because it considers the pins.
    "delta.enableExpiredLogCleanup": "false",
}


@cache
def hooks() -> PostCommitHookProperties:
    """Returns the hooks after a commit: checkpoints as configured in the table, but no cleanup of the log."""
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def schema_of(delta: DeltaTable) -> pa.Schema:
    """Returns the Arrow schema of a table."""
    return arrow_schema(delta)


def create(
    uri: str,
    table: str,
    schema: pa.Schema,
    properties: CommitProperties,
    *,
    partition_by: Sequence[str],
    description: str,
    configuration: Mapping[str, str],
    options: dict[str, str] | None,
) -> None:
    """Creates an empty table."""
    from deltalake import DeltaTable

    schema = storable(schema.empty_table(), table).schema
    require_columns(table, schema.names, list(partition_by))
    require_partitionable(schema.empty_table(), partition_by, table)
    DeltaTable.create(
        uri,
        schema,
        mode="error",
        partition_by=list(partition_by),
        description=description or None,
        configuration=DEFAULT_PROPERTIES | dict(configuration),
        storage_options=options,
        commit_properties=properties,
        post_commithook_properties=hooks(),
        raise_if_key_not_exists=False,
    )


def create_with(
    uri: str,
    table: str,
    data: Prepared,
    properties: CommitProperties,
    *,
    partition_by: Sequence[str],
    options: dict[str, str] | None,
    description: str = "",
    configuration: Mapping[str, str] = {},
) -> None:
    """Creates a table that contains `data`, in one commit."""
    from deltalake import write_deltalake

    data = storable(data, table)
    require_columns(table, data.schema.names, list(partition_by))
    data = require_partitionable(data, partition_by, table)
    write_deltalake(
        uri,
        data,
        mode="error",
        partition_by=list(partition_by) or None,
        description=description or None,
        configuration=DEFAULT_PROPERTIES | dict(configuration),
        storage_options=options,
        commit_properties=properties,
        post_commithook_properties=hooks(),
    )


def append(
    table: str,
    delta: DeltaTable,
    data: Prepared,
    properties: CommitProperties,
    *,
    evolve: bool,
    files: SubTreeFileSystem | None = None,
) -> None:
    """Adds rows. If there are none, nothing is committed.

    With `files`, the file system of the table, small appends don't go through delta-rs's query engine.
    """
    schema = schema_of(delta)
    data = conform(data, schema, table, evolve=evolve)
    if is_empty(data) and set(data.schema.names) <= set(schema.names):
        return
    data = require_partitionable(data, delta.metadata().partition_columns, table)
    if files is not None and small_appends.is_possible(delta, data, schema):
        small_appends.append(delta, data, schema, files, properties, hooks())
    else:
        _write(delta, data, properties, mode="append", evolve=evolve)


def overwrite(
    table: str,
    delta: DeltaTable,
    data: Prepared,
    properties: CommitProperties,
    *,
    where: str | None,
    evolve: bool,
    partition_by: Sequence[str],
) -> None:
    """Replaces all rows, or the rows that match `where`. If the matching rows are the same, nothing is committed."""
    if where is None and evolve:
        data = storable(data, table)
        remaining = [name for name in delta.metadata().partition_columns if name in data.schema.names]
        columns = list(partition_by) or remaining
        data = require_partitionable(data, columns, table)
        _write(delta, data, properties, mode="overwrite", schema_mode="overwrite", partition_by=columns)
        return
    if partition_by and list(partition_by) != list(delta.metadata().partition_columns):
        raise InvalidArgument(
            f"{table} is partitioned by {list(delta.metadata().partition_columns)}. To partition it by "
            f"{list(partition_by)}, replace all rows together with the schema."
        )
    data = conform(data, schema_of(delta), table, evolve=evolve)
    data = require_partitionable(data, delta.metadata().partition_columns, table)
    if where is None or not _has_rows(delta, data, where):
        _write(delta, data, properties, mode="overwrite", where=where, evolve=evolve)


def delete(delta: DeltaTable, where: str, properties: CommitProperties) -> None:
    """Deletes the rows that match `where`."""
    delta.delete(where, commit_properties=properties, post_commithook_properties=hooks())


def is_empty(data: Prepared) -> bool:
    """Returns whether a table has no rows. A reader isn't consumed to determine that."""
    import pyarrow as pa

    return isinstance(data, pa.Table) and not data.num_rows


def _has_rows(delta: DeltaTable, data: Prepared, where: str) -> bool:
    """Returns whether the rows of a table that match a condition are exactly these rows."""
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    schema = schema_of(delta)
    if not isinstance(data, pa.Table) or data.nbytes > MAX_BYTES or data.schema.names != schema.names:
        return False
    try:
        reader = pa.RecordBatchReader.from_stream(delta.scan(predicate=where))
        batches, count = [], 0
        for batch in reader:
            batches.append(batch)
            count += batch.num_rows
            if count > data.num_rows:
                return False
        if count < data.num_rows:
            return False
        current = pa.Table.from_batches(batches, reader.schema).select(schema.names).cast(schema)
    except (DeltaError, pa.ArrowException, OSError, ValueError):  # the write reports an invalid condition
        return False
    current_digest = digest(current)
    return current_digest is not None and current_digest == digest(data.cast(schema))


def explain_violation(
    table: str, error: ConstraintViolated, delta: DeltaTable, data: Prepared, where: str | None
) -> ConstraintViolated:
    """Returns an error that names the constraints that rows violate. delta-rs only reports the rows."""
    configuration = delta.metadata().configuration
    prefix = "delta.constraints."
    rules = {k.removeprefix(prefix): v for k, v in configuration.items() if k.startswith(prefix)}
    rules |= {f.name: f"{quoted(f.name)} IS NOT NULL" for f in schema_of(delta) if not f.nullable}
    if where is not None:
        rules["where"] = where
    names = _violations(data, rules) or dict.fromkeys(rules, -1)
    list_of_rules = "; ".join(
        f"{name} ({rules[name]})" + (f" by {count} rows" if count > 0 else "") for name, count in names.items()
    )
    hint = " Every row of an overwrite with `where` must match it." if "where" in names else " Nothing was written."
    return ConstraintViolated(
        f"Rows violate {'a constraint' if len(names) == 1 else 'constraints'} of {table}: {list_of_rules}.{hint}",
        errors=[{"pointer": f"/{name}", "detail": f"rows violate {rules[name]}"} for name in names],
        metadata={"table": table, "constraints": list(names)} | error.metadata,
    )


def _violations(data: Prepared, rules: Mapping[str, str]) -> dict[str, int]:
    """Returns the number of rows that violate each rule, for rules that DuckDB can evaluate."""
    import duckdb
    import pyarrow as pa

    if not isinstance(data, pa.Table):
        return {}
    counts = {}
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.register("data", data)
        connection.execute("SET enable_external_access = false")
        for name, rule in rules.items():
            try:
                row = connection.execute(f"SELECT count(*) FROM data WHERE NOT ({rule})").fetchone()  # noqa: S608 - the table's own rule
            except duckdb.Error:  # a rule in DataFusion's dialect
                continue
            if row and row[0]:
                counts[name] = int(row[0])
    return counts


def _write(
    delta: DeltaTable,
    data: Prepared,
    properties: CommitProperties,
    *,
    mode: str,
    where: str | None = None,
    evolve: bool = False,
    schema_mode: str | None = None,
    partition_by: list[str] | None = None,
) -> None:
    from deltalake import write_deltalake

    # Without a condition, the argument must be absent.
    write: Any = partial(write_deltalake, predicate=where) if where is not None else write_deltalake
    write(
        delta,
        data,
        mode=mode,
        schema_mode=schema_mode or ("merge" if evolve else None),
        partition_by=partition_by,
        commit_properties=properties,
        post_commithook_properties=hooks(),
    )


def quoted(name: str) -> str:
    """Returns a column name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
