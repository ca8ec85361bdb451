"""Binding of tables from files and from SQL: types of files, and statements against the columns of their inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assets.datasets.remote import ObjectSource, SqlSource
from assets.datasets.sources import PackageSource, Source, fetch, installed
from assets.datasets.sql import referenced_tables
from assets.findings import Findings, lacking, place
from core.errors import HeadwaterError, InvalidArgument, UnknownColumn

if TYPE_CHECKING:
    import pyarrow as pa

_FILES_NOT_READ = "Only a run reads files, so neither the existence nor the content of the file was checked."


def bind_file(
    asset: str, source: Source, columns: Sequence[str], schema: pa.Schema | None, findings: Findings
) -> pa.Schema | None:
    """Returns the columns of a table of files, or `None` where the file determines them.

    Args:
        asset: the id of the table.
        source: the source of its files.
        columns: names of the declared columns.
        schema: the columns of the table, if their types are declared.
        findings: collects the faults.
    """
    if isinstance(source, SqlSource | ObjectSource):
        findings.unknown(place("source"), "Only a run reads through the connection, so its content was not checked.")
    elif isinstance(source, PackageSource):
        faults = len(findings.faults)
        with findings.blaming(place("source", "package")):
            installed(source.package)
        if len(findings.faults) == faults:
            with findings.blaming(place("source", "file")):
                fetch(source, ())
    else:
        findings.unknown(place("source"), _FILES_NOT_READ)
    if schema is not None:
        return findings.storable(schema, asset, place("columns"))
    if columns:
        findings.unknown(place("columns"), "The definition declares no types, so the source determines the columns.")
    return None


def bind_sql(asset: str, statement: str, columns: Sequence[str], findings: Findings) -> pa.Schema | None:
    """Returns the columns of the result of a statement, as DuckDB binds it; `None` where they are not known.

    Args:
        asset: the id of the table.
        statement: one SELECT in DuckDB's dialect.
        columns: names of the described columns.
        findings: collects the faults.
    """

    from lakehouse.query import Query

    try:
        query = Query(findings.tables, timeout_seconds=10.0)
        read = query.tables(statement)
        if read != referenced_tables(statement):
            raise InvalidArgument(
                f"Name each table as project.schema.table; DuckDB reads {', '.join(read) or 'no table'}."
            )
        schemas = schemas_of(read, findings)
        result = None if schemas is None else query.bind(statement, schemas)
    except HeadwaterError as error:
        blame_statement(statement, error, findings)
        return None
    return described(asset, columns, result, findings)


def described(asset: str, columns: Sequence[str], result: pa.Schema | None, findings: Findings) -> pa.Schema | None:
    """Returns the columns of a result if a table can store them, and records described columns that it lacks."""
    if result is None:
        return None
    for name in columns:
        if name not in result.names:
            findings.wrong(place("columns", name), lacking("the result", name, result.names))
    return findings.storable(result, asset, place("sql"))


def schemas_of(tables: Sequence[str], findings: Findings, pointer: str = "") -> dict[str, pa.Schema] | None:
    """Returns the columns of tables by id, or `None` if the columns of one are not known."""
    schemas: dict[str, pa.Schema] = {}
    for number, table in enumerate(tables):
        schema = findings.schema(table, f"{pointer}/{number}" if pointer else place("sql"))
        if schema is not None:
            schemas[table] = schema
    return schemas if len(schemas) == len(tables) else None


def blame_statement(statement: str, error: HeadwaterError, findings: Findings) -> None:
    """Records an error as a fault of the statement, with the position of the column that it names."""
    detail = error.detail.splitlines()[0]  # in the other lines DuckDB lists every function of the name
    findings.wrong(place("sql"), f"{detail}{_position(statement, error)}")


def _position(statement: str, error: HeadwaterError) -> str:
    """Returns line and column of the column that an error names, if the statement contains that word once."""
    metadata: Mapping[str, Any] = error.metadata or {}
    name = str(metadata.get("column", "")).rpartition(".")[2] if isinstance(error, UnknownColumn) else ""
    matches = list(re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", statement, re.IGNORECASE)) if name else []
    if len(matches) != 1:
        return ""
    before = statement[: matches[0].start()]
    return f" (line {before.count(chr(10)) + 1}, column {matches[0].start() - before.rfind(chr(10))})"
