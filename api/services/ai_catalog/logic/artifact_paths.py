"""Paths of artifacts: relative, with `/`, and without parts that a file system would read in another way."""

from __future__ import annotations

import unicodedata

from core.errors import InvalidArgument

_MAX_LENGTH = 1000
_MAX_PARTS = 50


def normal_path(text: str) -> str:
    """Returns a path in its normal form.

    Raises:
        InvalidArgument: the path is empty, absolute, too long or too deep, or has a part such as `..`, a backslash, a
            drive, or an invisible character.
    """
    path = unicodedata.normalize("NFC", text)
    parts = path.split("/")
    if (
        not path
        or len(path) > _MAX_LENGTH
        or len(parts) > _MAX_PARTS
        or any(part in ("", ".", "..") or len(part) > 250 for part in parts)
        or "\\" in path
        or (len(path) > 1 and path[1] == ":")
        or any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in path)
    ):
        raise InvalidArgument(
            f"{text[:100]!r} is not a path of an artifact. Use a relative path such as plots/roc.png, without .., "
            "backslashes, and invisible characters."
        )
    return path
