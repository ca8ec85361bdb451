"""Format options of files: format, encoding, dialect, and the forms of values."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal, get_args
from urllib.parse import urlsplit

from core.errors import InvalidArgument
from lakehouse.files.compression import SUFFIXES

Format = Literal["csv", "tsv", "jsonl", "json", "parquet"]

Encoding = Literal[
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "ascii",
    "iso-8859-1", "iso-8859-2", "iso-8859-5", "iso-8859-7", "iso-8859-9", "iso-8859-15",
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp437", "cp850", "cp852",
    "koi8-r", "mac-roman", "cp932", "euc-jp", "gb18030", "big5", "cp949",
]  # fmt: skip
"""Character encodings by their Python names. In each of them, the bytes of a line end have no other meaning."""

_CODECS: dict[str, str] = {codecs.lookup(name).name: name for name in get_args(Encoding)} | {"utf-8-sig": "utf-8"}

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
_INVALID_MARKS = re.compile(r"[A-Za-z0-9\r\n\0]")
_OFFSET = re.compile(r"%(?::{0,3}z|#z|s)")
_HOUR = re.compile(r"%[-_0]?[HIkTRrsX+c]")
_TWO_DIGIT_YEAR = re.compile(r"%[-_0]?[yCgGDx+c]")


@dataclass(frozen=True, slots=True)
class FileOptions:
    """Format options of the files of a source. The default is CSV according to RFC 4180 in UTF-8."""

    format: Format | None = None
    """`None`: determined by the suffix of the file name; CSV for other suffixes."""
    encoding: Encoding = "utf-8"
    """A byte order mark in the file has precedence."""
    delimiter: str | None = None
    """One ASCII character; `None`: a comma, or a tab in TSV."""
    quote: str | None = '"'
    """One ASCII character; `None`: fields aren't quoted."""
    escape: str | None = None
    """Character that removes the special meaning of the next one."""
    double_quote: bool = True
    """Whether two quotes inside a quoted field represent one."""
    header: bool = True
    """Whether the first line names the columns."""
    skip_lines: int = 0
    """Number of lines before the header that are skipped."""
    comment: str | None = None
    """Lines that begin with this text are skipped."""
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'", "\u00a0", "\u202f"] | None = None
    """Separator between groups of three digits."""
    null_values: tuple[str, ...] = ()
    """Texts that represent a missing value, in addition to an empty field without quotes."""
    quoted_nulls: bool = False
    """Whether empty fields and null values in quotes are missing values as well."""
    trim: bool = False
    """Whether white space around texts is removed."""
    date_format: str | None = None
    """`strftime` format of dates; `None`: `YYYY-MM-DD`."""
    timestamp_format: str | None = None
    """`strftime` format of timestamps; `None`: ISO 8601 with an offset or Z."""
    time_zone: str | None = None
    """IANA time zone of timestamps whose format has no offset."""

    def __post_init__(self) -> None:
        for name, mark in (("delimiter", self.delimiter), ("quote", self.quote), ("escape", self.escape)):
            if mark is not None and (len(mark) != 1 or not mark.isascii() or _INVALID_MARKS.match(mark)):
                raise InvalidArgument(
                    f"{name}: must be one ASCII character other than a letter, a digit, or a line end."
                )
        marks = [mark for mark in (self.delimiter, self.quote, self.escape) if mark is not None]
        defaults = {"csv": ",", "tsv": "\t", None: ",\t"}.get(self.format, "") if self.delimiter is None else ""
        if len({*marks, *defaults}) < len(marks) + len(defaults):
            raise InvalidArgument("delimiter, quote, and escape must be different characters.")
        if self.thousands == self.decimal:
            raise InvalidArgument("thousands and decimal must be different characters.")
        if self.comment is not None and (not self.comment or self.comment != self.comment.strip("\r\n")):
            raise InvalidArgument("comment: must be a text without line ends.")
        if self.comment is not None and self.comment[0] in {*marks, *defaults}:
            raise InvalidArgument("comment: must not begin with the delimiter, the quote, or the escape character.")
        if self.skip_lines < 0:
            raise InvalidArgument("skip_lines: must not be negative.")
        _check_format("date_format", self.date_format, ("%Y", "%F"))
        _check_format("timestamp_format", self.timestamp_format, ("%Y", "%F", "%s"))
        _check_zone(self)

    def separator(self, format: Format) -> str:
        """Returns the delimiter of a file of this format."""
        return self.delimiter or ("\t" if format == "tsv" else ",")

    def format_of(self, name: str) -> Format:
        """Returns the format of a file, determined by its name or address unless the options contain one."""
        if self.format is not None:
            return self.format
        path = PurePosixPath(urlsplit(name).path if "://" in name else name)
        if path.suffix.lower() in SUFFIXES:
            path = path.with_suffix("")
        return _FORMATS.get(path.suffix.lower(), "csv")


def known_encoding(name: str) -> str:
    """Returns the name of an encoding in `Encoding`, such as `cp1252` for `windows-1252`; an unknown name as it is."""
    try:
        return _CODECS.get(codecs.lookup(name).name, name)
    except LookupError:
        return name


def _check_format(name: str, text: str | None, years: tuple[str, ...]) -> None:
    if text is None:
        return
    if _TWO_DIGIT_YEAR.search(text) or not any(year in text for year in years):
        raise InvalidArgument(f"{name}: must contain the year with four digits (`%Y`).")
    if not _is_reversible(text, instant=name == "timestamp_format"):
        raise InvalidArgument(f"{name}: {text!r} is not a strftime format that contains a complete date.")


def _is_reversible(form: str, *, instant: bool) -> bool:
    """Returns whether parsing a formatted date gives the same date. For example, `%Y-%m` would lose the day."""
    import polars as pl

    zone = "UTC" if _OFFSET.search(form) else None
    moments = pl.Series([datetime(2013, 12, 31, hour, tzinfo=UTC) for hour in (0, 13)], dtype=pl.Datetime("us", "UTC"))
    moments = moments.dt.replace_time_zone(zone)
    try:
        texts = (moments if instant else moments.dt.date()).dt.to_string(form)
        parsed = texts.str.to_datetime(form, time_unit="us") if instant else texts.str.to_date(form)
    except pl.exceptions.PolarsError:
        return False
    if instant and parsed.dtype != moments.dtype:
        parsed = parsed.dt.replace_time_zone(zone)  # the seconds of `%s` are in UTC
    return bool((parsed.dt.date() == moments.dt.date()).all()) and (
        not instant or not _HOUR.search(form) or bool((parsed == moments).all())
    )


def _check_zone(options: FileOptions) -> None:
    has_offset = options.timestamp_format is not None and _OFFSET.search(options.timestamp_format)
    if options.timestamp_format is None or has_offset:
        if options.time_zone is not None:
            raise InvalidArgument("time_zone: can only be set with a timestamp_format that has no offset.")
    elif options.time_zone is None:
        raise InvalidArgument("time_zone: must be set if timestamp_format has no offset, for example to UTC.")
    if options.time_zone is not None:
        require_zone(options.time_zone)


def require_zone(name: str) -> None:
    """Checks that a time zone exists.

    Raises:
        InvalidArgument: it doesn't exist.
    """
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidArgument(f"time_zone: there is no time zone {name}.") from error
