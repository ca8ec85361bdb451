"""Inference of column types. A column is text unless another type represents all of its values exactly.

A value is a number, a date, or a Boolean only if its text is the canonical form of the value: `02134`, `+1`, `1e5`,
`1.10`, and `NaN` stay text, and so do numbers of more than 15 digits, which other programs round.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lakehouse.files.casting import date, number
from lakehouse.files.options import FileOptions

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_MAX_DIGITS = 15
_SAMPLE_SIZE = 1000
"""Number of values that are converted first, because most columns of text already fail there."""


def inferred(rows: pa.Table, options: FileOptions) -> pa.Table:
    """Converts each column of texts to the type that represents all of its values, if there is one."""
    import polars as pl

    return pl.DataFrame([_column(pl.Series(name, rows.column(name)), options) for name in rows.column_names]).to_arrow()


def _column(text: pl.Series, options: FileOptions) -> pl.Series:
    sample = text.head(_SAMPLE_SIZE).drop_nulls()
    if text.null_count() == len(text):
        return text
    for convert in (_integers, _floats, _booleans, _dates):
        if convert(sample, options) is not None and (values := convert(text, options)) is not None:
            return values
    return text


def _converted(text: pl.Series, conversion: pl.Expr) -> pl.Series | None:
    """Returns the values of a conversion; `None` if it fails for a text."""
    values = text.to_frame("text").select(conversion.alias(text.name)).to_series()
    return values if values.null_count() == text.null_count() else None


def _integers(text: pl.Series, options: FileOptions) -> pl.Series | None:
    import polars as pl

    plain = number(pl.col("text"), options)
    values = _converted(text, plain.cast(pl.Int64, strict=False))
    if values is None:
        return None
    canonical = values.cast(pl.String)
    bound = 10**_MAX_DIGITS
    if not values.is_between(-bound, bound, closed="none").fill_null(True).all():
        return None
    if options.thousands is None:
        return values if (canonical == text).fill_null(True).all() else None
    ungrouped = text.str.replace_all(options.thousands, "", literal=True)
    return values if (canonical == ungrouped).fill_null(True).all() else None


def _floats(text: pl.Series, options: FileOptions) -> pl.Series | None:
    import polars as pl

    plain = number(pl.col("text"), options)
    canonical = plain.str.contains(r"^-?(?:0|[1-9][0-9]*)(?:\.(?:0|[0-9]*[1-9]))?$") & (plain.str.len_bytes() < 100)
    zero = plain.str.contains(r"^-0(?:\.0)?$")
    digits = plain.str.replace_all(r"[-.]", "").str.strip_chars_start("0").str.len_bytes()
    values = _converted(
        text, pl.when(canonical & ~zero & (digits <= _MAX_DIGITS)).then(plain.cast(pl.Float64, strict=False))
    )
    if values is None:
        return None
    # Either all integral values are written as `5`, or all as `5.0`. The values alone don't contain the difference.
    integral = text.filter((values == values.floor()).fill_null(False))
    with_point = integral.str.contains(re.escape(options.decimal)).sum()
    return values if with_point in (0, len(integral)) else None


def _booleans(text: pl.Series, options: FileOptions) -> pl.Series | None:
    import polars as pl

    return _converted(
        text, pl.col("text").replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    )


def _dates(text: pl.Series, options: FileOptions) -> pl.Series | None:
    import polars as pl

    return _converted(text, date(pl.col("text"), FileOptions()))
