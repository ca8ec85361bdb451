"""The `headwater` command."""

from __future__ import annotations

import sys

import typer

from api.cli import catalog, doctor, explain, new_kind, platform, tables
from core.errors import HeadwaterError

app = typer.Typer(
    name="headwater",
    help="An AI platform in which everything produced is an asset in one lakehouse with one lineage graph.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
platform.register(app)
doctor.register(app)
catalog.register(app)
tables.register(app)
explain.register(app)
new_kind.register(app)


def main() -> None:
    """Runs the command; an expected error is one line on stderr and exit status 1."""
    try:
        app()
    except HeadwaterError as error:
        print(f"headwater: {error.detail}", file=sys.stderr)
        for fault in error.errors:
            print(f"  {fault.get('pointer', '')}: {fault.get('detail', '')}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
