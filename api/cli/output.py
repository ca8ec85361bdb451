"""Output of the commands: tables with one line per row, and JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_PIPED_WIDTH = 100_000
"""Width of an output that is not a terminal, so that each row is on one line."""


def console() -> Console:
    """Returns the console of standard output. It wraps lines only on a terminal."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else _PIPED_WIDTH, highlight=terminal)


def print_json(value: Any) -> None:
    """Prints a value as indented JSON."""
    print(json.dumps(value, indent=1))


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[Any]], *, right: Sequence[str] = (), fold: Sequence[str] = ()
) -> None:
    """Prints rows under headings.

    Args:
        headings: names of the columns.
        rows: cells, printed as text; `None` is printed as `-`.
        right: headings of the columns that are aligned to the right.
        fold: headings of the columns that are wrapped on a narrow terminal.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(
            Text(heading), justify="right" if heading in right else "left", no_wrap=heading not in fold, overflow="fold"
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text("-" if cell is None else str(cell)) for cell in row))
    console().print(table)


def time(text: str | None) -> str | None:
    """Returns an RFC 3339 time without fractions of a second."""
    return None if text is None else text[:19].replace("T", " ")
