"""The normal form of paths. A path in another form is refused.

A mounted application parses the paths below its mount by its own rules. Two parsers agree only on unambiguous paths:
without dot segments, empty segments, needless escapes, and escaped delimiters.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from starlette.types import Scope

from core.errors import InvalidArgument

# Without the semicolon, which some parsers read as the start of parameters.
_CHARACTERS = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-F]{2})+")
_NEEDLESS = re.compile(rb"%(?:2D|2E|3[0-9]|4[1-9A-F]|5[0-9A]|5F|6[1-9A-F]|7[0-9A]|7E)")
_DANGEROUS = re.compile(rb"%(?:[01].|7F|25|2F|3B|5C)")
_DANGEROUS_EXCEPT_SLASH = re.compile(rb"%(?:[01].|7F|25|3B|5C)")
_DOTS = (b".", b"..")


def require_normal(scope: Scope, *, escaped_slashes: bool = False) -> None:
    """Raises `InvalidArgument` unless the path of a request is in normal form and matches the decoded path."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    if not is_normal(raw, escaped_slashes=escaped_slashes) or unquote_to_bytes(raw).decode() != scope["path"]:
        raise InvalidArgument("The path is not in normal form. Write it without dot segments and needless escapes.")


def is_normal(raw: bytes, *, escaped_slashes: bool = False) -> bool:
    """Returns whether a path, as sent by the client, is unambiguous.

    `escaped_slashes` allows `%2F`, for an application that splits the path before it decodes the segments.
    """
    segments = raw.split(b"/")
    dangerous = _DANGEROUS_EXCEPT_SLASH if escaped_slashes else _DANGEROUS
    return bool(
        raw.startswith(b"/")
        and _CHARACTERS.fullmatch(raw)
        and not _NEEDLESS.search(raw)
        and not dangerous.search(raw)
        and all(segments[1:-1])
        and not any(segment in _DOTS for segment in segments)
        and _is_text(raw)
    )


def _is_text(raw: bytes) -> bool:
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return False
    return True
