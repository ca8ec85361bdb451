"""The encryption of secrets that the API stores."""

from __future__ import annotations

from api.kernel.platform import Platform
from core.sealing import Sealer


def open_sealer(platform: Platform) -> Sealer:
    """Returns the encryption of this process, for `platform.part(open_sealer)`."""
    return Sealer(platform.settings.keys_dir)
