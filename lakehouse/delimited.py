"""Reading delimited text row by row: what fits the declared columns, and what does not, with the reason.

Nothing is lost: every line of a file is a row, a rejected line or blank.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from core.errors import InvalidArgument

if TYPE_CHECKING:
    import polars as pl

ColumnType = Literal["string", "int32", "int64", "float64", "bool", "date", "timestamp"]
"""`date` is `YYYY-MM-DD`; `timestamp` is ISO 8601 with an offset or Z, kept in UTC."""

LINE = "_line"
"""Column of the line a row began on; the header is line 1."""

_MAX_LINES_OF_A_ROW = 100
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Column:
    """A declared column. Bounds are inclusive and apply to numbers."""

    name: str
    type: ColumnType
    nullable: bool = True
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line, or the lines of one row, that became no row."""

    line: int
    raw: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows in the declared columns plus `_line`, and everything else."""

    rows: pl.DataFrame
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    raw: bytes
    fields: list[str]
    fault: str = ""


def parse(
    content: bytes, columns: Sequence[Column], *, delimiter: str = ",", null_values: Sequence[str] = ("",)
) -> Parsed:
    """Parses a file whose first line names its columns, in any order.

    A header that lacks a column or has an undeclared one rejects the whole file, line by line: which value would
    belong where is then a guess.

    Args:
        content: the file; UTF-8, with or without a byte order mark, or UTF-16 with one.
        columns: what is expected.
        delimiter: one character.
        null_values: texts that stand for a missing value, besides the empty one.

    Raises:
        InvalidArgument: two columns have the same name.
    """
    import polars as pl

    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        raise InvalidArgument("Two declared columns have the same name.")
    content = _utf8(content)
    records = _records(content, delimiter)
    header = next(records, None)
    found = [field.strip() for field in header.fields] if header else names
    if header and (fault := header.fault or _header_fault(found, names)):
        rejected = [Rejected(header.line, header.raw, fault)]
        rejected += [Rejected(record.line, record.raw, record.fault or fault) for record in records]
        return Parsed(_typed(_Texts(_strings([], names), [], []), columns, set())[0], rejected)
    split = _split_plain(content, found, delimiter) if _is_plain(content) else _split_records(records, found)
    rows, rejected = _typed(split, columns, {"", *null_values})
    return Parsed(rows.select(*names, pl.col(LINE)), sorted(rejected, key=lambda item: item.line))


@dataclass(frozen=True, slots=True)
class _Texts:
    """Rows as texts, their lines in `_line`; the raw form of each; what was rejected before."""

    rows: pl.DataFrame
    raws: Sequence[bytes] | pl.Series
    rejected: list[Rejected]

    def reject(self, index: int, reason: str) -> Rejected:
        raw = self.raws[index]
        return Rejected(int(self.rows[LINE][index]), raw.encode() if isinstance(raw, str) else raw, reason)


def _is_plain(content: bytes) -> bool:
    """Whether lines can be split without looking at each: no quotes, no broken encoding."""
    if b'"' in content:
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _split_plain(content: bytes, names: list[str], delimiter: str) -> _Texts:
    import polars as pl

    lines = pl.DataFrame({"text": content.decode().split("\n")}).with_row_index(LINE, offset=1)
    lines = lines.with_columns(pl.col("text").str.strip_suffix("\r"), pl.col(LINE).cast(pl.Int64))
    lines = lines.filter(pl.col("text").str.strip_chars() != "").slice(1)
    count = pl.col("text").str.count_matches(delimiter, literal=True) + 1
    odd = lines.filter(count != len(names)).with_columns(count.alias("count"))
    rejected = [Rejected(line, text.encode(), _count_fault(n, len(names))) for line, text, n in odd.iter_rows()]
    lines = lines.filter(count == len(names))
    fields = lines["text"].str.split_exact(delimiter, len(names) - 1).struct.rename_fields(names).struct.unnest()
    return _Texts(fields.with_columns(lines[LINE]), lines["text"], rejected)


def _split_records(records: Iterator[_Record], names: list[str]) -> _Texts:
    kept, rejected = [], []
    for record in records:
        if record.fault:
            rejected.append(Rejected(record.line, record.raw, record.fault))
        elif len(record.fields) != len(names):
            rejected.append(Rejected(record.line, record.raw, _count_fault(len(record.fields), len(names))))
        else:
            kept.append(record)
    return _Texts(_strings(kept, names), [record.raw for record in kept], rejected)


def _strings(records: list[_Record], names: list[str]) -> pl.DataFrame:
    import polars as pl

    columns = zip(*(record.fields for record in records), strict=True) if records else [[] for _ in names]
    data = [pl.Series(name, values, dtype=pl.String) for name, values in zip(names, columns, strict=True)]
    return pl.DataFrame([*data, pl.Series(LINE, [record.line for record in records], dtype=pl.Int64)])


def _utf8(content: bytes) -> bytes:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16").encode()
        except UnicodeDecodeError:
            return content  # every line will say what is wrong with it
    return content.removeprefix(b"\xef\xbb\xbf")


def _records(content: bytes, delimiter: str) -> Iterator[_Record]:
    lines = content.split(b"\n")
    position = 0
    while position < len(lines):
        number, raw = position + 1, lines[position].removesuffix(b"\r")
        position += 1
        if not raw.strip():
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            yield _Record(number, raw, [], f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start + 1}")
            continue
        if '"' not in text:
            yield _Record(number, raw, text.split(delimiter))
            continue
        record, used = _quoted(lines, number, text, delimiter)
        position += used
        yield record


def _quoted(lines: list[bytes], number: int, text: str, delimiter: str) -> tuple[_Record, int]:
    """A row with quotes, which may go on over following lines; returns how many of those it took."""
    first = text
    for used in range(_MAX_LINES_OF_A_ROW):
        try:
            fields = next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                return _Record(number, first.encode(), [], f"broken quoting: {error}"), 0
            following = lines[number + used : number + used + 1]
            try:
                text += "\n" + following[0].removesuffix(b"\r").decode()
            except (IndexError, UnicodeDecodeError):
                break
        else:
            return _Record(number, text.encode(), fields), used
    # Only the line with the open quote is given up: what follows may be sound rows.
    return _Record(number, first.encode(), [], "broken quoting: a quote is never closed"), 0


def _header_fault(found: list[str], names: list[str]) -> str:
    faults = []
    if missing := [name for name in names if name not in found]:
        faults.append(f"the header lacks {', '.join(missing)}")
    if extra := [name for name in found if name not in names]:
        faults.append(f"the header has undeclared {', '.join(map(_shown, extra))}")
    if not faults and len(found) != len(set(found)):
        faults.append("the header names a column twice")
    return "; ".join(faults)


def _count_fault(count: int, expected: int) -> str:
    kind = "extra" if count > expected else "missing"
    return f"{kind} columns: {count} instead of {expected}"


def _typed(split: _Texts, columns: Sequence[Column], missing: set[str]) -> tuple[pl.DataFrame, list[Rejected]]:
    import polars as pl

    present = [pl.when(~pl.col(column.name).is_in(sorted(missing))).then(column.name) for column in columns]
    texts = split.rows.with_columns(present)
    rows = texts.with_columns(_cast(column).alias(column.name) for column in columns)
    faults: dict[int, list[str]] = {}
    for column in columns:
        for index, fault in _faults(column, texts[column.name], rows[column.name]):
            faults.setdefault(index, []).append(fault)
    if not faults:
        return rows, split.rejected
    rejected = [split.reject(index, "; ".join(reasons)) for index, reasons in faults.items()]
    sound = pl.Series([index not in faults for index in range(rows.height)], dtype=pl.Boolean)
    return rows.filter(sound), [*split.rejected, *rejected]


def _faults(column: Column, text: pl.Series, value: pl.Series) -> Iterator[tuple[int, str]]:
    for index in (text.is_not_null() & value.is_null()).arg_true():
        yield index, f"{column.name}: {_shown(text[index])} is no {column.type}"
    if not column.nullable:
        for index in text.is_null().arg_true():
            yield index, f"{column.name} is missing"
    if column.min is not None:
        for index in (value < column.min).arg_true():
            yield index, f"{column.name}: {value[index]} is below {column.min:g}"
    if column.max is not None:
        for index in (value > column.max).arg_true():
            yield index, f"{column.name}: {value[index]} is above {column.max:g}"


def _cast(column: Column) -> pl.Expr:
    """The text as its type; null where it does not fit."""
    import polars as pl

    text = pl.col(column.name)
    if column.type == "string":
        return text
    text = text.str.strip_chars()
    if column.type in ("int32", "int64"):
        return text.cast(pl.Int32 if column.type == "int32" else pl.Int64, strict=False)
    if column.type == "float64":
        number = text.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite()).then(number)
    if column.type == "bool":
        return text.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
    if column.type == "date":
        return text.str.to_date("%Y-%m-%d", strict=False)
    return text.str.to_datetime("%+", time_unit="us", strict=False).dt.convert_time_zone("UTC")


_BOOLEANS: Mapping[str, bool] = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
