"""Integers in the range of a database column: 64 bits, signed."""

from __future__ import annotations

LARGEST = 2**63 - 1
SMALLEST = -(2**63)


def is_storable(number: int) -> bool:
    """Returns whether a 64-bit column can store the number."""
    return SMALLEST <= number <= LARGEST


def parse_count(text: str) -> int:
    """Parses a non-negative integer.

    Raises:
        ValueError: the text contains characters other than ASCII digits, or the number doesn't fit into 64 bits.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= LARGEST):
        raise ValueError("not a non-negative 64-bit integer")
    return int(text)
