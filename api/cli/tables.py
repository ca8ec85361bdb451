"""The commands `headwater tables` and `query`.

With `HEADWATER_URL` or `HEADWATER_TOKEN`, they call the API with the permissions of the token. Otherwise they read the
lakehouse of the home directly, even if the platform does not run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.client import Client
from api.cli.output import print_json, print_table
from core.errors import InvalidArgument, UnknownTable
from core.settings import Settings, load_settings

if TYPE_CHECKING:
    import pyarrow as pa

    from lakehouse.tables import Tables

_MAX_CELL_LENGTH = 60
_MAX_ROWS = 100_000

tables = typer.Typer(
    help="List Delta tables, or accept the current state of a damaged table.", invoke_without_command=True
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the app."""
    app.add_typer(tables, name="tables")
    app.command()(query)


@tables.callback()
def list_tables(
    context: typer.Context,
    prefix: Annotated[str, typer.Option(help="Only ids with this prefix, such as flights.gold.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List Delta tables with version, rows, and size."""
    if context.invoked_subcommand:
        return
    settings = load_settings()
    rows = list(_remote(settings, prefix) if _through_api(settings) else _local(settings, prefix))
    if as_json:
        print_json(rows)
        return
    cells = [(row["table"], row["version"], f"{row['rows']:,}", f"{row['bytes'] / 1e6:.1f}") for row in rows]
    print_table(("table", "version", "rows", "MB"), cells, right=("version", "rows", "MB"))


@tables.command("adopt")
def adopt(table: Annotated[str, typer.Argument(help="Id of the table.")]) -> None:
    """Accept the current state of a table of this home whose log was altered or lost commits."""
    with _open_tables(load_settings()) as opened:
        if not opened.exists(table) and not opened.ledger.has_commits(table):
            raise UnknownTable(f"There is no table {table}. Run `headwater tables` to list the tables.")
        opened.adopt(table)
        if opened.exists(table):
            print(f"{table}  version {opened.snapshot(table).version}")
        else:
            print(f"{table} has no log and is abandoned. The next run of its asset creates it again.")


def query(
    sql: Annotated[
        str, typer.Argument(help="A SELECT over table ids, such as flights.silver.flights, or - for stdin.")
    ],
    limit: Annotated[int, typer.Option(help="Maximum number of rows.", min=1, max=_MAX_ROWS)] = 50,
    output: Annotated[str, typer.Option("--format", help="table, csv, or json.")] = "table",
) -> None:
    """Run SQL over the lakehouse (DuckDB, read-only)."""
    if output not in ("table", "csv", "json"):
        raise InvalidArgument(f"--format {output}: choose table, csv, or json.")
    statement = sys.stdin.read() if sql == "-" else sql
    settings = load_settings()
    if _through_api(settings):
        _show(Client(settings).arrow("ai-catalog/queries:run", {"sql": statement, "limit": limit}), output)
        return
    from lakehouse.query import Query

    with _open_tables(settings) as opened:
        _show(Query(opened).sql(statement, limit=limit).table, output)


def _through_api(settings: Settings) -> bool:
    return bool(settings.url or settings.token)


def _remote(settings: Settings, prefix: str) -> Iterator[dict[str, Any]]:
    client = Client(settings)
    for asset in client.items("ai-catalog/assets", show_retired=True):
        if asset["table_version"] is not None and asset["id"].startswith(prefix):
            schema = client.get(f"ai-catalog/assets/{asset['id']}/schema")
            yield {
                "table": asset["id"],
                "version": schema["table_version"],
                "rows": schema["row_count"],
                "bytes": schema["size_bytes"],
            }


def _local(settings: Settings, prefix: str) -> Iterator[dict[str, Any]]:
    with _open_tables(settings) as opened:
        for name in opened.list(prefix):
            snapshot = opened.snapshot(name)
            yield {"table": name, "version": snapshot.version, "rows": snapshot.row_count, "bytes": snapshot.size_bytes}


def _show(rows: pa.Table, output: str) -> None:
    from lakehouse.bytes_as_text import bytes_as_text
    from lakehouse.python_rows import python_values

    rows = bytes_as_text(rows)
    if output == "csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(rows, sys.stdout.buffer)
        return
    columns = [python_values(column) for column in rows.columns]
    values = list(zip(*columns, strict=True)) if columns else []
    if output == "json":
        for row in values:
            print(json.dumps(dict(zip(rows.column_names, row, strict=True)), default=str))
        return
    # Values are truncated only on a terminal.
    length = _MAX_CELL_LENGTH if sys.stdout.isatty() else None
    print_table(rows.column_names, [["" if cell is None else str(cell)[:length] for cell in row] for row in values])


@contextmanager
def _open_tables(settings: Settings) -> Iterator[Tables]:
    from core.db import Database
    from lakehouse.tables import Tables

    database = Database(settings.effective_database_url)
    try:
        yield Tables.from_settings(settings, database)
    finally:
        database.close()
