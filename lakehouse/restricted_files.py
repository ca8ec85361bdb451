"""Files for readers outside whom policies restrict: the rows of a version without what is hidden, as Parquet files.

The files of the table contain every value, also in their statistics and dictionaries. So these are written from the
masked rows alone. The same version and restriction give the same files, so what was deleted is written again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import InvalidArgument, NotFound
from lakehouse.partition_filters import PartitionFilter
from lakehouse.restrictions import Restriction, seen_rows
from lakehouse.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import NativeFile

ROWS = 500_000
"""Number of rows of a file."""

MAX_SOURCE_BYTES = 4 * 2**30
"""Size of the largest version that is written again."""

MAX_BYTES = 8 * 2**30
"""Size of all files. Those that were not read for the longest time are deleted beyond that."""

LIFE_SECONDS = 2 * 3600.0
"""Time after which files that no recipient read are deleted. Longer than a link to them lives."""

_FORMAT = 1
_LIST = "files.json"


@dataclass(frozen=True, slots=True)
class RestrictedFile:
    """A file."""

    name: str
    size: int
    row_count: int


@dataclass(frozen=True, slots=True)
class RestrictedVersion:
    """The files of a version under a restriction."""

    digest: str
    """Identifies the version, the restriction, and the filter. It tells nothing about them."""
    files: Sequence[RestrictedFile]


class RestrictedFiles:
    """The files below a folder that only this platform reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Versions whose digests begin alike share a lock, so that each is written once.
        self._locks = [threading.Lock() for _ in range(256)]

    def digest(self, snapshot: Snapshot, restriction: Restriction, partition_filter: str) -> str:
        """Returns what identifies the files of a version. Its input contains a key, so that it can't be guessed."""
        described = [
            _FORMAT,
            snapshot.data_version,
            [str(one) for one in snapshot.schema],
            {name: repr(mask) for name, mask in restriction.masks.items()},
            list(restriction.conditions),
            restriction.key,
            partition_filter,
        ]
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()

    def of(self, snapshot: Snapshot, restriction: Restriction, partition_filter: str) -> RestrictedVersion:
        """Returns the files of a version, and writes those that are not there.

        Args:
            snapshot: the version.
            restriction: what is hidden of it.
            partition_filter: condition over partition columns that the rows meet. Empty for all rows.

        Raises:
            InvalidArgument: the version is too large.
            PermissionDenied: the restriction doesn't fit the columns.
        """
        digest = self.digest(snapshot, restriction, partition_filter)
        with self._locks[int(digest[:2], 16)]:
            try:
                return self._known(digest)
            except OSError:
                self._write(digest, snapshot, restriction, partition_filter)
                self.expire()
                return self._known(digest)

    def open(self, digest: str, name: str) -> NativeFile:
        """Opens a file that `of` returned for reading. Raises `NotFound` if there is none."""
        import pyarrow as pa

        if name not in {file.name for file in self._known(digest).files}:
            raise NotFound("There is no such file.")
        return pa.OSFile(str(self.folder / digest / name))

    def expire(self) -> int:
        """Deletes what no recipient read for some time, or what is too much. Returns the number of deleted versions."""
        try:
            folders = [(one, one.stat().st_mtime) for one in self.folder.iterdir()]
        except FileNotFoundError:
            return 0
        left, deleted, now = MAX_BYTES, 0, time.time()
        for folder, used_at in sorted(folders, key=lambda one: -one[1]):
            left -= _size(folder)
            if now - used_at > LIFE_SECONDS or left < 0:
                shutil.rmtree(folder, ignore_errors=True)
                deleted += 1
        return deleted

    def _known(self, digest: str) -> RestrictedVersion:
        listed = json.loads((self.folder / digest / _LIST).read_text())
        os.utime(self.folder / digest)
        return RestrictedVersion(digest, tuple(RestrictedFile(**one) for one in listed))

    def _write(self, digest: str, snapshot: Snapshot, restriction: Restriction, partition_filter: str) -> None:
        """Writes the files beside their place, and then moves them there, so that an interruption leaves no part."""
        if snapshot.size_bytes > MAX_SOURCE_BYTES:
            raise InvalidArgument(
                f"{snapshot.table} is too large to be shared under a policy that restricts its recipients: at most "
                f"{MAX_SOURCE_BYTES // 2**30} GiB can be masked. Share a table with fewer rows that is made from it."
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self.folder / f"{digest}.{secrets.token_hex(8)}"
        beside.mkdir(mode=0o700)
        try:
            files = [
                _written(beside / f"part-{number:05}.parquet", rows)
                for number, rows in enumerate(_parts(snapshot, restriction, partition_filter))
            ]
            (beside / _LIST).write_text(json.dumps([asdict(one) for one in files]))
            beside.replace(self.folder / digest)
        except OSError:
            if not (self.folder / digest / _LIST).exists():  # or another process was faster
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _size(folder: Path) -> int:
    """Returns the size of the files in a folder. Another process may delete them meanwhile."""
    try:
        return sum(one.stat().st_size for one in folder.iterdir())
    except FileNotFoundError:
        return 0


def _parts(snapshot: Snapshot, restriction: Restriction, partition_filter: str) -> Iterator[pa.Table]:
    """Yields the rows that are left, file by file. The parts don't depend on rows that are hidden."""
    import pyarrow as pa

    shared_rows = PartitionFilter(partition_filter, snapshot)
    waiting: list[pa.Table] = []
    count = 0
    for rows in _batches(snapshot):
        seen = seen_rows(snapshot.table, shared_rows.rows(rows), restriction, snapshot.schema.names).table
        while seen.num_rows:
            part = seen.slice(0, ROWS - count)
            waiting.append(part)
            count, seen = count + part.num_rows, seen.slice(part.num_rows)
            if count == ROWS:
                yield pa.concat_tables(waiting)
                waiting, count = [], 0
    if count:
        yield pa.concat_tables(waiting)


def _batches(snapshot: Snapshot) -> Iterator[pa.Table]:
    """Yields the rows of a version in parts of some size, because each part takes a connection."""
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in snapshot.batches(by_path=True):
        waiting.append(batch)
        if sum(one.num_rows for one in waiting) >= ROWS:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _written(path: Path, rows: pa.Table) -> RestrictedFile:
    import pyarrow.parquet as pq

    pq.write_table(rows.replace_schema_metadata(None), path, store_schema=False)
    return RestrictedFile(path.name, path.stat().st_size, rows.num_rows)
