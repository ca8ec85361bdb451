"""Parsing of delimited text by declared columns into rows and rejected lines with reasons.

Every line of a file is part of a row, part of a rejected line, blank, or a comment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.errors import InvalidArgument
from lakehouse.files.casting import no_rows, typed
from lakehouse.files.dialect import Dialect
from lakehouse.files.options import FileOptions, Format
from lakehouse.files.records import Scanner
from lakehouse.files.rows import LINE, Column, ColumnType, Parsed, Rejected, excerpt
from lakehouse.files.split import Header, dialect_of, header_of, split
from lakehouse.files.text import Text, decoded

__all__ = ["LINE", "Column", "ColumnType", "Parsed", "Rejected", "parse"]


def parse(
    content: bytes,
    columns: Sequence[Column],
    *,
    delimiter: str | None = None,
    null_values: Sequence[str] | None = None,
    options: FileOptions | None = None,
    format: Format = "csv",
) -> Parsed:
    """Parses a file whose header names the declared columns in any order.

    If the header lacks a column or has an undeclared one, all lines of the file are rejected. Without a header, the
    columns are in the declared order.

    Args:
        content: content of the file.
        columns: declared columns.
        delimiter: one character; overrides the option.
        null_values: texts that represent a missing value; overrides the option.
        options: format options of the file.
        format: `csv` or `tsv`.

    Raises:
        InvalidArgument: two columns have the same name.
    """
    options = options or FileOptions()
    if delimiter is not None:
        options = replace(options, delimiter=delimiter)
    if null_values is not None:
        options = replace(options, null_values=tuple(null_values))
    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise InvalidArgument("Two declared columns have the same name. Rename one of them.")
    dialect = dialect_of(options, format)
    text = decoded(content, options.encoding, dialect, options.skip_lines)
    if text.fault:
        return no_rows(columns, [Rejected(1, text.original, text.fault, text.encoding)])
    header = header_of(text, dialect, options)
    if header is None:
        return replace(no_rows(columns, []), blank=True)
    if options.header and (rejected := _rejected_by_header(text, dialect, header, names)):
        return no_rows(columns, rejected)
    names = header.names if options.header else names
    return typed(split(text, dialect, options, names, header.first_row_line), columns, options)


def _rejected_by_header(text: Text, dialect: Dialect, header: Header, names: list[str]) -> list[Rejected]:
    """Returns all lines if the header doesn't match the declared columns; otherwise, an empty list."""
    if header.rejected is not None:
        fault, first = header.rejected.reason, header.rejected
    elif fault := _header_fault(header.names, names):
        first = Rejected(header.line, header.raw, fault, text.encoding)
    else:
        return []
    rejected = [first]
    for line, last, fields, reason in Scanner(text, dialect, header.first_row_line):
        undecodable = next((text.invalid[number] for number in range(line, last + 1) if number in text.invalid), "")
        if reason or undecodable or any(field.strip(" ") for field in fields) or len(fields) > 1:
            rejected.append(Rejected(line, text.raw(line, last), reason or undecodable or fault, text.encoding))
    return rejected


def _header_fault(header: list[str], declared: list[str]) -> str:
    faults = []
    if missing := [name for name in declared if name not in header]:
        faults.append(f"the header lacks {', '.join(missing)}")
    if extra := [name for name in header if name not in declared]:
        faults.append(f"the header has undeclared columns {', '.join(map(excerpt, extra))}")
    if not faults and len(header) != len(set(header)):
        faults.append("the header names a column twice")
    return "; ".join(faults)
