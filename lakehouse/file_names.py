"""Names and paths of files."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

MAX_DEPTH = 64
"""Maximum number of parts of a path."""


def path_fault(path: str) -> str | None:
    """Returns why a text isn't a relative path inside a folder; `None` if it is. The file doesn't need to exist."""
    if not path or any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        return "must be a relative path without control characters"
    if PurePosixPath(path).is_absolute() or "\\" in path or ".." in PurePosixPath(path).parts:
        return "must be a relative path without `..` and `\\`"
    if len(PurePosixPath(path).parts) > MAX_DEPTH:
        return f"must have at most {MAX_DEPTH} parts"
    return None


def printable(name: str) -> str:
    r"""Returns a file name as text: backslashes are doubled, and unprintable characters are escapes such as `\xff`.

    Different names have different texts, and every text can be stored, logged, and typed.
    """
    text = name.replace("\\", "\\\\")
    if not text.isprintable():
        # In file names that aren't UTF-8, each byte is a lone surrogate.
        text = "".join(
            item if item.isprintable() else f"\\x{ord(item) - 0xDC00:02x}" if _is_byte(item) else _escaped(item)
            for item in text
        )
    return text


def _is_byte(character: str) -> bool:
    return 0xDC80 <= ord(character) <= 0xDCFF


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
