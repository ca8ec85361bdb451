"""Requirements on every Spark engine for Delta tables: one suite, run on Sail and on Apache Spark."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pyarrow as pa
import pytest

from core.errors import ConstraintViolated, InvalidArgument, SchemaMismatch, UnknownTable
from core.settings import Settings
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Commit, Tables
from resources.spark.resource import Mode, Spark

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Steps = Callable[[str], Step]
PEOPLE = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["ann", "bo", "cy"]})
WITHOUT_FEED = {"delta.enableChangeDataFeed": "false"}
each_writer = pytest.mark.parametrize(
    ("platform", "feed"), [("embedded", True), ("embedded", False), ("local", True)], indirect=["platform"]
)
"""The platform writes tables with a feed for Sail. Apache Spark writes tables with and without one in the same way."""


def plain_table(tables: Tables, name: str) -> Commit:
    """Creates a table that every engine can write itself."""
    tables.create(name, PEOPLE.schema, properties=WITHOUT_FEED)
    return tables.append(name, PEOPLE)


def rows(tables: Tables, name: str, version: int | None = None) -> list[tuple[object, ...]]:
    """Returns the rows that delta-rs reads."""
    return sorted(tables.snapshot(name, version=version).scan().collect().rows())


def test_write_append_and_time_travel(spark: Spark, tables: Tables, step_of: Steps) -> None:
    tables.append("t.in.a", PEOPLE)
    step = step_of("t.out.a")
    frame = spark.read(step.read("t.in.a"))
    first = spark.write(step, frame)
    assert rows(tables, "t.out.a") == [(1, "ann"), (2, "bo"), (3, "cy")]
    second = spark.write(step_of("t.out.a"), spark.sql("SELECT 4L AS id, 'di' AS name"), mode="append")
    assert (first.version, second.version) == (0, 1)
    assert second.row_count == 4
    assert spark.read(tables.snapshot("t.out.a", version=0)).count() == 3
    assert spark.read(tables.snapshot("t.out.a", version=1)).count() == 4


def test_overwrite_replaces_all_rows(spark: Spark, tables: Tables, step_of: Steps) -> None:
    plain_table(tables, "t.out.b")
    commit = spark.write(step_of("t.out.b"), spark.sql("SELECT 9L AS id, 'zed' AS name"))
    assert commit.changed
    assert rows(tables, "t.out.b") == [(9, "zed")]


@pytest.mark.parametrize("feed", [True, False])
def test_merge_updates_inserts_and_deletes(spark: Spark, tables: Tables, step_of: Steps, feed: bool) -> None:
    name = f"t.out.merge_{feed}".lower()
    tables.create(name, PEOPLE.schema, properties={} if feed else WITHOUT_FEED)
    tables.append(name, PEOPLE)
    source = spark.sql("SELECT 2L AS id, 'bob' AS name UNION ALL SELECT 7L, 'gus'")
    spark.write(step_of(name), source, mode="merge", on=["id"])
    assert rows(tables, name) == [(1, "ann"), (2, "bob"), (3, "cy"), (7, "gus")]
    spark.write(step_of(name), source, mode="merge", on=["id"], delete_missing=True)
    assert rows(tables, name) == [(2, "bob"), (7, "gus")]


def test_update_and_delete_by_sql(spark: Spark, tables: Tables, step_of: Steps) -> None:
    before = plain_table(tables, "t.out.c")
    updated = spark.change(step_of("t.out.c"), "UPDATE {table} SET name = upper(name) WHERE id >= 2")
    deleted = spark.change(step_of("t.out.c"), "DELETE FROM {table} WHERE id = 1")
    assert (updated.operation, deleted.operation) == ("UPDATE", "DELETE")
    assert (updated.version, deleted.version) == (before.version + 1, before.version + 2)
    assert rows(tables, "t.out.c") == [(2, "BO"), (3, "CY")]
    assert rows(tables, "t.out.c", before.version) == [(1, "ann"), (2, "bo"), (3, "cy")]


def test_a_statement_without_changes_creates_no_version(spark: Spark, tables: Tables, step_of: Steps) -> None:
    before = plain_table(tables, "t.out.d")
    commit = spark.change(step_of("t.out.d"), "DELETE FROM {table} WHERE id = 100")
    assert (commit.version, commit.changed) == (before.version, False)


def test_lineage_names_versions_engine_and_code(
    spark: Spark, tables: Tables, lineage: Lineage, step_of: Steps, settings: Settings
) -> None:
    used = tables.append("t.in.e", PEOPLE)
    plain_table(tables, "t.out.e")
    step = step_of("t.out.e")
    frame = spark.read(step.read("t.in.e"))
    tables.append("t.in.e", PEOPLE)  # must not be visible: the step has pinned the version before
    changed = frame.selectExpr("id", "upper(name) AS name")  # a merge of the same rows makes no version
    for mode, rows_of, count in (("append", frame, 6), ("overwrite", frame, 3), ("merge", changed, 3)):
        commit = spark.write(step, rows_of, mode=mode, on=["id"] if mode == "merge" else ())  # type: ignore[arg-type]
        assert tables.snapshot("t.out.e").row_count == count
        edges = {edge.in_asset: edge for edge in lineage.provenance("t.out.e", commit.data_version)}
        assert edges["t.in.e"].in_version == used.data_version
        assert ("t.out.e" in edges) == (mode != "overwrite")
        assert edges["t.in.e"].engine == {"embedded": "sail 0.7.2", "local": "spark 4.2.0"}[settings.spark]
        assert (edges["t.in.e"].code_version, edges["t.in.e"].principal) == ("c1", "ada")


def test_edges_lost_in_a_crash_are_repaired(
    spark: Spark, tables: Tables, lineage: Lineage, step_of: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = tables.append("t.in.f", PEOPLE)
    plain_table(tables, "t.out.f")
    step = step_of("t.out.f")
    frame = spark.read(step.read("t.in.f"))
    with monkeypatch.context() as patch:
        patch.setattr(Step, "record_commit", _crash)
        with pytest.raises(KeyboardInterrupt):
            spark.write(step, frame, mode="append")
    crashed = tables.snapshot("t.out.f")
    assert crashed.row_count == 6
    assert lineage.provenance("t.out.f", crashed.data_version) == []
    spark.write(step_of("t.out.f"), spark.sql("SELECT 4L AS id, 'di' AS name"), mode="append")
    mended = {edge.in_asset: edge.in_version for edge in lineage.provenance("t.out.f", crashed.data_version)}
    assert mended["t.in.f"] == used.data_version


def _crash(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


def test_python_functions_run_in_the_engine(spark: Spark, tables: Tables, step_of: Steps) -> None:
    from pyspark.sql.functions import udf

    plain_table(tables, "t.in.g")
    step = step_of("t.out.g")
    frame = spark.read(step.read("t.in.g"))
    reverse = udf(lambda text: text[::-1], "string")
    reversed_names = frame.select("id", reverse("name").alias("name"))
    spark.write(step, reversed_names)
    spark.write(step, reversed_names, evolve_schema=True)
    assert rows(tables, "t.out.g") == [(1, "nna"), (2, "ob"), (3, "yc")]


def test_delta_rs_reads_the_same_values(spark: Spark, tables: Tables, step_of: Steps) -> None:
    statement = (
        "SELECT 1 AS i, 2L AS l, CAST(1.5 AS DOUBLE) AS d, CAST('12.30' AS DECIMAL(10, 2)) AS m, true AS b, 'é' AS s, "
        "DATE '2013-03-10' AS day, TIMESTAMP '2013-03-10 07:30:00' AS at, array(1, 2) AS a, "
        "named_struct('x', 1) AS r, CAST(NULL AS STRING) AS n"
    )
    spark.write(step_of("t.out.h"), spark.sql(statement))
    snapshot = tables.snapshot("t.out.h")
    assert snapshot.to_arrow().to_pylist() == spark.arrow(spark.read(snapshot)).to_pylist()
    assert snapshot.schema.field("at").type == pa.timestamp("us", "UTC")
    assert pl.DataFrame(snapshot.to_arrow())["at"].dt.strftime("%H:%M").item() == "07:30"  # the session is in UTC


def test_views_are_the_inputs_of_sql(spark: Spark, tables: Tables) -> None:
    plain_table(tables, "t.in.i")
    people = spark.read(tables.snapshot("t.in.i"))
    result = spark.sql("SELECT count(*) AS n FROM people WHERE id > 1", {"people": people})
    assert spark.arrow(result).to_pylist() == [{"n": 2}]


@each_writer
def test_a_frame_that_does_not_match_the_table_is_refused(
    spark: Spark, tables: Tables, step_of: Steps, feed: bool
) -> None:
    name = f"t.out.misfit_{feed}".lower()
    created = tables.create(name, PEOPLE.schema, properties={} if feed else WITHOUT_FEED)
    with pytest.raises(SchemaMismatch, match="extra"):
        spark.write(step_of(name), spark.sql("SELECT 1L AS id, 'a' AS name, 5 AS extra"), mode="append")
    with pytest.raises(SchemaMismatch, match="name"):
        spark.write(step_of(name), spark.sql("SELECT 1L AS id"), mode="append")
    with pytest.raises(SchemaMismatch, match="id"):
        spark.write(step_of(name), spark.sql("SELECT 'x' AS id, 'a' AS name"))
    assert tables.snapshot(name).version == created.version


@each_writer
def test_columns_are_added_only_on_request(spark: Spark, tables: Tables, step_of: Steps, feed: bool) -> None:
    name = f"t.out.evolve_{feed}".lower()
    tables.create(name, PEOPLE.schema, properties={} if feed else WITHOUT_FEED)
    wider = spark.sql("SELECT 1L AS id, 'a' AS name, 5 AS extra")
    spark.write(step_of(name), wider, mode="append", evolve_schema=True)
    assert rows(tables, name) == [(1, "a", 5)]
    spark.write(step_of(name), spark.sql("SELECT 'x' AS other"), evolve_schema=True)
    assert tables.snapshot(name).schema.names == ["other"]


@each_writer
@pytest.mark.parametrize("mode", ["merge", "append"])
def test_the_columns_of_a_table_evolve(spark: Spark, tables: Tables, step_of: Steps, mode: Mode, feed: bool) -> None:
    """With one column more, one fewer, and one wider, earlier rows keep their values; unwritten columns remain."""
    name = f"t.out.follow_{mode}_{feed}".lower()
    original = pa.table({"id": pa.array([1, 2], pa.int32()), "name": ["a", "b"]})
    tables.create(name, original.schema, properties={} if feed else WITHOUT_FEED)
    tables.append(name, original)
    on = ["id"] if mode == "merge" else []
    frame = spark.sql("SELECT 2L AS id, 'new' AS `odd name` UNION ALL SELECT 3000000000L, 'more'")
    spark.write(step_of(name), frame, mode=mode, on=on, evolve_schema=True)
    stored = tables.snapshot(name).scan().collect().sort("id", "name", nulls_last=True).rows()
    two = [(2, "b", "new")] if mode == "merge" else [(2, "b", None), (2, None, "new")]
    assert stored == [(1, "a", None), *two, (3_000_000_000, None, "more")]
    with pytest.raises(SchemaMismatch, match="asset id"):
        spark.write(step_of(name), spark.sql("SELECT 'x' AS id"), mode=mode, on=on, evolve_schema=True)


@each_writer
def test_constraints_are_enforced(spark: Spark, tables: Tables, step_of: Steps, feed: bool) -> None:
    name = f"t.out.rule_{feed}".lower()
    rules = {"positive": "id > 0"}
    created = tables.create(name, PEOPLE.schema, constraints=rules, properties={} if feed else WITHOUT_FEED)
    with pytest.raises(ConstraintViolated):
        spark.write(step_of(name), spark.sql("SELECT -1L AS id, 'a' AS name"), mode="append")
    assert tables.snapshot(name).version == created.version


def test_the_error_names_a_change_that_an_engine_does_not_support(
    spark: Spark, tables: Tables, step_of: Steps, settings: Settings
) -> None:
    tables.append("t.out.feed", PEOPLE)
    if settings.spark == "local":
        spark.change(step_of("t.out.feed"), "UPDATE {table} SET name = 'x' WHERE id = 1")
        changes = tables.changes("t.out.feed", 1)
        assert sorted(changes["_change_type"].to_pylist()) == ["update_postimage", "update_preimage"]
        return
    with pytest.raises(InvalidArgument, match="can't change a table"):
        spark.change(step_of("t.out.feed"), "UPDATE {table} SET name = 'x' WHERE id = 1")
    assert tables.snapshot("t.out.feed").version == 0


def test_a_table_created_by_spark_has_the_default_properties(spark: Spark, tables: Tables, step_of: Steps) -> None:
    frame = spark.sql("SELECT 1L AS id, 'a' AS name")
    spark.write(step_of("t.out.fresh"), frame, mode="merge", on=["id"], partition_by=[])
    assert tables.snapshot("t.out.fresh").properties["delta.enableChangeDataFeed"] == "true"
    spark.write(step_of("t.out.parts"), frame, partition_by=["name"])
    assert tables.snapshot("t.out.parts").partition_columns == ["name"]


def test_errors_name_the_mistake(spark: Spark, tables: Tables, step_of: Steps) -> None:
    plain_table(tables, "t.in.j")
    people = spark.read(tables.snapshot("t.in.j"))
    with pytest.raises(InvalidArgument):
        spark.arrow(spark.sql("SELECT nope FROM people", {"people": people}))
    with pytest.raises(InvalidArgument):
        spark.arrow(spark.sql("SELEKT 1"))
    with pytest.raises(InvalidArgument, match="key column"):
        spark.write(step_of("t.out.j"), people, mode="merge")
    with pytest.raises(UnknownTable):
        spark.change(step_of("t.out.missing"), "DELETE FROM {table}")


def test_instants_are_appended(spark: Spark, tables: Tables, step_of: Steps) -> None:
    """Frames with timestamps are compared with the columns of the table like other frames."""
    tables.create("t.out.instants", pa.schema([("at", pa.timestamp("us", "UTC"))]), properties=WITHOUT_FEED)
    spark.write(step_of("t.out.instants"), spark.sql("SELECT TIMESTAMP '2013-01-01 05:00:00' AS at"), mode="append")
    ((instant,),) = rows(tables, "t.out.instants")
    assert str(instant) == "2013-01-01 05:00:00+00:00"
