"""The shared key that authenticates the platform's processes to each other on loopback.

Every process and every web page on the machine can reach a loopback port. A caller that sends this key can read the
platform's keys folder, so it is a process of the platform.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

HEADER = "x-headwater-loopback"
"""HTTP header that carries the key."""

_FILE = "loopback.key"


def loopback_key(folder: Path) -> str:
    """Returns the key from the keys folder. The first caller creates the key file atomically."""
    path = folder / _FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{secrets.token_hex(4)}")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another process created it first
        finally:
            temporary.unlink()
    return path.read_text().strip()
