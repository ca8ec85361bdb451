"""Patterns of permissions."""

from __future__ import annotations

import re
from functools import lru_cache


def pattern_matches(pattern: str, permission: str) -> bool:
    """Returns whether a pattern such as `admin.*`, `*.*.get`, or `admin.user.get` includes a permission."""
    return bool(_compiled(pattern).fullmatch(permission))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = pattern.split(".")
    if parts[-1] == "*":
        head = "".join(f"{_part(part)}\\." for part in parts[:-1])
        return re.compile(f"{head}.+")
    return re.compile(r"\.".join(_part(part) for part in parts))


def _part(part: str) -> str:
    return "[^.]+" if part == "*" else re.escape(part)
