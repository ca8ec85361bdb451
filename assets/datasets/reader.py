"""Options that declare the format of the files of a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import dagster as dg
from pydantic import BeforeValidator, Field, model_validator

from core.errors import InvalidArgument
from lakehouse.files.options import Encoding, FileOptions, Format, known_encoding


def _encoding(value: object) -> object:
    return known_encoding(value) if isinstance(value, str) else value


_Character = Annotated[str, Field(min_length=1, max_length=1)]


class ReaderOptions(dg.Model):
    """Options of every source that reads files. The defaults describe CSV as in RFC 4180, in UTF-8 with a header."""

    format: Format | None = Field(
        default=None,
        description="Format of the file. By default the suffix of its name: .csv, .tsv, .jsonl, .json, .parquet.",
    )
    encoding: Annotated[Encoding, BeforeValidator(_encoding)] = Field(
        default="utf-8",
        description="Character encoding. A byte order mark in the file has precedence. Invalid bytes are refused or "
        "quarantined.",
    )
    delimiter: _Character | None = Field(
        default=None, description="Character between fields. By default a comma, or a tab in TSV."
    )
    quote: _Character | None = Field(
        default='"', description="Character around fields that contain delimiters or line ends. Null disables quotes."
    )
    escape: _Character | None = Field(
        default=None,
        description="Character before a delimiter, quote, line end, or itself that is part of a text.",
    )
    double_quote: bool = Field(
        default=True, description="Whether two quotes inside a quoted field represent one quote."
    )
    header: bool = Field(
        default=True,
        description="Whether the first line contains the column names. Otherwise columns are in the declared order.",
    )
    skip_lines: int = Field(default=0, ge=0, description="Number of lines to skip before the header.")
    comment: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Lines that begin with this text are skipped."
    )
    decimal: Literal[".", ","] = Field(default=".", description="Decimal mark of numbers.")
    thousands: Literal[",", ".", " ", "'", "\u00a0", "\u202f"] | None = Field(
        default=None, description="Separator between groups of three digits of numbers."
    )
    quoted_nulls: bool = Field(
        default=False,
        description="Whether an empty field in quotes, or a text of null_values in quotes, is a missing value.",
    )
    trim: bool = Field(
        default=False,
        description="Whether white space around texts is removed. A text of null_values is then missing also in "
        "quotes.",
    )
    date_format: str | None = Field(
        default=None,
        description="strftime format of dates, with the year as %Y. By default YYYY-MM-DD.",
        examples=["%d.%m.%Y"],
    )
    timestamp_format: str | None = Field(
        default=None,
        description="strftime format of timestamps, with the year as %Y. By default ISO 8601 with an offset or Z.",
        examples=["%d/%m/%Y %H:%M"],
    )
    time_zone: str | None = Field(
        default=None,
        description="IANA time zone of timestamps whose timestamp_format has no offset. A local time that does not "
        "exist or occurs twice in the zone is refused or quarantined.",
        examples=["Europe/Berlin"],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            self.options(())
        except InvalidArgument as error:
            raise ValueError(str(error)) from error
        return self

    def options(self, null_values: Sequence[str]) -> FileOptions:
        """Returns the options with the null values of the definition.

        Raises:
            InvalidArgument: two options contradict each other.
        """
        return FileOptions(
            null_values=tuple(null_values), **{name: getattr(self, name) for name in ReaderOptions.model_fields}
        )
