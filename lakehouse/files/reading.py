"""Reading of files of any format, with declared or inferred columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import SchemaMismatch
from lakehouse.delimited import parse
from lakehouse.files.casting import no_rows
from lakehouse.files.compression import decompressed
from lakehouse.files.inference import inferred
from lakehouse.files.objects import infer_objects, parse_objects
from lakehouse.files.options import FileOptions, Format
from lakehouse.files.parquet import parse_parquet, read_parquet
from lakehouse.files.rows import LINE, Column, Parsed, Rejected, name_fault
from lakehouse.files.split import dialect_of, header_of, split
from lakehouse.files.text import decoded

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_LISTED_FAULTS = 3


def read_rows(
    content: bytes, name: str, columns: Sequence[Column], options: FileOptions, *, allow_blank: bool = True
) -> Parsed:
    """Parses a file by declared columns. Returns the rows, and the rejected lines with reasons.

    A gzip or Zstandard file is decompressed. If that isn't possible, the file is rejected as one line.

    Args:
        content: content of the file.
        name: name or address of the file. It determines the format unless the options contain one.
        columns: declared columns.
        options: format options of the file.
        allow_blank: whether the file may have neither a header nor rows.

    Raises:
        SchemaMismatch: the file is blank, and `allow_blank` is false.
        InvalidArgument: two columns have the same name.
        PayloadTooLarge: the decompressed content is too large.
    """
    try:
        content = decompressed(content, name)
    except SchemaMismatch as error:
        return no_rows(columns, [Rejected(1, content, error.detail)])
    format = options.format_of(name)
    if format == "parquet":
        return parse_parquet(content, name, columns)
    if format in ("json", "jsonl"):
        return parse_objects(content, columns, options, format)
    parsed = parse(content, columns, options=options, format=format)
    if parsed.blank and not allow_blank:
        raise _no_header(name)
    return parsed


def read_table(content: bytes, name: str, columns: Sequence[Column], options: FileOptions) -> pa.Table:
    """Reads a file completely. Without declared columns, the types are inferred.

    Raises:
        SchemaMismatch: lines don't match the columns, or the file can't be decompressed. The message says why.
        PayloadTooLarge: the decompressed content is too large.
    """
    content = decompressed(content, name)
    if not content:
        raise SchemaMismatch(f"{name} is empty. A file needs at least a header. Send the file again.")
    if not columns:
        return _untyped(content, name, options)
    parsed = read_rows(content, name, columns, options, allow_blank=False)
    if parsed.rejected:
        raise SchemaMismatch(
            f"{len(parsed.rejected)} lines of {name} don't match the declared columns: {_list(parsed.rejected)}. "
            "Correct the file, the columns, or the options of its source. A landing source would quarantine such lines."
        )
    return parsed.rows.drop(LINE).to_arrow()


def _untyped(content: bytes, name: str, options: FileOptions) -> pa.Table:
    format = options.format_of(name)
    if format == "parquet":
        return _with_valid_names(read_parquet(content, name), name)
    if format in ("json", "jsonl"):
        return _with_valid_names(infer_objects(content, name, options, format), name)
    return _untyped_text(content, name, options, format)


def _with_valid_names(table: pa.Table, name: str) -> pa.Table:
    if fault := name_fault(table.column_names):
        raise SchemaMismatch(f"{name} {fault}.")
    for field in table.schema:
        if fault := _nested_fault(field.type):
            raise SchemaMismatch(f"{name}: the column {field.name} {fault}.")
    return table


def _nested_fault(kind: pa.DataType) -> str:
    """Returns why a type can't be stored because of names inside it; an empty string if it can."""
    from pyarrow import types

    fields = [kind.field(number) for number in range(kind.num_fields)]
    if types.is_struct(kind):
        if not fields:
            return "has objects without keys, which can't become a struct"
        if fault := name_fault([field.name for field in fields]):
            return f"{fault} inside it"
    return next((fault for field in fields if (fault := _nested_fault(field.type))), "")


def _untyped_text(content: bytes, name: str, options: FileOptions, format: Format) -> pa.Table:
    dialect = dialect_of(options, format)
    text = decoded(content, options.encoding, dialect, options.skip_lines)
    if text.fault:
        raise SchemaMismatch(f"{name} is {text.fault}. Declare the encoding of its source.")
    header = header_of(text, dialect, options)
    if header is None:
        raise _no_header(name)
    if header.rejected is not None:
        raise SchemaMismatch(
            f"The header of {name}, line {header.line}, can't be read: {header.rejected.reason}. Correct the file."
        )
    if fault := name_fault(header.names):
        raise SchemaMismatch(
            f"The header of {name}, line {header.line}, {fault}. Correct it, or skip it (`skip_lines`), read without a "
            "header (`header: false`), and declare the columns."
        )
    texts = split(text, dialect, options, header.names, header.first_row_line)
    if texts.rejected:
        raise SchemaMismatch(
            f"{len(texts.rejected)} lines of {name} don't match its header: {_list(texts.rejected)}. Correct the file "
            "or the options of its source."
        )
    return inferred(texts.rows, options)


def _no_header(name: str) -> SchemaMismatch:
    return SchemaMismatch(f"{name} has no header: each line is blank, a comment, or skipped. Correct the file.")


def _list(rejected: Sequence[Rejected]) -> str:
    by_line = sorted(rejected, key=lambda item: item.line)
    return "; ".join(f"line {item.line}: {item.reason}" for item in by_line[:_MAX_LISTED_FAULTS])
