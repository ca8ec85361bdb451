"""Conversion of texts to the declared types. Texts that don't represent a value exactly are rejected with a reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from lakehouse.files.options import FileOptions
from lakehouse.files.rows import LINE, Column, Parsed, Rejected, Texts, excerpt

if TYPE_CHECKING:
    import polars as pl

Faults: TypeAlias = dict[int, list[str]]
"""Reasons by index of the row."""

_BATCH_SIZE = 4
"""Number of columns that are converted at the same time, so that not all texts of a wide table are in memory twice."""
_INTEGER_TYPES = ("int32", "int64")
_BOOLEANS: Mapping[str, bool] = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_DIGITS = {
    "%Y": "[0-9]{4}",
    "%F": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "%T": "[0-9]{2}:[0-9]{2}:[0-5][0-9]",
    "%R": "[0-9]{2}:[0-9]{2}",
    "%s": "-?[0-9]+",
    "%z": "[+-][0-9]{4}",
    "%:z": "[+-][0-9]{2}:[0-9]{2}",
    "%%": "%",
    # Timestamps have microseconds, so that further digits must be zeros.
    "%f": "[0-9]{6}000",
    "%9f": "[0-9]{6}000",
    "%.9f": r"\.[0-9]{6}000",
    "%.f": r"(?:\.[0-9]{1,6}0*)?",
    "%S": "[0-5][0-9]",
} | dict.fromkeys(("%d", "%m", "%H", "%M", "%I"), "[0-9]{2}")
_TIMESTAMP = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6}0*)?"
    r"(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})$"
)


def typed(texts: Texts, columns: Sequence[Column], options: FileOptions) -> Parsed:
    """Converts each column to its type. A row with an invalid value is rejected with all reasons.

    In columns of types other than string, an empty text or a null value in quotes is a missing value as well.
    """
    import polars as pl

    nulls = ["", *options.null_values]
    values: list[pl.Series] = []
    faults: Faults = {}
    for start in range(0, len(columns), _BATCH_SIZE):
        batch = columns[start : start + _BATCH_SIZE]
        frame = pl.DataFrame([pl.Series(column.name, texts.rows.column(column.name)) for column in batch])
        frame = frame.with_columns(
            pl.when(~pl.col(column.name).is_in(nulls)).then(column.name).alias(column.name)
            for column in batch
            if column.type != "string"
        )
        converted = frame.select(cast(column, options).alias(column.name) for column in batch)
        for column in batch:
            add_faults(faults, column, frame[column.name], converted[column.name])
        values += converted.get_columns()
    lines = pl.Series(LINE, texts.lines, dtype=pl.Int64)
    return without_faults(pl.DataFrame([*values, lines]), texts.rejected, faults, texts.reject)


def without_faults(
    rows: pl.DataFrame, rejected: Sequence[Rejected], faults: Faults, reject: Callable[[int, str], Rejected]
) -> Parsed:
    """Rejects the rows that have faults.

    Args:
        rows: values and lines.
        rejected: lines that were already rejected.
        faults: reasons by index of the row.
        reject: function that rejects the row at an index with a reason.
    """
    import polars as pl

    all_rejected = [*rejected, *(reject(index, "; ".join(reasons)) for index, reasons in faults.items())]
    if faults:
        rows = rows.filter(pl.Series([index not in faults for index in range(rows.height)], dtype=pl.Boolean))
    return Parsed(rows, sorted(all_rejected, key=lambda item: item.line))


def no_rows(columns: Sequence[Column], rejected: list[Rejected]) -> Parsed:
    """Returns a result without rows."""
    import pyarrow as pa

    empty = pa.table([pa.array([], pa.string()) for _ in columns], names=[column.name for column in columns])
    return typed(Texts(empty, [], rejected, lambda index, _: rejected[index]), columns, FileOptions())


def cast(column: Column, options: FileOptions) -> pl.Expr:
    """Returns an expression that converts the texts of a column; null for invalid texts."""
    import polars as pl

    text = pl.col(column.name)
    if column.type == "string":
        return text
    text = text.str.strip_chars()
    if column.type in _INTEGER_TYPES:
        return number(text, options).cast(pl.Int32 if column.type == "int32" else pl.Int64, strict=False)
    if column.type == "float64":
        return _float(number(text, options))
    if column.type == "bool":
        return text.str.to_lowercase().replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean)
    return date(text, options) if column.type == "date" else _timestamp(text, options)


def number(text: pl.Expr, options: FileOptions) -> pl.Expr:
    """Returns an expression for numbers with a decimal point and without separators; null for misplaced separators."""
    import polars as pl

    decimal, thousands = options.decimal, options.thousands
    if thousands is not None:
        separator = re.escape(thousands)
        grouped = rf"^[+-]?[0-9]{{1,3}}(?:{separator}[0-9]{{3}})+(?:{re.escape(decimal)}[0-9]*)?$"
        ungrouped = ~text.str.contains(thousands, literal=True)
        text = pl.when(ungrouped | text.str.contains(grouped)).then(text.str.replace_all(thousands, "", literal=True))
    if decimal != ".":
        text = pl.when(~text.str.contains(".", literal=True)).then(text.str.replace(decimal, ".", literal=True))
    return text


def date(text: pl.Expr, options: FileOptions) -> pl.Expr:
    """Returns an expression for dates whose text is in the exact format; null for others, such as `13-1-31`."""
    import polars as pl

    form = options.date_format or "%Y-%m-%d"
    value = text.str.to_date(form, strict=False, exact=True)
    return pl.when((value.dt.to_string(form).str.strip_chars() == text) & value.dt.year().is_between(1, 9999)).then(
        value
    )


def _float(text: pl.Expr) -> pl.Expr:
    import polars as pl

    value = text.cast(pl.Float64, strict=False)
    underflow = (value == 0) & text.str.contains(r"^[^eE]*[1-9]")
    return pl.when(value.is_finite() & ~underflow).then(value)


def _timestamp(text: pl.Expr, options: FileOptions) -> pl.Expr:
    import polars as pl

    form = options.timestamp_format
    if form is None:
        value = text.str.to_datetime("%+", time_unit="us", strict=False).dt.convert_time_zone("UTC")
        fits = text.str.contains(_TIMESTAMP)
    elif options.time_zone is not None:
        local = text.str.to_datetime(form, time_unit="us", strict=False, exact=True)
        # The number of digits of a fraction may differ from that of the formatted value.
        fits = _matches_format(text, form) if "f" in form else local.dt.to_string(form).str.strip_chars() == text
        # An hour that a clock change skips or repeats isn't one instant.
        value = local.dt.replace_time_zone(options.time_zone, ambiguous="null", non_existent="null")
        value = value.dt.convert_time_zone("UTC")
    else:
        value = text.str.to_datetime(form, time_unit="us", strict=False, exact=True).dt.convert_time_zone("UTC")
        fits = _matches_format(text, form)
    return pl.when(fits & value.dt.year().is_between(1, 9999)).then(value)


def _matches_format(text: pl.Expr, form: str) -> pl.Expr:
    """Returns an expression for whether the text has the digits that a format requires, such as four for the year.

    Texts with an offset can't be compared with the formatted instant, because the instant doesn't contain the offset.
    """
    pattern = "".join(
        _DIGITS.get(part, r".+?") if part.startswith("%") else re.escape(part)
        for part in re.findall(r"%[-_0.:#]*\d?[A-Za-z%]|[^%]+|%", form)
    )
    return text.str.contains(f"^{pattern}$")


def add_faults(faults: Faults, column: Column, text: pl.Series, value: pl.Series) -> None:
    """Adds the faults of a column: invalid texts, missing values, and values out of bounds."""
    for index, fault in _faults(column, text, value):
        faults.setdefault(index, []).append(fault)


def _faults(column: Column, text: pl.Series, value: pl.Series) -> Iterator[tuple[int, str]]:
    for index in (text.is_not_null() & value.is_null()).arg_true():
        yield index, f"{column.name}: {excerpt(text[index])} is not a valid {column.type}"
    if not column.nullable:
        for index in text.is_null().arg_true():
            yield index, f"{column.name} is missing"
    if column.min is not None:
        for index in (value < column.min).arg_true():
            yield index, f"{column.name}: {value[index]} is below {column.min:g}"
    if column.max is not None:
        for index in (value > column.max).arg_true():
            yield index, f"{column.name}: {value[index]} is above {column.max:g}"
