"""Identifiers: time-sortable ids for rows, dotted ids for assets."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_PART = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ID = re.compile(rf"[a-z]{{2,16}}_[{_ALPHABET}]{{26}}")


def new_id(prefix: str) -> str:
    """Returns `<prefix>_<26 characters>`: 48 bits of milliseconds, then 80 random bits (the ULID layout)."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return f"{prefix}_{''.join([_PAIRS[number >> shift & 1023] for shift in range(120, -1, -10)])}"


def may_be_id(text: str) -> bool:
    """Returns whether `text` can be an id: all generated and built-in ids contain an underscore."""
    return "_" in text


def is_generated_id(text: str) -> bool:
    """Returns whether `text` has the form of an id from `new_id`.

    Names must not have this form: where callers may pass an id or a name, such a text is always an id.
    """
    return bool(_ID.fullmatch(text))


def asset_id(key: Sequence[str]) -> str:
    """Joins a Dagster asset key into an asset id: `["flights", "bronze", "flights"]` is `flights.bronze.flights`."""
    return ".".join(key)


def asset_key(asset: str) -> list[str]:
    """Splits an asset id into its key: project, schema, table."""
    return asset.split(".")


def is_asset_id(text: str) -> bool:
    """Returns whether `text` is three lower-case names joined by dots. Prevents path traversal."""
    parts = text.split(".")
    return len(parts) == 3 and all(_PART.fullmatch(part) for part in parts)
