"""Reads tables of other writers through Spark.

The kind: an engine reads a Delta feature in its own way, and shows other rows than the other doors do.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest

from core.errors import UnsupportedTable
from lakehouse.tables import Tables
from resources.spark.resource import Spark
from tests.foreign_tables.doors import texts_of
from tests.foreign_tables.make import TABLES
from tests.foreign_tables.refused import REFUSED_READS, REFUSED_WRITES
from tests.foreign_tables.unpack import unpack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_spark_reads_the_same_rows_as_other_interfaces_or_refuses(spark: Spark, tables: Tables, name: str) -> None:
    table = f"foreign.bronze.t{uuid4().hex[:12]}"
    unpack(name, Path(tables.uri(table)))
    if name in REFUSED_READS:
        with pytest.raises(UnsupportedTable, match=REFUSED_READS[name]):
            spark.read(tables.snapshot(table))
        return
    snapshot = tables.snapshot(table)
    key = snapshot.schema.names[0]
    rows = spark.arrow(spark.read(snapshot))
    assert texts_of(rows, snapshot.schema, key) == texts_of(snapshot.to_arrow(), snapshot.schema, key)
    if name in REFUSED_WRITES:
        return
    # Spark also reads the rows that the lakehouse adds to such a table and deletes from it.
    fields = snapshot.schema
    tables.append(table, pa.table({f.name: pa.array([77 if f.name == "id" else None], f.type) for f in fields}))
    tables.delete(table, f"{key} = 1")
    changed = tables.snapshot(table)
    assert texts_of(spark.arrow(spark.read(changed)), fields, key) == texts_of(changed.to_arrow(), fields, key)
    assert changed.row_count == snapshot.row_count
