"""Decoding of files to UTF-8. The exact bytes of each line remain available."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import dropwhile

from lakehouse.files.dialect import Dialect
from lakehouse.files.options import Encoding

_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WIDE = ("utf-16", "utf-32")
_NAMES = {"utf-8": "UTF-8", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32"}


@dataclass
class Text:
    """A decoded file.

    Lines end with LF or CRLF, or, where the first line does, with CR alone.
    """

    body: bytes
    """UTF-8 without a byte order mark. Undecodable bytes are replaced; `invalid` contains their lines."""
    encoding: str
    newline: bytes
    invalid: Mapping[int, str]
    """Reasons why lines can't be decoded, by line number."""
    original: bytes
    """Exact bytes of the file after its byte order mark."""
    fault: str = ""
    """Reason why the file can't be decoded at all."""
    _wide: bool = field(default=False)

    def raw(self, first: int, last: int) -> bytes:
        """Returns the exact bytes of lines in the encoding of the file, without the final line end."""
        content = self.newline.join(self._lines[first - 1 : last])
        if self.newline == b"\n":
            content = content.removesuffix(b"\r")
        return content.decode().encode(self.encoding) if self._wide else content

    @property
    def line_count(self) -> int:
        """Number of lines. Text after the last line end is a line."""
        return len(self._lines) - (not self._lines[-1])

    @cached_property
    def _lines(self) -> list[bytes]:
        return (self.body if self._wide else self.original).split(self.newline)


def decoded(content: bytes, encoding: Encoding = "utf-8", dialect: Dialect | None = None, skip_lines: int = 0) -> Text:
    """Decodes a file. A byte order mark has precedence over `encoding`.

    Args:
        content: content of the file.
        encoding: character encoding.
        dialect: dialect of delimited text, in which quoted fields may contain line ends.
        skip_lines: number of lines to skip.
    """
    codec, content = _without_mark(content, encoding)
    wide = codec.startswith(_WIDE)
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        if wide:
            fault = f"not {_name(codec)}: {error.reason} at byte {error.start + 1} of the file"
            return Text(b"", codec, b"\n", {}, content, fault)
        newline = newline_of(content.decode(codec, "replace").encode(), dialect, skip_lines)
        body, invalid = _line_by_line(content.split(newline), codec)
        return Text(newline.join(body), codec, newline, invalid, content)
    body_bytes = content if codec == "utf-8" else text.encode()
    return Text(body_bytes, codec, newline_of(body_bytes, dialect, skip_lines), {}, content, _wide=wide)


def newline_of(body: bytes, dialect: Dialect | None = None, skip_lines: int = 0) -> bytes:
    """Returns the line end of a text: LF (also for CRLF), or CR if the first line that isn't skipped ends with only CR.

    Args:
        body: the text.
        dialect: dialect in which line ends inside quotes don't end a line; `None` for text without quotes.
        skip_lines: number of lines to skip.
    """
    if b"\r" not in body or body.count(b"\r") == body.count(b"\r\n"):
        return b"\n"
    if b"\n" not in body:
        return b"\r"
    if dialect is None:
        return b"\n"

    source = io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="")
    first_record: list[str] = []
    lines = (line for number, line in enumerate(source, 1) if number > skip_lines)
    if dialect.comment is not None:
        comment = dialect.comment
        lines = dropwhile(lambda line: line.startswith(comment), lines)  # type: ignore[assignment]
    try:
        next(dialect.reader(first_record.append(line) or line for line in lines))  # type: ignore[func-returns-value]
    except (csv.Error, StopIteration):
        return b"\n"
    return b"\r" if first_record[-1].endswith("\r") else b"\n"


def _without_mark(content: bytes, encoding: str) -> tuple[str, bytes]:
    for mark, codec in _MARKS:
        if content.startswith(mark):
            return codec, content[len(mark) :]
    if encoding in _WIDE:
        return f"{encoding}-le", content  # Windows writes little-endian without a byte order mark
    return encoding, content


def _line_by_line(lines: list[bytes], codec: str) -> tuple[list[bytes], dict[int, str]]:
    invalid: dict[int, str] = {}
    body = []
    for number, line in enumerate(lines, 1):
        try:
            body.append(line.decode(codec).encode())
        except UnicodeDecodeError as error:
            byte = line[error.start]
            invalid[number] = f"not {_name(codec)}: byte 0x{byte:02x} at position {error.start + 1}"
            body.append(line.decode(codec, "replace").encode())
    return body, invalid


def _name(codec: str) -> str:
    return _NAMES.get(codec, codec)
