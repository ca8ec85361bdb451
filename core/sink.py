"""A file that is written once from start to end, and read while it is written."""

from __future__ import annotations

import io
from typing import Any


class Sink(io.RawIOBase):
    """Takes what a writer of files writes, such as that of an archive, so that it can be sent in parts."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._taken = 0

    def writable(self) -> bool:
        """Returns that it is a file to write to."""
        return True

    def tell(self) -> int:
        """Returns the number of bytes that were written."""
        return self._taken + len(self._pending)

    def write(self, data: Any) -> int:
        """Adds bytes at the end."""
        self._pending += data
        return len(data)

    def taken(self) -> bytes:
        """Returns what was written since the last call."""
        found = bytes(self._pending)
        self._taken += len(found)
        self._pending.clear()
        return found
