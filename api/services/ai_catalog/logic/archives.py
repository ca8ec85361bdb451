"""ZIP archives of stored files, made while they are sent."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from core.sink import Sink

if TYPE_CHECKING:
    from lakehouse.blobs import Blobs

_SAME_TIME = (1980, 1, 1, 0, 0, 0)
"""Time of all files, so that the same files make the same archive."""


def archive(blobs: Blobs, project: str, files: Sequence[tuple[str, str]]) -> Iterator[bytes]:
    """Yields a ZIP archive of files, by path and digest. The files are not compressed.

    Raises:
        NotFound, TableDamaged: the stored content of a file is missing or was changed. The archive ends incomplete.
    """
    sink = Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as made:
        for path, digest in files:
            with made.open(zipfile.ZipInfo(path, _SAME_TIME), "w", force_zip64=True) as file:
                for chunk in blobs.chunks(project, digest):
                    file.write(chunk)
                    yield sink.taken()
    yield sink.taken()
