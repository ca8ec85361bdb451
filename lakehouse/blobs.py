"""Blobs: immutable files, stored once for each project and named by the SHA-256 of their content.

They are in the lakehouse as `_blobs/<project>/<two digits>/<digest>`. A blob appears when it is complete: a writer that
is killed leaves a file in `_blobs/<project>/incomplete`, which no digest names.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from core.errors import NotFound, TableDamaged
from core.ids import new_id
from lakehouse.storage import Storage

_FOLDER = "_blobs"
_CHUNK_BYTES = 1_048_576
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PROJECT = re.compile(r"[A-Za-z0-9_]{1,64}")


class BlobWriter:
    """A blob that is being written. Call `finish` or `abort`."""

    def __init__(self, blobs: Blobs, project: str) -> None:
        self._blobs = blobs
        self._project = project
        self._incomplete = f"{_FOLDER}/{project}/incomplete/{new_id('blb')}"
        self._file: IO[Any] | Any = blobs.create(self._incomplete)
        self._hash = hashlib.sha256()
        self.size = 0
        """Number of bytes that were written."""

    def write(self, chunk: bytes) -> None:
        """Appends bytes."""
        self._hash.update(chunk)
        self._file.write(chunk)
        self.size += len(chunk)

    def finish(self) -> str:
        """Makes the blob durable and visible. Returns its digest."""
        digest = self._hash.hexdigest()
        self._blobs.complete(self._file, self._incomplete, _path(self._project, digest))
        return digest

    def abort(self) -> None:
        """Removes what was written."""
        self._blobs.discard(self._file, self._incomplete)


class Blobs:
    """The blobs of a lakehouse. Thread-safe."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def writer(self, project: str) -> BlobWriter:
        """Returns a writer of a new blob of a project, by the id of the project."""
        if not _PROJECT.fullmatch(project):
            raise ValueError(f"{project!r} is not the id of a project")
        return BlobWriter(self, project)

    def chunks(self, project: str, digest: str) -> Iterator[bytes]:
        """Yields the content of a blob. The last chunk is yielded only if the whole content has the digest.

        Raises:
            NotFound: there is no such blob.
            TableDamaged: the content was changed.
        """
        state = hashlib.sha256()
        with self._open(_path(project, digest)) as file:
            chunk = bytes(file.read(_CHUNK_BYTES))
            while following := bytes(file.read(_CHUNK_BYTES)):
                state.update(chunk)
                yield chunk
                chunk = following
        state.update(chunk)
        if state.hexdigest() != digest:
            raise TableDamaged(
                f"The stored content of the artifact {digest[:12]} was changed. Restore it from a backup."
            )
        yield chunk

    def verify(self, project: str, digest: str) -> int:
        """Reads a whole blob and returns its size. Raises as `chunks`."""
        return sum(len(chunk) for chunk in self.chunks(project, digest))

    def create(self, path: str) -> Any:
        """Opens a new file for writing."""
        if self._storage.folder is None:
            return self._storage.files.open_output_stream(path)
        full = self._storage.folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        return full.open("xb")

    def complete(self, file: Any, source: str, target: str) -> None:
        """Closes a file and moves it to its final path."""
        folder = self._storage.folder
        if folder is None:
            file.close()
            self._storage.files.move(source, target)
            return
        file.flush()
        os.fsync(file.fileno())
        file.close()
        final = folder / target
        final.parent.mkdir(parents=True, exist_ok=True)
        (folder / source).replace(final)
        _sync(final.parent)

    def discard(self, file: Any, path: str) -> None:
        """Closes and removes a file."""
        file.close()
        with suppress(FileNotFoundError):
            if self._storage.folder is None:
                self._storage.files.delete_file(path)
            else:
                (self._storage.folder / path).unlink()

    def _open(self, path: str) -> Any:
        try:
            if self._storage.folder is None:
                return self._storage.files.open_input_stream(path)
            return (self._storage.folder / path).open("rb")
        except FileNotFoundError:
            raise NotFound("The stored content of the artifact is missing.") from None


def _path(project: str, digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"{digest[:64]!r} is not a digest.")
    return f"{_FOLDER}/{project}/{digest[:2]}/{digest}"


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
