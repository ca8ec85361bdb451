"""Writes Spark frames to Delta tables, with statements that all engines support."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.spark.faults import REPEATED_KEY

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructField, StructType

    from lakehouse.tables import Snapshot

TABLE = "{table}"
"""Placeholder for the table in a statement."""

TARGET_VIEW = "headwater_target"
"""Temporary view of the rows that a table has before a MERGE."""

SOURCE_VIEW = "headwater_source"
"""Temporary view of the source rows of a MERGE."""


@dataclass(frozen=True)
class FrameWrite:
    """An append, or an overwrite of all rows."""

    frame: DataFrame
    mode: str
    """`append` or `overwrite`."""
    evolve: bool
    partition_by: Sequence[str]

    def save(self, path: str, metadata: str, *, new: bool) -> None:
        """Computes and commits the frame. `metadata` becomes the `userMetadata` of the commit."""
        from lakehouse.writes import DEFAULT_PROPERTIES

        writer = self.frame.write.format("delta").mode(self.mode).option("userMetadata", metadata)
        if self.evolve:
            writer = writer.option("mergeSchema" if self.mode == "append" else "overwriteSchema", "true")
        if new:
            writer = writer.options(**DEFAULT_PROPERTIES)
            if self.partition_by:
                writer = writer.partitionBy(*self.partition_by)
        writer.save(path)


def storable(frame: DataFrame, comments: Mapping[str, str]) -> DataFrame:
    """Returns the frame with plain string types and column comments, for a schema that will be stored.

    In Apache Spark 4.2, the result of a Python UDF has the type `string collate UTF8_BINARY`. Other readers can't open
    a table with this type. Only a cast in SQL removes the collation.
    """
    columns = [
        f"CAST({_quoted(field.name)} AS {field.dataType.simpleString()}) AS {_quoted(field.name)}"
        if "string" in field.dataType.simpleString()
        else _quoted(field.name)
        for field in frame.schema
    ]
    frame = frame.selectExpr(*columns)
    for name, comment in comments.items():
        frame = frame.withMetadata(name, {"comment": comment})
    return frame


def with_comments(data: pa.Table, comments: Mapping[str, str]) -> pa.Table:
    """Returns the rows with column comments as field metadata, which the lakehouse stores."""
    import pyarrow as pa

    fields = [
        field.with_metadata({"comment": comments[field.name]}) if field.name in comments else field
        for field in data.schema
    ]
    return data.cast(pa.schema(fields))


def conform_to_table(frame: DataFrame, target: Snapshot, *, evolve: bool) -> DataFrame:
    """Returns the frame with the columns of the table, in its order. Sail would drop columns that the table lacks.

    Raises:
        SchemaMismatch: columns don't match the table. The message lists them.
    """
    from lakehouse.schemas import conform

    matched = conform(arrow_schema(frame).empty_table(), target.schema, target.table, evolve=evolve)
    return frame.select(*matched.schema.names)


def arrow_schema(frame: DataFrame) -> pa.Schema:
    """Returns the Arrow schema of the frame."""
    from pyspark.sql.pandas.types import to_arrow_schema

    return to_arrow_schema(frame.schema, timezone="UTC")


def nullable_schema(schema: pa.Schema) -> pa.Schema:
    """Returns the schema with nullable columns. A frame without nulls doesn't mean that the table forbids them."""
    import pyarrow as pa

    return pa.schema([field.with_nullable(True) for field in schema])


def merge_statement(on: Sequence[str], schema: StructType, *, delete_missing: bool) -> str:
    """Returns a MERGE of `SOURCE_VIEW` into the table by key. A null in a key equals another null.

    Columns that aren't in the view keep their values. Rows that would stay the same aren't written, so that a merge
    that changes no row commits nothing.
    """
    columns = schema.names
    same = " AND ".join(f"target.{_quoted(name)} <=> source.{_quoted(name)}" for name in on)
    changed = ", ".join(f"target.{_quoted(name)} = source.{_quoted(name)}" for name in columns)
    equal = " AND ".join(_equal(field) for field in schema)
    differing = "" if "map<" in schema.simpleString() else f" AND NOT ({equal})"  # Spark compares no maps
    names, values = (", ".join(prefix + _quoted(name) for name in columns) for prefix in ("", "source."))
    clauses = [
        f"MERGE INTO {TABLE} AS target USING {SOURCE_VIEW} AS source ON {same}",
        f"WHEN MATCHED{differing} THEN UPDATE SET {changed}",
        f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})",  # noqa: S608 - names only, each quoted
        *(["WHEN NOT MATCHED BY SOURCE THEN DELETE"] if delete_missing else []),
    ]
    return " ".join(clauses)


def differences(on: Sequence[str], schema: StructType, *, delete_missing: bool) -> list[str]:
    """Returns queries of the rows that a MERGE of `SOURCE_VIEW` into `TARGET_VIEW` would change.

    Empty for columns that Spark can't compare.
    """
    if "map<" in schema.simpleString():
        return []
    same = " AND ".join(f"target.{_quoted(name)} <=> source.{_quoted(name)}" for name in on)
    equal = " AND ".join(_equal(field) for field in schema)
    target = f"(SELECT *, true AS headwater_there FROM {TARGET_VIEW}) AS target"  # noqa: S608 - a name of ours
    changed = f"SELECT 1 FROM {SOURCE_VIEW} AS source LEFT JOIN {target} ON {same}"  # noqa: S608 - names, each quoted
    queries = [f"{changed} WHERE headwater_there IS NULL OR NOT ({equal})"]
    if delete_missing:
        missing = f"SELECT 1 FROM {TARGET_VIEW} AS target LEFT ANTI JOIN {SOURCE_VIEW} AS source ON {same}"  # noqa: S608
        queries.append(missing)
    return queries


def _equal(field: StructField) -> str:
    """Whether a value stays as it is. Zeros of both signs are equal, but not the same."""
    target, source = (f"{side}.{_quoted(field.name)}" for side in ("target", "source"))
    same = f"{target} <=> {source}"
    if field.dataType.simpleString() in ("float", "double"):
        return f"{same} AND CAST({target} AS STRING) <=> CAST({source} AS STRING)"
    return same


def once_per_key(frame: DataFrame, on: Sequence[str]) -> DataFrame:
    """The frame, whose computation fails if several rows have the same key.

    Engines refuse such rows only where both meet a row of the table, and otherwise insert them all.
    """
    key = frame.schema[on[0]]
    name, partition = _quoted(key.name), ", ".join(_quoted(column) for column in on)
    several = f"count(1) OVER (PARTITION BY {partition}) > 1"
    refused = f"CAST(raise_error('{REPEATED_KEY}') AS {key.dataType.simpleString()})"
    columns = [
        f"CASE WHEN {several} THEN {refused} ELSE {name} END AS {name}" if column == key.name else _quoted(column)
        for column in frame.columns
    ]
    return frame.selectExpr(*columns)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
