"""A frame on its way into a Delta table, in the words all engines know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from lakehouse.tables import Snapshot

TABLE = "{table}"
"""Stands for the written table in a statement."""

SOURCE_VIEW = "headwater_source"
"""Temporary view of the rows that a MERGE brings."""


@dataclass(frozen=True)
class FrameWrite:
    """An append or a whole overwrite."""

    frame: DataFrame
    mode: str
    """`append` or `overwrite`."""
    evolve: bool
    partition_by: Sequence[str]

    def save(self, path: str, metadata: str, *, new: bool) -> None:
        """Computes and commits; `metadata` becomes the commit's `userMetadata`."""
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
    """The frame with the plain string type and column comments, for a schema that is going to be stored.

    The result of a Python UDF has the type `string collate UTF8_BINARY` in Apache Spark 4.2. Stored under that name it
    makes a table that no other reader can open; a cast by SQL, and only that, takes the collation off.
    """
    columns = [
        f"CAST(`{field.name}` AS {field.dataType.simpleString()}) AS `{field.name}`"
        if "string" in field.dataType.simpleString()
        else f"`{field.name}`"
        for field in frame.schema
    ]
    frame = frame.selectExpr(*columns)
    for name, comment in comments.items():
        frame = frame.withMetadata(name, {"comment": comment})
    return frame


def commented(data: pa.Table, comments: Mapping[str, str]) -> pa.Table:
    """The rows with column comments as field metadata, which the lakehouse stores."""
    import pyarrow as pa

    fields = [
        field.with_metadata({"comment": comments[field.name]}) if field.name in comments else field
        for field in data.schema
    ]
    return data.cast(pa.schema(fields))


def conformed(frame: DataFrame, target: Snapshot, *, evolve: bool) -> DataFrame:
    """The frame with the table's columns in its order. Engines differ here: Sail drops a column the table lacks.

    Raises:
        SchemaMismatch: names every column that does not fit.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    from lakehouse.schemas import conform

    fitted = conform(to_arrow_schema(frame.schema).empty_table(), target.schema, target.table, evolve=evolve)
    return frame.select(*fitted.schema.names)


def merge_statement(on: Sequence[str], *, delete_missing: bool) -> str:
    """Upsert of `SOURCE_VIEW` into the table by key."""
    same = " AND ".join(f"target.`{name}` = source.`{name}`" for name in on)
    return (
        f"MERGE INTO {TABLE} AS target USING {SOURCE_VIEW} AS source ON {same} "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        + (" WHEN NOT MATCHED BY SOURCE THEN DELETE" if delete_missing else "")
    )
