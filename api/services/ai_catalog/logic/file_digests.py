"""One digest for several files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def digest_of(files: Sequence[tuple[str, str]]) -> str:
    """Returns the digest of paths and contents, for sorted pairs of a path and the digest of its content."""
    return hashlib.sha256("".join(f"{digest}  {path}\n" for path, digest in files).encode()).hexdigest()
