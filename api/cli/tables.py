"""`headwater tables` and `query`: the lakehouse of this home from a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.db import Database
from core.errors import InvalidArgument
from core.settings import load_settings

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Tables

_CELL_CHARACTERS = 60


def register(app: typer.Typer) -> None:
    """Adds the commands of this page."""
    app.command("tables")(list_tables)
    app.command()(query)


def list_tables(
    prefix: Annotated[str, typer.Argument(help="Only ids that start so, such as flights.gold.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List Delta tables with version, rows and size."""
    rows: list[dict[str, Any]] = []
    with _open_tables() as tables:
        for name in tables.list(prefix):
            found = tables.snapshot(name)
            rows.append({"table": name, "version": found.version, "rows": found.row_count, "bytes": found.size_bytes})
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("table", box=None, pad_edge=False)
    for heading in ("version", "rows", "MB"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row["table"], str(row["version"]), f"{row['rows']:,}", f"{row['bytes'] / 1e6:.1f}")
    Console().print(table)


def query(
    sql: Annotated[str, typer.Argument(help="A SELECT over table ids, such as flights.silver.flights; - reads stdin.")],
    limit: Annotated[int, typer.Option(help="Most rows shown.")] = 50,
    output: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
) -> None:
    """Run SQL over the lakehouse (DuckDB, read-only)."""
    from lakehouse.query import Query

    statement = sys.stdin.read() if sql == "-" else sql
    with _open_tables() as tables:
        _show(Query(tables).sql(statement, limit=limit).table, output)


def _show(rows: pa.Table, output: str) -> None:
    if output == "csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(rows, sys.stdout.buffer)
    elif output == "json":
        for row in rows.to_pylist():
            print(json.dumps(row, default=str))
    elif output == "table":
        from rich.console import Console
        from rich.table import Table

        table = Table(*rows.column_names, box=None, pad_edge=False)
        for row in rows.to_pylist():
            table.add_row(*(str("" if value is None else value)[:_CELL_CHARACTERS] for value in row.values()))
        Console().print(table)
    else:
        raise InvalidArgument(f"--format {output}: choose table, csv or json.")


@contextmanager
def _open_tables() -> Iterator[Tables]:
    from lakehouse.tables import Tables

    settings = load_settings()
    database = Database(settings.effective_database_url)
    try:
        yield Tables.from_settings(settings, database)
    finally:
        database.close()
