"""Binding of Spark SQL: a statement against the columns of its inputs, where the engine is the embedded one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assets.datasets.binding import blame_statement, described, schemas_of
from assets.datasets.spark_sql import prepared, view_names
from assets.findings import Findings, place
from core.errors import HeadwaterError
from core.settings import load_settings
from resources.spark.faults import translated
from resources.spark.resource import Spark

if TYPE_CHECKING:
    import pyarrow as pa


def bind_spark(
    asset: str,
    statement: str,
    inputs: Sequence[str],
    *,
    keys: Sequence[str],
    columns: Sequence[str],
    findings: Findings,
) -> pa.Schema | None:
    """Returns the columns of the result of a statement, as Sail analyzes it; `None` where they are not known.

    Args:
        asset: the id of the table.
        statement: one query in Spark's dialect.
        inputs: ids of the tables that it reads.
        keys: names of the key columns of a merge.
        columns: names of the described columns.
        findings: collects the faults.
    """
    try:
        result = _analyzed(statement, inputs, findings)
    except HeadwaterError as error:
        blame_statement(statement, error, findings)
        return None
    if result is not None:
        findings.present(keys, result.names, place("on"), owner="the result")
    return described(asset, columns, result, findings)


def _analyzed(statement: str, inputs: Sequence[str], findings: Findings) -> pa.Schema | None:
    # Sail starts in a few seconds. Starting another engine to check a definition would take too long.
    from pyspark.sql.pandas.types import to_arrow_schema

    views = view_names(inputs)
    text = prepared(statement, views)
    if (engine := load_settings().spark) != "embedded":
        findings.unknown(
            place("sql"),
            f"The statement was parsed, but not bound to its inputs: the Spark engine is {engine}, and only the "
            "embedded engine binds statements before a run.",
        )
        return None
    if schemas_of(inputs, findings, place("inputs")) is None:
        findings.unknown(
            place("sql"), "The statement was parsed, but not bound: an input has not been materialized yet."
        )
        return None
    spark = Spark()
    try:
        frames = {views[table]: spark.read(findings.tables.snapshot(table)) for table in inputs}
        with translated("binding it to its inputs"):
            schema: pa.Schema = to_arrow_schema(spark.query(text, frames).schema, timezone="UTC")
            return schema
    finally:
        spark.close()
