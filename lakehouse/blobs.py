"""Blobs: immutable files, stored once for each project and named by the SHA-256 of their content.

They are in the lakehouse as `_blobs/<project>/<two digits>/<digest>`. A blob appears when it is complete: a writer that
is killed leaves a file in `_blobs/<project>/incomplete`, which no digest names. The parts of an upload are in
`_blobs/<project>/parts/<upload>` until they are joined.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from core.errors import NotFound, TableDamaged
from core.ids import new_id
from lakehouse.storage import Storage

_FOLDER = "_blobs"
_CHUNK_BYTES = 1_048_576
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the blobs of a project."""

    name: str
    """Digest of a blob, or path of an incomplete file below the folder of the project."""
    size: int
    changed_at: datetime


class BlobWriter:
    """A file that is being written. Call `finish` or `abort`."""

    def __init__(self, blobs: Blobs, project: str, target: Callable[[str], str]) -> None:
        self._blobs = blobs
        self._target = target
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
        """Makes the file durable and visible. Returns the digest of its content."""
        digest = self._hash.hexdigest()
        self._blobs.complete(self._file, self._incomplete, self._target(digest))
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
        return BlobWriter(self, _checked(project), lambda digest: _path(project, digest))

    def part_writer(self, project: str, upload: str, number: int) -> BlobWriter:
        """Returns a writer of a part of an upload. A part with this number is replaced when it is complete."""
        path = _part(_checked(project), upload, number)
        return BlobWriter(self, project, lambda digest: path)

    def join(self, project: str, upload: str, parts: Mapping[int, str]) -> tuple[str, int]:
        """Makes one blob of the parts of an upload, in the order of their numbers. The parts stay.

        Args:
            project: id of the project.
            upload: id of the upload.
            parts: digests of the parts, by number.

        Returns:
            Digest and size of the blob.

        Raises:
            NotFound: a part is missing.
            TableDamaged: a part has another digest.
        """
        writer = self.writer(project)
        try:
            for number, digest in sorted(parts.items()):
                for chunk in self._verified(_part(project, upload, number), digest):
                    writer.write(chunk)
            return writer.finish(), writer.size
        except BaseException:
            writer.abort()
            raise

    def part(self, project: str, upload: str, number: int, digest: str) -> bytes:
        """Returns a part of an upload. Raises as `join`."""
        return b"".join(self._verified(_part(_checked(project), upload, number), digest))

    def remove_parts(self, project: str, upload: str) -> None:
        """Deletes the parts of an upload. Idempotent."""
        path = f"{_FOLDER}/{_checked(project)}/parts/{_checked(upload)}"
        if self._storage.folder is not None:
            shutil.rmtree(self._storage.folder / path, ignore_errors=True)
        elif self._storage.folders(path.rpartition("/")[0]).count(upload):
            self._storage.files.delete_dir(path)

    def exists(self, project: str, digest: str) -> bool:
        """Returns whether there is a blob with this digest."""
        path = _path(project, digest)
        if self._storage.folder is not None:
            return (self._storage.folder / path).exists()
        return bool(self._storage.files.get_file_info(path).is_file)

    def stored(self, project: str) -> Iterator[StoredFile]:
        """Yields the blobs of a project, sorted by digest."""
        root = f"{_FOLDER}/{_checked(project)}"
        for prefix in sorted(name for name in self._storage.folders(root) if len(name) == 2):
            yield from self._files(f"{root}/{prefix}", "")

    def incomplete(self, project: str) -> Iterator[StoredFile]:
        """Yields the files of a project that writers left incomplete, or write now."""
        yield from self._files(f"{_FOLDER}/{_checked(project)}/incomplete", "incomplete/")

    def uploads(self, project: str) -> list[str]:
        """Returns the ids of the uploads of a project that have parts."""
        return sorted(self._storage.folders(f"{_FOLDER}/{_checked(project)}/parts"))

    def remove(self, project: str, name: str, *, before: datetime) -> bool:
        """Deletes a file that `stored` or `incomplete` returned, unless it was written again since `before`.

        Returns whether it was deleted.
        """
        path = _path(project, name) if _DIGEST.fullmatch(name) else f"{_FOLDER}/{_checked(project)}/{name}"
        folder = self._storage.folder
        if folder is None:
            info = self._storage.files.get_file_info(path)
            if not info.is_file or info.mtime is None or info.mtime >= before:
                return False
            self._storage.files.delete_file(path)
            return True
        # Taken away before its time is read: a writer of the same content may replace it at any moment.
        removed = folder / f"{_FOLDER}/{project}/incomplete/{new_id('blb')}"
        removed.parent.mkdir(parents=True, exist_ok=True)
        try:
            (folder / path).replace(removed)
        except FileNotFoundError:
            return False
        if datetime.fromtimestamp(removed.stat().st_mtime, UTC) >= before:
            removed.replace(folder / path)
            return False
        removed.unlink()
        return True

    def chunks(self, project: str, digest: str) -> Iterator[bytes]:
        """Yields the content of a blob. The last chunk is yielded only if the whole content has the digest.

        Raises:
            NotFound: there is no such blob.
            TableDamaged: the content was changed.
        """
        yield from self._verified(_path(project, digest), digest)

    def _verified(self, path: str, digest: str) -> Iterator[bytes]:
        state = hashlib.sha256()
        with self._open(path) as file:
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

    def _files(self, path: str, prefix: str) -> Iterator[StoredFile]:
        folder = self._storage.folder
        if folder is None:
            from pyarrow.fs import FileSelector

            found = self._storage.files.get_file_info(FileSelector(path, allow_not_found=True))
            for info in sorted(found, key=lambda info: info.base_name):
                if info.is_file:
                    yield StoredFile(f"{prefix}{info.base_name}", info.size, info.mtime)
            return
        with suppress(FileNotFoundError):
            for entry in sorted((folder / path).iterdir()):
                with suppress(FileNotFoundError):  # it is complete in the meantime
                    status = entry.stat()
                    changed_at = datetime.fromtimestamp(status.st_mtime, UTC)
                    yield StoredFile(f"{prefix}{entry.name}", status.st_size, changed_at)

    def _open(self, path: str) -> Any:
        try:
            if self._storage.folder is None:
                return self._storage.files.open_input_stream(path)
            return (self._storage.folder / path).open("rb")
        except FileNotFoundError:
            raise NotFound("The stored content of the artifact is missing.") from None


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not an id")
    return name


def _part(project: str, upload: str, number: int) -> str:
    return f"{_FOLDER}/{project}/parts/{_checked(upload)}/{number}"


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
