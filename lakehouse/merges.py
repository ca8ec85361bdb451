"""Merges: updates and inserts by key, unless no row would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import InvalidArgument, InvalidPayload
from lakehouse.content import MAX_BYTES, digest
from lakehouse.partitions import require_partitionable
from lakehouse.schemas import Prepared, conform, require_columns, storable
from lakehouse.writes import hooks, quoted, schema_of

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable

    from lakehouse.snapshot import Snapshot


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
    """Updates rows whose key exists and inserts the others.

    With `delete_missing`, also deletes the rows whose key isn't in the data. A null in a key equals another null, so
    that a merge can be repeated.
    """
    schema = schema_of(delta)
    if not on:
        raise InvalidArgument(f"Merging into {table} needs at least one key column in `on`.")
    require_columns(table, schema.names, list(on))
    data = conform(data, schema, table, evolve=evolve)
    data = require_partitionable(data, delta.metadata().partition_columns, table)
    condition = " AND ".join(_equality(name, data) for name in on)
    merger = delta.merge(
        data,
        condition,
        source_alias="source",
        target_alias="target",
        merge_schema=evolve,
        commit_properties=properties,
        post_commithook_properties=hooks(),
    )
    if any("`" in name for name in data.schema.names):  # delta-rs quotes names with backticks and doesn't escape any
        values = {quoted(name): f"source.{quoted(name)}" for name in data.schema.names}
        merger = merger.when_matched_update(values).when_not_matched_insert(values)
    else:
        merger = merger.when_matched_update_all().when_not_matched_insert_all()
    if delete_missing:
        merger = merger.when_not_matched_by_source_delete()
    merger.execute()


def changes_rows(current: Snapshot, data: Prepared, *, on: Sequence[str], delete_missing: bool, evolve: bool) -> bool:
    """Returns whether a merge would change a row of the table.

    Keys are compared first, so that only the key columns are read if the merge adds or deletes rows. Rows of types
    without an order count as changed, and so do rows that are too large for a digest.

    Args:
        current: the table before the merge.
        data: the rows. Each key occurs once.
        on: key columns.
        delete_missing: whether the merge deletes the rows whose key isn't in the data.
        evolve: whether the merge can add columns.
    """
    import polars as pl
    import pyarrow as pa

    if not isinstance(data, pa.Table) or data.nbytes > MAX_BYTES or not on:
        return True
    if not {*on, *data.schema.names} <= {*current.schema.names}:
        return True
    rows = conform(data, current.schema, current.table, evolve=evolve)
    assert isinstance(rows, pa.Table)
    if rows.num_rows > current.row_count or (delete_missing and rows.num_rows != current.row_count):
        return True
    try:
        source = pl.DataFrame(rows)
        matching = current.scan().join(source.lazy().select(on), on=list(on), how="semi", nulls_equal=True)
        if matching.select(pl.len()).collect().item() != rows.num_rows:
            return True
        target = matching.select(source.columns).collect()
    except pl.exceptions.PolarsError:
        return True
    if target.schema != source.schema:
        return True
    target_digest = digest(target.to_arrow())
    return target_digest is None or target_digest != digest(source.to_arrow())


def keyed(table: str, data: Prepared, on: Sequence[str]) -> pa.Table:
    """Returns the data of a merge as one table, in which each key occurs once.

    Keys that contain nulls, NaNs, or zeros of either sign in the same columns are equal.

    Raises:
        InvalidPayload: several rows have the same key.
    """
    import polars as pl
    import pyarrow as pa

    rows = data if isinstance(data, pa.Table) else data.read_all()
    if on and set(on) <= set(rows.column_names):
        repeated = rows.num_rows - pl.DataFrame(storable(rows.select(list(on)), table)).n_unique()
        if repeated:
            raise InvalidPayload(
                f"Several rows of the data have the same key ({', '.join(on)}), so the result in {table} isn't "
                f"defined: {repeated} of {rows.num_rows} rows are duplicates. Make the merge key unique in the data.",
                metadata={"table": table, "columns": list(on)},
            )
    return rows


def _equality(name: str, data: Prepared) -> str:
    import pyarrow as pa

    # If the keys of the data contain no null, both operators give the same result, and `=` skips files.
    nulls = not isinstance(data, pa.Table) or data[name].null_count
    return f"(target.{quoted(name)} {'IS NOT DISTINCT FROM' if nulls else '='} source.{quoted(name)})"
