"""Splitting of delimited text into fields. Malformed records are rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakehouse.files.dialect import Dialect
from lakehouse.files.options import FileOptions, Format
from lakehouse.files.records import Records, Scanner, scan
from lakehouse.files.rows import Rejected, Texts
from lakehouse.files.text import Text

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Header:
    """The column names of a file, and the line on which the rows begin."""

    names: list[str]
    first_row_line: int
    rejected: Rejected | None = None
    """The header if it's malformed."""
    line: int = 1
    raw: bytes = b""


def dialect_of(options: FileOptions, format: Format) -> Dialect:
    """Returns the dialect of a file."""
    return Dialect(options.separator(format), options.quote, options.escape, options.double_quote, options.comment)


def header_of(text: Text, dialect: Dialect, options: FileOptions) -> Header | None:
    """Reads the header, which is the first record that isn't blank. For files without a header, numbers the columns.

    White space around names is removed. Returns `None` for a blank file.
    """
    for first, last, fields, fault in Scanner(text, dialect, options.skip_lines + 1):
        raw = text.raw(first, last)
        for number in range(first, last + 1):
            fault = fault or text.invalid.get(number, "")
        if not options.header:
            if fields == [] and not fault:
                continue
            names = [f"column_{number}" for number in range(1, len(fields) + 1)]
            return Header(names, options.skip_lines + 1)
        if fault:
            return Header([], last + 1, Rejected(first, raw, fault, text.encoding), first, raw)
        if any(field.strip() for field in fields):
            return Header([field.strip() for field in fields], last + 1, None, first, raw)
        if len(fields) > 1:
            return Header(["" for _ in fields], last + 1, None, first, raw)
    return None


def split(text: Text, dialect: Dialect, options: FileOptions, names: Sequence[str], first_line: int) -> Texts:
    """Splits the records after the header into fields.

    An empty field or a null value without quotes is null; with `trim` or `quoted_nulls`, also in quotes.

    Args:
        text: the file.
        dialect: dialect of the file.
        options: format options of the file.
        names: column names. Each record must have as many fields.
        first_line: line on which the records begin.
    """
    import polars as pl

    nulls = ["", *options.null_values]
    table = None
    records = Records()
    starts: Sequence[int] = []
    if _is_plain(text, dialect, first_line):
        content = _plain_content(text, first_line, len(names))
        table = None if content is None else _read(content, len(names), dialect, nulls, options, multiline=False)
        starts = range(first_line, first_line + table.num_rows) if table is not None else []
    if table is None:
        records = scan(text, dialect, len(names), first_line)
        starts = records.starts
        table = _read(_valid_content(text, records, first_line), len(names), dialect, nulls, options, multiline=True)
        if table is None or table.num_rows != len(starts):
            return _disagreement(text, records, names)

    def reject(index: int, reason: str) -> Rejected:
        line = starts[index]
        return Rejected(line, text.raw(line, records.ends.get(line, line)), reason, text.encoding)

    if options.trim:
        trimmed = pl.DataFrame(table).with_columns(pl.all().str.strip_chars())
        table = trimmed.with_columns(pl.when(~pl.all().is_in(nulls)).then(pl.all())).to_arrow()
    return Texts(table.rename_columns(list(names)), starts, records.rejected, reject)


def _is_plain(text: Text, dialect: Dialect, first_line: int) -> bool:
    """Returns whether each line is one record: no quotes, escapes, comments, undecodable bytes, or mixed line ends."""
    body = text.body
    if dialect.escape is not None or dialect.comment is not None or text.invalid:
        return False
    if dialect.quote is not None and body.find(dialect.quote.encode(), _offset(text, first_line)) >= 0:
        return False
    if text.newline == b"\r":
        return b"\n" not in body
    return b"\r" not in body or body.count(b"\r") == body.count(b"\r\n")


def _offset(text: Text, line: int) -> int:
    position = 0
    for _ in range(1, line):
        end = text.body.find(text.newline, position)
        if end < 0:
            return len(text.body)
        position = end + 1
    return position


def _plain_content(text: Text, first_line: int, expected: int) -> memoryview | None:
    """Returns the text of the rows; `None` if it has blank lines, which Arrow would read as rows of missing values."""
    body = text.body
    start, end = _offset(text, first_line), len(body)
    if expected > 1:
        while end > start and body[end - 1] in b"\r\n":  # blank lines at the end aren't rows
            end -= 1
        newline = text.newline
        blank = (newline + newline, newline + b"\r" + newline)
        if body[start : start + 1] in (b"\r", b"\n") or any(body.find(mark, start, end) >= 0 for mark in blank):
            return None
    return memoryview(body)[start:end]


def _valid_content(text: Text, records: Records, first_line: int) -> memoryview:
    """Returns the text of the valid records."""
    import numpy as np

    if not records.removed:
        return memoryview(text.body)[_offset(text, first_line) :]
    ends = np.flatnonzero(np.frombuffer(text.body, np.uint8) == text.newline[0]) + 1
    begins = [0, *ends.tolist(), len(text.body)]
    view, pieces, line = memoryview(text.body), [], first_line
    for first, last in [*records.removed, (len(begins), len(begins))]:
        if first > line:
            pieces.append(view[begins[line - 1] : begins[min(first, len(begins)) - 1]])
        line = max(line, last + 1)
    return memoryview(b"".join(pieces))


def _read(
    content: memoryview, width: int, dialect: Dialect, nulls: list[str], options: FileOptions, *, multiline: bool
) -> pa.Table | None:
    """Returns all fields as strings; `None` if a record has another number of fields.

    Args:
        content: records without a header.
        width: number of fields of each record.
        dialect: dialect of the content.
        nulls: texts that represent a missing value.
        options: format options of the file.
        multiline: whether a record may have several lines.
    """
    import pyarrow as pa
    from pyarrow import csv

    names = [str(number) for number in range(width)]
    if not content:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    for block in (_BLOCK_BYTES, len(content) + 1):
        try:
            return csv.read_csv(
                pa.BufferReader(pa.py_buffer(content)),
                read_options=csv.ReadOptions(column_names=names, block_size=min(block, len(content) + 1)),
                parse_options=csv.ParseOptions(
                    delimiter=dialect.delimiter,
                    quote_char=dialect.quote or False,
                    double_quote=dialect.double_quote,
                    escape_char=dialect.escape or False,
                    newlines_in_values=multiline,
                    ignore_empty_lines=False,
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    null_values=nulls,
                    strings_can_be_null=not options.trim,
                    quoted_strings_can_be_null=options.quoted_nulls,
                ),
            )
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error):
                return None
    return None


def _disagreement(text: Text, records: Records, names: Sequence[str]) -> Texts:
    import pyarrow as pa

    fault = "the two readers of the platform found different fields in this file"
    rejected = [
        Rejected(line, text.raw(line, records.ends.get(line, line)), fault, text.encoding) for line in records.starts
    ]
    empty = pa.table([pa.array([], pa.string()) for _ in names], names=list(names))
    return Texts(empty, [], [*records.rejected, *rejected], lambda index, _: rejected[index])
