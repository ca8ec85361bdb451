"""A small append as one data file of our own making.

delta-rs plans every write as a query and lists all files of the table again afterwards: 5 to 15 ms for a thousand rows.
Writing the file with Arrow and giving delta-rs only the commit takes a third of that. Whatever needs more than plain
columns in an unpartitioned table without constraints goes the general way.
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

_MOST_ROWS = 50_000
_MOST_BYTES = 8_000_000
_FEATURES = {"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "timestampNtz"}
_LONGEST_TEXT = 32
"""Characters of a text in file statistics, as other Delta writers have it."""


def fits(delta: DeltaTable, data: Prepared, schema: pa.Schema) -> bool:
    """Whether `data`, which conforms to `schema`, can be appended this way."""
    import pyarrow as pa

    if not isinstance(data, pa.Table) or not 0 < data.num_rows <= _MOST_ROWS or data.nbytes > _MOST_BYTES:
        return False
    protocol, metadata = delta.protocol(), delta.metadata()
    if protocol.min_writer_version > 4 and not set(protocol.writer_features or ["unknown"]) <= _FEATURES:
        return False
    if metadata.partition_columns or any("constraints" in name for name in metadata.configuration):
        return False
    if any(field.metadata for field in delta.schema().fields):  # invariants, generated columns, defaults
        return False
    if any(pa.types.is_timestamp(field.type) and field.type.unit == "ns" for field in data.schema):
        return False  # Arrow refuses to drop nanoseconds, delta-rs drops them
    return data.column_names == schema.names and all(
        _plain(field.type) and (field.nullable or not data[field.name].null_count) for field in schema
    )


def append(
    delta: DeltaTable,
    data: pa.Table,
    schema: pa.Schema,
    files: SubTreeFileSystem,
    properties: CommitProperties,
    hooks: PostCommitHookProperties,
) -> None:
    """Writes one file and commits it; `delta` then shows the newest version."""
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
    # Not in ASCII: readers of the log take an escaped surrogate pair for something else, and would skip the file.
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
    """Statistics of a file as the Delta log holds them: readers skip files by them, so a bound is right or absent."""
    import pyarrow.compute as pc

    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    for name, column in zip(data.column_names, data.columns, strict=True):
        bounds = pc.min_max(column) if _bounded(column) else None
        if bounds is None or not bounds["min"].is_valid:
            continue
        low, high = _bounds(bounds["min"], bounds["max"])
        if low is not None and high is not None:
            least[name], most[name] = low, high
    nulls = {name: column.null_count for name, column in zip(data.column_names, data.columns, strict=True)}
    return {"numRecords": data.num_rows, "minValues": least, "maxValues": most, "nullCount": nulls}


def _parquet(data: pa.Table) -> pa.Buffer:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(data, sink, compression="snappy", store_schema=False)
    return sink.getvalue()


def _committed(files: SubTreeFileSystem, path: str, version: int) -> bool:
    """Whether a commit after `version` may hold the file. Only a local folder tells for certain."""
    from pyarrow.fs import LocalFileSystem

    if not isinstance(files.base_fs, LocalFileSystem):
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

    with suppress(OSError):  # what stays behind is vacuumed
        files.delete_file(path)


def _plain(kind: pa.DataType) -> bool:
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


def _bounded(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    types, kind = pa.types, column.type
    if types.is_floating(kind):  # a comparison with NaN is true for none or all, depending on the reader
        return not pc.any(pc.is_nan(column)).as_py() and not pc.any(pc.is_inf(column)).as_py()
    return bool(types.is_integer(kind) or types.is_string(kind) or types.is_date32(kind) or types.is_timestamp(kind))


def _bounds(low: pa.Scalar, high: pa.Scalar) -> tuple[Any, Any]:
    """JSON forms that enclose both; `None` where there is none."""
    import pyarrow as pa

    kind = low.type
    if pa.types.is_timestamp(kind):
        return _instant(low.value // 1000, kind.tz), _instant(-(-high.value // 1000), kind.tz)
    if pa.types.is_date32(kind):
        return low.as_py().isoformat(), high.as_py().isoformat()
    if pa.types.is_string(kind):
        highest = high.as_py()
        return low.as_py()[:_LONGEST_TEXT], highest if len(highest) <= _LONGEST_TEXT else None
    if pa.types.is_float32(kind):  # a reader compares with the float's own value, not with its shortest spelling
        return float(low.as_py()), float(high.as_py())
    return low.as_py(), high.as_py()


def _instant(milliseconds: int, zone: str | None) -> str | None:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    text = f"{moment:%Y-%m-%d} {moment:%H:%M:%S}.{milliseconds % 1000:03}"
    return text.replace(" ", "T") + "Z" if zone else text
