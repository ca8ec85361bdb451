"""What a write does to a Delta table: create, append, overwrite, merge, delete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from core.errors import ConstraintViolated, InvalidArgument
from lakehouse import parts
from lakehouse.schemas import Prepared, conform, require_columns, storable

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
    from pyarrow.fs import SubTreeFileSystem

DEFAULT_PROPERTIES = {
    "delta.enableChangeDataFeed": "true",
    # Opening and every commit replay the log from the last checkpoint: a near one keeps both fast (measured: 5 to 20).
    "delta.checkpointInterval": "10",
    # Log clean-up is the vacuum's, which knows the pins.
    "delta.enableExpiredLogCleanup": "false",
}


@cache
def hooks() -> PostCommitHookProperties:
    """Checkpoints after a commit as the table says, but never a clean-up of the log."""
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


def schema_of(delta: DeltaTable) -> pa.Schema:
    """Arrow schema of a table."""
    import pyarrow as pa

    return pa.schema(delta.schema().to_arrow())


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
    """Makes an empty table."""
    from deltalake import DeltaTable

    schema = storable(schema.empty_table(), table).schema
    require_columns(table, schema.names, list(partition_by))
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
    """Makes a table that holds `data`, in one commit."""
    from deltalake import write_deltalake

    data = storable(data, table)
    require_columns(table, data.schema.names, list(partition_by))
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
    """Adds rows. With `files`, the file system of the table, a small append is written by ourselves."""
    schema = schema_of(delta)
    data = conform(data, schema, table, evolve=evolve)
    if files is not None and parts.fits(delta, data, schema):
        parts.append(delta, data, schema, files, properties, hooks())
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
    """Replaces all rows, or those that match `where`."""
    if where is None and evolve:
        data = storable(data, table)
        kept = [name for name in delta.metadata().partition_columns if name in data.schema.names]
        columns = list(partition_by) or kept
        _write(delta, data, properties, mode="overwrite", schema_mode="overwrite", partition_by=columns)
        return
    if partition_by and list(partition_by) != list(delta.metadata().partition_columns):
        raise InvalidArgument(
            f"{table} is partitioned by {list(delta.metadata().partition_columns)}; to partition it by "
            f"{list(partition_by)}, overwrite it wholly with evolve_schema."
        )
    _write(
        delta,
        conform(data, schema_of(delta), table, evolve=evolve),
        properties,
        mode="overwrite",
        where=where,
        evolve=evolve,
    )


def merge(
    table: str,
    delta: DeltaTable,
    data: Prepared,
    properties: CommitProperties,
    *,
    on: Sequence[str],
    delete_missing: bool,
    evolve: bool,
) -> None:
    """Updates rows whose key exists, inserts the others, and with `delete_missing` deletes rows the data lacks."""
    schema = schema_of(delta)
    if not on:
        raise InvalidArgument(f"Merging into {table} needs at least one key column in `on`.")
    require_columns(table, schema.names, list(on))
    data = conform(data, schema, table, evolve=evolve)
    condition = " AND ".join(f"target.{_quoted(name)} = source.{_quoted(name)}" for name in on)
    merger = delta.merge(
        data,
        condition,
        source_alias="source",
        target_alias="target",
        merge_schema=evolve,
        commit_properties=properties,
        post_commithook_properties=hooks(),
    )
    merger = merger.when_matched_update_all().when_not_matched_insert_all()
    if delete_missing:
        merger = merger.when_not_matched_by_source_delete()
    merger.execute()


def delete(delta: DeltaTable, where: str, properties: CommitProperties) -> None:
    """Deletes the rows that match `where`."""
    delta.delete(where, commit_properties=properties, post_commithook_properties=hooks())


def blame(table: str, error: ConstraintViolated, delta: DeltaTable, data: Prepared, where: str | None) -> Exception:
    """Names the constraint that rows break; delta-rs shows the rows only."""
    configuration = delta.metadata().configuration
    prefix = "delta.constraints."
    rules = {k.removeprefix(prefix): v for k, v in configuration.items() if k.startswith(prefix)}
    rules |= {f.name: f"{_quoted(f.name)} IS NOT NULL" for f in schema_of(delta) if not f.nullable}
    if where is not None:
        rules["where"] = where
    broken = _broken(data, rules)
    names = broken or dict.fromkeys(rules, -1)
    said = "; ".join(
        f"{name} ({rules[name]})" + (f" by {count} rows" if count > 0 else "") for name, count in names.items()
    )
    hint = " Every row of an overwrite with `where` must match it." if "where" in names else " Nothing was written."
    return ConstraintViolated(
        f"Rows break {'a constraint' if len(names) == 1 else 'constraints'} of {table}: {said}.{hint}",
        errors=[{"pointer": f"/{name}", "detail": f"{rules[name]} does not hold"} for name in names],
        metadata={"table": table, "constraints": list(names)} | error.metadata,
    )


def _broken(data: Prepared, rules: Mapping[str, str]) -> dict[str, int]:
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

    # Without a condition the argument must be absent, and the overloads do not tell the modes apart.
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


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
