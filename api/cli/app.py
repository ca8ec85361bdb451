"""The `headwater` command, its subcommands, and its error messages."""

from __future__ import annotations

import sys

import typer
import typer.core

from api.cli import (
    catalog,
    doctor,
    explain,
    indexes,
    models,
    new_kind,
    operations,
    platform,
    schedules,
    tables,
    users,
)
from core.errors import HeadwaterError

# Typer would import rich to format help texts, and print a backslash before the brackets of defaults.
typer.core.HAS_RICH = False

app = typer.Typer(
    name="headwater",
    help="An AI platform in which everything produced is an asset in one lakehouse with one lineage graph.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    platform,
    doctor,
    catalog,
    operations,
    tables,
    models,
    indexes,
    schedules,
    users,
    explain,
    new_kind,
):
    module.register(app)


def main() -> None:
    """Runs the command. An error of the platform is one line on stderr and exit status 1."""
    try:
        app()
    except HeadwaterError as error:
        print(f"headwater: {error.detail}", file=sys.stderr)
        for fault in error.errors:
            print(f"  {fault.get('pointer', '')}: {fault.get('detail', '')}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)
