"""Delta features that the platform reads and writes. Tables with other features are refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from core.errors import UnsupportedTable
from lakehouse.footers import MAP_KEY, MAP_VALUE, ColumnPath

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

READER_FEATURES = frozenset(
    {
        "columnMapping",
        "deletionVectors",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
    }
)
"""Reader features that all interfaces (REST, SQL, Arrow, Spark) support."""

WRITER_FEATURES = frozenset(
    {
        "appendOnly",
        "changeDataFeed",
        "checkConstraints",
        "deletionVectors",
        "invariants",
        "timestampNtz",
        "v2Checkpoint",
    }
)
"""Writer features whose requirements the platform's writes meet."""

_MAX_READER_VERSION = 3
_MAX_WRITER_VERSION = 7
_FEATURE_METADATA = (
    ("delta.generationExpression", "generatedColumns"),
    ("delta.identity.start", "identityColumns"),
    ("CURRENT_DEFAULT", "allowColumnDefaults"),
)
"""Column metadata that uses a feature. Older protocol versions have no list of features."""

_PHYSICAL, _COLUMN_ID = "delta.columnMapping.physicalName", "delta.columnMapping.id"
_WRITER_METADATA = ("delta.", "CURRENT_DEFAULT", "EXISTS_DEFAULT", "PARQUET:", "ARROW:", "__")
_COPIED_PROPERTIES = frozenset(
    {
        "delta.appendOnly",
        "delta.checkpointInterval",
        "delta.dataSkippingNumIndexedCols",
        "delta.deletedFileRetentionDuration",
        "delta.enableChangeDataFeed",
        "delta.enableExpiredLogCleanup",
        "delta.logRetentionDuration",
        "delta.targetFileSize",
    }
)


def require_readable(table: str, delta: DeltaTable) -> None:
    """Checks that all interfaces can read a table.

    Raises:
        UnsupportedTable: the message names the features that the platform doesn't read.
    """
    protocol = delta.protocol()
    if protocol.min_reader_version > _MAX_READER_VERSION:
        raise unsupported(table, "read", [f"reader version {protocol.min_reader_version}"])
    if unknown := sorted(set(protocol.reader_features or ()) - READER_FEATURES):
        raise unsupported(table, "read", unknown)
    if '"type":"interval ' in delta.schema().to_json():  # delta-rs would return plain numbers
        raise unsupported(table, "read", ["a column of an interval type"])


def require_writable(table: str, delta: DeltaTable) -> None:
    """Checks that the platform's writes meet the requirements of a table's features.

    Raises:
        UnsupportedTable: the message names the features that the platform doesn't write.
    """
    protocol = delta.protocol()
    if protocol.min_writer_version < 4:
        return
    unknown = set(protocol.writer_features or ()) - WRITER_FEATURES
    # These two may be listed without being used, and delta-rs accepts them.
    unknown -= {"generatedColumns", "columnMapping"}
    if protocol.min_writer_version > _MAX_WRITER_VERSION:
        unknown.add(f"writer version {protocol.min_writer_version}")
    if mapping_mode(delta):
        unknown.add("columnMapping")
    schema = delta.schema().to_json()
    unknown |= {feature for key, feature in _FEATURE_METADATA if f'"{key}"' in schema}
    if unknown:
        raise unsupported(table, "write", sorted(unknown))


def unsupported(table: str, access: Literal["read", "write"], features: Iterable[str]) -> UnsupportedTable:
    """Returns the error for a table with features that the platform doesn't read or write."""
    names = list(features)
    return UnsupportedTable(
        f"The platform does not {access} the Delta table {table}: it uses {', '.join(names)}. Drop the feature with "
        "the writer that set it, or copy the rows into a new table with that writer.",
        metadata={"table": table, "features": names},
    )


def mapping_mode(delta: DeltaTable) -> str:
    """Returns the mode of column mapping, `name` or `id`; an empty string if the table doesn't use it."""
    mode = str(delta.metadata().configuration.get("delta.columnMapping.mode", "none"))
    return mode if mode in ("name", "id") and delta.protocol().min_reader_version >= 2 else ""


def arrow_schema(delta: DeltaTable) -> pa.Schema:
    """Returns the Arrow schema of a table: Delta's types and comments, without other column metadata.

    Other metadata, such as that of Delta features or Arrow extension types, is for writers.
    """
    import pyarrow as pa

    schema = delta.schema()
    text = schema.to_json()
    if any(f'"{prefix}' in text for prefix in _WRITER_METADATA):
        from deltalake import Schema

        schema = Schema.from_json(json.dumps(_without_writer_metadata(json.loads(text))))
    return pa.schema(schema.to_arrow())


def physical_schema(delta: DeltaTable) -> pa.Schema:
    """Returns the schema with the column names of the data files. With column mapping, they differ from the table's."""
    import pyarrow as pa
    from deltalake import Schema

    physical = _with_physical_names(json.loads(delta.schema().to_json()))
    return pa.schema(Schema.from_json(json.dumps(_without_writer_metadata(physical))).to_arrow())


def column_ids(delta: DeltaTable) -> dict[ColumnPath, int]:
    """Returns the column mapping ids of columns and fields of structs, by their paths in the data files."""
    return dict(_column_ids(json.loads(delta.schema().to_json()), ()))


def _column_ids(kind: Any, path: ColumnPath) -> Iterator[tuple[ColumnPath, int]]:
    if not isinstance(kind, dict):
        return
    for field in kind.get("fields", ()):
        metadata = field.get("metadata", {})
        below = (*path, str(metadata.get(_PHYSICAL, field["name"])))
        if _COLUMN_ID in metadata:
            yield below, int(metadata[_COLUMN_ID])
        yield from _column_ids(field["type"], below)
    yield from _column_ids(kind.get("elementType"), path)
    yield from _column_ids(kind.get("keyType"), (*path, MAP_KEY))
    yield from _column_ids(kind.get("valueType"), (*path, MAP_VALUE))


def copied_properties(properties: dict[str, str]) -> dict[str, str]:
    """Returns the table properties that a copy gets: those that don't enable features."""
    return {
        name: value for name, value in properties.items() if name in _COPIED_PROPERTIES or not name.startswith("delta.")
    }


def _with_physical_names(node: Any) -> Any:
    if isinstance(node, list):
        return [_with_physical_names(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: value if key == "metadata" else _with_physical_names(value) for key, value in node.items()}
    return changed | {"name": node["metadata"].get(_PHYSICAL, node["name"])} if "metadata" in node else changed


def _without_writer_metadata(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_writer_metadata(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {key: _without_writer_metadata(value) for key, value in node.items()}
    if isinstance(node.get("metadata"), dict):
        changed["metadata"] = {k: v for k, v in node["metadata"].items() if not k.startswith(_WRITER_METADATA)}
    return changed
