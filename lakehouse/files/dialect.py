"""Dialects of delimited text."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_MAX_FIELD_LENGTH = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Dialect:
    """The characters that separate and quote fields."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    double_quote: bool = True
    comment: str | None = None

    def reader(self, lines: Iterable[str], *, strict: bool = True) -> Any:
        """Returns a reader of Python's `csv` module for this dialect."""
        # The limit applies to the process. The size limit of files already limits a field.
        csv.field_size_limit(_MAX_FIELD_LENGTH)
        quoting: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if self.quote is None else {"quotechar": self.quote}
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            escapechar=self.escape,
            doublequote=self.double_quote,
            strict=strict,
            **quoting,
        )
