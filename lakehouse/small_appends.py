"""Small appends: one data file written with Arrow.

delta-rs plans every write as a query and lists all files of the table again afterwards, which takes 5 to 15 ms for a
thousand rows. Writing the file with Arrow and committing it with delta-rs takes a third of that. It's possible for
unpartitioned tables without constraints and nested columns.
"""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.schemas import Prepared

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties
    from pyarrow.fs import SubTreeFileSystem

_MAX_ROWS = 50_000
_MAX_BYTES = 8_000_000
_FEATURES = {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "timestampNtz"}
_MAX_TEXT_LENGTH = 32
"""Maximum number of characters of a text in file statistics, as in other Delta writers."""


def is_possible(delta: DeltaTable, data: Prepared, schema: pa.Schema) -> bool:
    """Returns whether `data`, which conforms to `schema`, can be appended in this way."""
    import pyarrow as pa

    if not isinstance(data, pa.Table) or not 0 < data.num_rows <= _MAX_ROWS or data.nbytes > _MAX_BYTES:
        return False
    protocol, metadata = delta.protocol(), delta.metadata()
    if protocol.min_writer_version > 4 and not set(protocol.writer_features or ["unknown"]) <= _FEATURES:
        return False
    if metadata.partition_columns or any("constraints" in name for name in metadata.configuration):
        return False
    if any(field.metadata for field in delta.schema().fields):  # invariants, generated columns, defaults
        return False
    return data.column_names == schema.names and all(
        _is_simple(field.type) and (field.nullable or not data[field.name].null_count) for field in schema
    )


def append(
    delta: DeltaTable,
    data: pa.Table,
    schema: pa.Schema,
    files: SubTreeFileSystem,
    properties: CommitProperties,
    hooks: PostCommitHookProperties,
) -> None:
    """Writes one file and commits it. Afterwards, `delta` is at the newest version."""
    from deltalake.transaction import AddAction

    data = data.cast(schema)
    content = _parquet(data)
    path = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
    try:
        with files.open_output_stream(path) as stream:
            stream.write(content)
    except OSError:
        _discard(files, path)
        raise
    metrics = {"num_added_files": 1, "num_removed_files": 0, "num_added_rows": data.num_rows}
    properties.custom_metadata = {**(properties.custom_metadata or {}), "operationMetrics": metrics}
    # Not escaped to ASCII: some readers of the log misread an escaped surrogate pair and would skip the file.
    bounds = json.dumps(statistics(data), ensure_ascii=False, separators=(",", ":"))
    action = AddAction(path, content.size, {}, time.time_ns() // 1_000_000, True, bounds)
    try:
        delta._table.create_write_transaction([action], "append", [], delta.schema(), None, properties, hooks)
    except BaseException:
        if not _committed(files, path, delta.version()):
            _discard(files, path)
        raise
    delta.update_incremental()


def statistics(data: pa.Table) -> dict[str, Any]:
    """Returns the statistics of a file for the Delta log. Readers skip files by them, so a bound is right or absent."""
    import pyarrow.compute as pc

    minima: dict[str, Any] = {}
    maxima: dict[str, Any] = {}
    for name, column in zip(data.column_names, data.columns, strict=True):
        bounds = pc.min_max(column) if _has_bounds(column) else None
        if bounds is None or not bounds["min"].is_valid:
            continue
        low, high = _bounds(bounds["min"], bounds["max"])
        if low is not None and high is not None:
            minima[name], maxima[name] = low, high
    nulls = {name: column.null_count for name, column in zip(data.column_names, data.columns, strict=True)}
    return {"numRecords": data.num_rows, "minValues": minima, "maxValues": maxima, "nullCount": nulls}


def _parquet(data: pa.Table) -> pa.Buffer:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(data, sink, compression="snappy", store_schema=False)
    return sink.getvalue()


def _committed(files: SubTreeFileSystem, path: str, version: int) -> bool:
    """Returns whether a commit after `version` may contain the file. `True` if it can't be determined."""
    from pyarrow.fs import LocalFileSystem

    if not isinstance(files.base_fs, LocalFileSystem):  # an object store may accept a commit after an error
        return True
    while True:
        version += 1
        try:
            with files.open_input_file(f"_delta_log/{version:020}.json") as commit:
                if path.encode() in commit.read():
                    return True
        except FileNotFoundError:
            return False


def _discard(files: SubTreeFileSystem, path: str) -> None:
    from contextlib import suppress

    with suppress(OSError):  # a vacuum removes the file later
        files.delete_file(path)


def _is_simple(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_string(kind)
        or types.is_boolean(kind)
        or types.is_date32(kind)
        or types.is_timestamp(kind)
        or types.is_binary(kind)
        or types.is_decimal(kind)
    )


def _has_bounds(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    types, kind = pa.types, column.type
    if types.is_floating(kind):  # readers differ in how they compare NaN
        return not pc.any(pc.is_nan(column)).as_py() and not pc.any(pc.is_inf(column)).as_py()
    return bool(types.is_integer(kind) or types.is_string(kind) or types.is_date32(kind) or types.is_timestamp(kind))


def _bounds(low: pa.Scalar, high: pa.Scalar) -> tuple[Any, Any]:
    """Returns JSON values that enclose both bounds; `None` if there are none."""
    import pyarrow as pa

    kind = low.type
    if pa.types.is_timestamp(kind):
        return _instant(low.value // 1000, kind.tz), _instant(-(-high.value // 1000), kind.tz)
    if pa.types.is_date32(kind):
        return _day(low), _day(high)
    if pa.types.is_string(kind):
        highest = high.as_py()
        return low.as_py()[:_MAX_TEXT_LENGTH], highest if len(highest) <= _MAX_TEXT_LENGTH else None
    if pa.types.is_float32(kind):  # a reader compares with the exact value, not with its shortest decimal form
        return float(low.as_py()), float(high.as_py())
    return low.as_py(), high.as_py()


def _day(bound: pa.Scalar) -> str | None:
    try:
        return str(bound.as_py().isoformat())
    except (OverflowError, ValueError):  # Python's dates have the years 1 to 9999
        return None


def _instant(milliseconds: int, zone: str | None) -> str | None:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    text = moment.replace(tzinfo=None).isoformat(" ", "milliseconds")
    return text.replace(" ", "T") + "Z" if zone else text
