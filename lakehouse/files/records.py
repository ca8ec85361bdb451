"""Records of delimited text: the lines of valid records, and the malformed records with reasons.

Python's `csv` module in strict mode checks the records, because it refuses every kind of malformed quoting and reports
the line. Arrow reads the values, because it distinguishes fields with and without quotes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

from lakehouse.files.dialect import Dialect
from lakehouse.files.rows import Rejected
from lakehouse.files.text import Text


@dataclass(slots=True)
class Records:
    """The lines of the valid records of a text, and the rejected lines."""

    starts: list[int] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    """Last lines of records with several lines, by first line."""
    rejected: list[Rejected] = field(default_factory=list)
    removed: list[tuple[int, int]] = field(default_factory=list)
    """Spans of lines that aren't part of a valid record: rejected lines, blank lines, and comments."""


class Scanner:
    """Iterator over the records of a text."""

    def __init__(self, text: Text, dialect: Dialect, first_line: int = 1) -> None:
        """Prepares the iteration, beginning at `first_line`."""
        self._text = text
        self._dialect = dialect
        newline = text.newline.decode()
        self._source = io.TextIOWrapper(io.BytesIO(text.body), "utf-8", newline=newline)
        self._lines = self._read_lines()
        self._line = 0
        self._at_record_start = True
        self._record_lines: list[str] = []
        self.removed: list[tuple[int, int]] = []
        for _ in range(1, first_line):
            if next(self._source, None) is not None:
                self._line += 1

    def _read_lines(self) -> Iterator[str]:
        comment = self._dialect.comment
        for line in self._source:
            self._line += 1
            if self._at_record_start and comment is not None and line.startswith(comment):
                self.removed.append((self._line, self._line))
                continue
            if self._at_record_start:
                self._first = self._line
                self._at_record_start = False
            self._record_lines.append(line)
            yield line

    def __iter__(self) -> Iterator[tuple[int, int, list[str], str]]:
        """Yields the first and last line, the fields, and the fault of each record; an empty fault if it's valid."""
        after_fault = False
        mixed_line_ends = self._has_mixed_line_ends()
        invalid_escape = self._invalid_escape()
        reader = self._dialect.reader(self._lines)
        quote = self._dialect.quote
        while True:
            self._at_record_start = True
            self._record_lines.clear()
            fault = ""
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                fault, fields = _fault(error), []
                self._skip_record()
                after_fault = True
            if not fault and after_fault and fields:
                # The record may be the remainder of a quoted text. An odd number of quotes indicates that.
                if quote is not None and sum(line.count(quote) for line in self._record_lines) % 2:
                    fault = "follows a malformed quote and contains an unpaired quote"
                else:
                    after_fault = False
            if not fault and mixed_line_ends and self._ends_twice():
                fault = "contains a carriage return that isn't a line end"
            if not fault and invalid_escape is not None and invalid_escape.match("".join(self._record_lines)):
                fault = f"malformed escape: {self._dialect.escape} before a character that can't be escaped"
            yield self._first, self._line, fields, fault

    def _skip_record(self) -> None:
        """Consumes the lines that a lenient reader counts to the malformed record."""
        # A carriage return within a line would stop the lenient reader as well.
        lines = (line.replace("\r", " ") for line in chain(list(self._record_lines), self._lines))
        try:
            next(self._dialect.reader(lines, strict=False), None)
        except csv.Error:
            return

    def _has_mixed_line_ends(self) -> bool:
        body = self._text.body
        return body.count(b"\r") != body.count(b"\r\n")

    def _ends_twice(self) -> bool:
        """Returns whether more than one line end follows the record. Readers interpret that in different ways."""
        last = self._record_lines[-1]
        line = last.removesuffix("\r") if self._text.newline == b"\r" else last.removesuffix("\n").removesuffix("\r")
        return line.endswith(("\r", "\n"))

    def _invalid_escape(self) -> re.Pattern[str] | None:
        dialect = self._dialect
        if dialect.escape is None:
            return None
        escape = re.escape(dialect.escape)
        marks = (dialect.delimiter, dialect.quote, dialect.escape)
        escapable = "".join(re.escape(mark) for mark in marks if mark) + "\r\n"
        return re.compile(rf"(?:[^{escape}]|{escape}[{escapable}])*{escape}(?:[^{escapable}]|\Z)", re.DOTALL)


def scan(text: Text, dialect: Dialect, expected: int, first_line: int) -> Records:
    """Checks every record.

    Args:
        text: the file.
        dialect: dialect of the file.
        expected: number of fields of a valid record.
        first_line: line on which the records begin.
    """
    if (valid := _all_valid(text, dialect, expected, first_line)) is not None:
        return valid
    records = Records()
    scanner = Scanner(text, dialect, first_line)
    starts, removed = records.starts, records.removed
    for first, last, fields, fault in scanner:
        if text.invalid and not fault:
            fault = _undecodable(text, first, last)
        if fault:
            records.rejected += _rejected(text, first, last, fault)
        elif len(fields) == expected or (expected == 1 and not fields):
            starts.append(first)
            if last > first:
                records.ends[first] = last
            continue
        elif len(fields) > 1 or (fields and fields[0].strip(" ")):
            records.rejected.append(
                Rejected(first, text.raw(first, last), count_fault(len(fields), expected), text.encoding)
            )
        removed.append((first, last))
    removed += scanner.removed
    removed.sort()
    return records


def _all_valid(text: Text, dialect: Dialect, expected: int, first_line: int) -> Records | None:
    """Returns the records if all are valid; otherwise, `None`. For such files, it needs a third of the time."""
    mixed_line_ends = text.body.count(b"\r") != text.body.count(b"\r\n")
    if text.invalid or mixed_line_ends or dialect.comment is not None or dialect.escape is not None:
        return None
    source = io.TextIOWrapper(io.BytesIO(text.body), "utf-8", newline=text.newline.decode())
    for _ in range(1, first_line):
        next(source, None)
    reader = dialect.reader(source)
    records = Records()
    starts, start = records.starts, first_line
    try:
        for fields in reader:
            if len(fields) != expected:
                return None
            end = first_line + reader.line_num - 1
            starts.append(start)
            if end > start:
                records.ends[start] = end
            start = end + 1
    except csv.Error:
        return None
    return records


def count_fault(count: int, expected: int) -> str:
    """Returns the reason why a record with another number of fields isn't valid."""
    kind = "extra" if count > expected else "missing"
    return f"{kind} columns: {count} instead of {expected}"


def _fault(error: csv.Error) -> str:
    message = str(error)
    if "unexpected end of data" in message:
        return "malformed quoting: a quote isn't closed"
    if "new-line character" in message:
        return "contains a carriage return that isn't a line end"
    return f"malformed quoting: {message}"


def _undecodable(text: Text, first: int, last: int) -> str:
    for number in range(first, last + 1):
        if reason := text.invalid.get(number):
            return reason if number == first == last else f"line {number} is {reason}"
    return ""


def _rejected(text: Text, first: int, last: int, fault: str) -> Iterator[Rejected]:
    """Yields a malformed record. After malformed quoting, each line is rejected separately, as it may be a record."""
    if not fault.startswith("malformed quoting"):
        yield Rejected(first, text.raw(first, last), fault, text.encoding)
        return
    for number in range(first, last + 1):
        reason = fault if number == first else f"may be part of line {first}: {fault}"
        yield Rejected(number, text.raw(number, number), text.invalid.get(number, reason), text.encoding)
