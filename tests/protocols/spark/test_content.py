"""What Spark computes again and is the same makes no version, and each key of a merge occurs once; on every engine."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from core.errors import InvalidPayload
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from resources.spark.content import content
from resources.spark.resource import Spark

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Steps = Callable[[str], Step]
ROWS = (
    "SELECT * FROM VALUES (1L, 'a', 0.5D, true), (2L, NULL, NULL, NULL), (3L, '', 0D, false) AS t(id, kind, size, late)"
)
NATIVE = {"delta.enableChangeDataFeed": "false"}
"""Properties of a table that every engine writes itself."""

Make = Callable[[Tables, Spark, Steps, str], None]


each_writer = pytest.mark.parametrize(
    ("platform", "made"),
    [("embedded", "with a feed"), ("embedded", "native"), ("local", "with a feed")],
    indirect=True,
)
"""The platform writes tables with a feed for Sail. Apache Spark writes tables with and without one in the same way."""


@pytest.fixture
def made(request: pytest.FixtureRequest, tables: Tables) -> str:
    """A table for `ROWS`, which the engine writes itself or by way of the platform."""
    return table(tables, request.param)


@pytest.fixture
def native(tables: Tables) -> str:
    """A table for `ROWS`, which every engine writes itself."""
    return table(tables, "native")


def table(tables: Tables, kind: str) -> str:
    name = f"t.out.content_{kind.replace(' ', '_')}"
    if not tables.exists(name):
        schema = pa.schema([("id", pa.int64()), ("kind", pa.string()), ("size", pa.float64()), ("late", pa.bool_())])
        tables.create(name, schema, properties=NATIVE if kind == "native" else {})
    return name


@each_writer
@pytest.mark.parametrize("evolve", [True, False])
def test_the_same_rows_make_no_version(
    spark: Spark, tables: Tables, lineage: Lineage, step_of: Steps, made: str, evolve: bool
) -> None:
    spark.write(step_of(made), spark.sql("SELECT 0L AS id, 'x' AS kind, 0D AS size, true AS late"))
    first = spark.write(step_of(made), spark.sql(ROWS), evolve_schema=evolve)
    tables.optimize(made)
    newest = tables.snapshot(made).version
    step = step_of(made)
    again = spark.write(step, spark.sql(f"SELECT * FROM ({ROWS}) ORDER BY id DESC"), evolve_schema=evolve)
    assert (first.changed, again.changed) == (True, False)
    assert again.data_version == first.data_version
    assert tables.snapshot(made).version == newest


OTHERS = {
    "fewer": f"SELECT * FROM ({ROWS}) WHERE id < 3",
    "twice": f"SELECT * FROM ({ROWS}) UNION ALL SELECT * FROM ({ROWS}) WHERE id = 3",
    "null and empty": f"SELECT id, coalesce(kind, '') AS kind, size, late FROM ({ROWS})",
    "null and zero": f"SELECT id, kind, coalesce(size, 0D) AS size, late FROM ({ROWS})",
    "sign of zero": f"SELECT id, kind, IF(size = 0D, CAST('-0.0' AS DOUBLE), size) AS size, late FROM ({ROWS})",
    "NaN": f"SELECT id, kind, IF(id = 2, CAST('NaN' AS DOUBLE), size) AS size, late FROM ({ROWS})",
    "null and false": f"SELECT id, kind, size, IF(id = 2, false, late) AS late FROM ({ROWS})",
}


def test_other_rows_do(spark: Spark, step_of: Steps, native: str) -> None:
    """By the digest of the engine. What the platform writes has that of tests/unit/lakehouse/test_content.py."""
    digests = {difference: content(spark.sql(other), ()) for difference, other in {"none": ROWS, **OTHERS}.items()}
    assert None not in digests.values()
    assert len(set(digests.values())) == len(digests), digests
    spark.write(step_of(native), spark.sql("SELECT 0L AS id, 'x' AS kind, 0D AS size, true AS late"))
    before = spark.write(step_of(native), spark.sql(ROWS))
    after = spark.write(step_of(native), spark.sql(OTHERS["sign of zero"]))
    assert (after.changed, after.version) == (True, before.version + 1)


@each_writer
def test_other_columns_or_comments_do(spark: Spark, step_of: Steps, made: str) -> None:
    spark.write(step_of(made), spark.sql("SELECT 0L AS id, 'x' AS kind, 0D AS size, true AS late"), evolve_schema=True)
    before = spark.write(step_of(made), spark.sql(ROWS), evolve_schema=True)
    changes = (
        (f"SELECT *, 1 AS more FROM ({ROWS})", {}),
        (f"SELECT id, kind, size, CAST(late AS INT) AS late FROM ({ROWS})", {}),
        (ROWS, {"id": "Number."}),
        (ROWS, {"id": "Another number."}),
    )
    for number, (statement, comments) in enumerate(changes, start=1):
        commit = spark.write(step_of(made), spark.sql(statement), evolve_schema=True, comments=comments)
        assert (commit.changed, commit.version) == (True, before.version + number), statement


@each_writer
def test_a_merge_that_changes_no_row_makes_no_version(
    spark: Spark, tables: Tables, lineage: Lineage, step_of: Steps, made: str
) -> None:
    spark.write(step_of(made), spark.sql("SELECT 0L AS id, 'x' AS kind, 0D AS size, true AS late"))
    first = spark.write(step_of(made), spark.sql(ROWS))
    step = step_of(made)
    step.use("file:orders", "sha256:1")
    for delete_missing in (False, True):
        same = spark.write(step, spark.sql(ROWS), mode="merge", on=["id"], delete_missing=delete_missing)
        assert (same.changed, same.data_version) == (False, first.data_version)
    part = spark.write(step, spark.sql(f"{ROWS} WHERE id = 2"), mode="merge", on=["id"])
    assert (part.changed, tables.snapshot(made).version) == (False, first.version)
    assert "file:orders" in {edge.in_asset for edge in lineage.provenance(made, first.data_version)}
    signed = f"SELECT id, kind, IF(size = 0D, CAST('-0.0' AS DOUBLE), size) AS size, late FROM ({ROWS})"
    assert spark.write(step_of(made), spark.sql(signed), mode="merge", on=["id"]).version == first.version + 1


@each_writer
@pytest.mark.parametrize("on", [["id"], ["id", "late"]])
def test_a_merge_needs_each_key_once(spark: Spark, tables: Tables, step_of: Steps, made: str, on: list[str]) -> None:
    """The kind: of several rows with one key, one wins by chance, or all are inserted."""
    spark.write(step_of(made), spark.sql(ROWS))
    before = tables.snapshot(made).version
    for key in ("2L", "9L", "CAST(NULL AS BIGINT)"):  # a key of the table, a new one, and none
        twice = spark.sql(f"SELECT {key} AS id, k AS kind, 1D AS size, true AS late FROM VALUES ('x'), ('y') AS t(k)")
        for name in (made, f"t.out.new_{len(on)}"):
            with pytest.raises(InvalidPayload, match="same key"):
                spark.write(step_of(name), twice, mode="merge", on=on, evolve_schema=True)
        assert tables.snapshot(made).version == before
