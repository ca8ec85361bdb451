"""Files in landing folders."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path

from core.errors import NotFound, PayloadTooLarge, PermissionDenied
from lakehouse.areas import MAX_FILE_BYTES, Area
from lakehouse.file_names import printable
from lakehouse.landing_areas import table_areas

_UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial", ".crdownload", ".filepart")


@dataclass(frozen=True, slots=True)
class LandingFile:
    """A regular file in a landing folder, as it was when it was listed."""

    area: Area
    name: str
    """Name from the file system. Bytes that aren't UTF-8 are lone surrogates."""
    size: int
    modified_ns: int
    inode: int

    @classmethod
    def at(cls, path: Path) -> LandingFile | None:
        """Returns the file at a path; `None` if there is no regular file."""
        return cls.of(Area(path.parent), path.name)

    @classmethod
    def of(cls, area: Area, name: str) -> LandingFile | None:
        """Returns the file directly in an area with this name; `None` if there is no regular file."""
        status = area.status(name)
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        return cls(area, name, status.st_size, status.st_mtime_ns, status.st_ino)

    @property
    def path(self) -> Path:
        """Path of the file. Only `digest` and `content` read the file, because they follow no links."""
        return self.area.folder / self.name

    @property
    def key(self) -> str:
        """Identity among the files of the table: the name; with its folder, if that's one of an earlier release."""
        return self.name if self.area.part or not self.area.inner else f"{self.area.inner}/{self.name}"

    @property
    def display_name(self) -> str:
        """Name as text that can be stored and printed."""
        return printable(self.name)

    def digest(self) -> str:
        """Returns the SHA-256 digest of the content, in hexadecimal.

        Raises:
            NotFound: the file no longer exists, or is no longer a regular file.
            PermissionDenied, PayloadTooLarge: the file can't be ingested.
        """
        with self._opened() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def content(self) -> bytes | None:
        """Returns the content; `None` if the file changed since it was listed, or while it was read.

        Raises:
            PermissionDenied, PayloadTooLarge: the file can't be ingested.
        """
        try:
            with self._opened() as file:
                before = os.fstat(file.fileno())
                content = file.read(self.size + 1)
                after = os.fstat(file.fileno())
        except NotFound:
            return None
        same = all(self._matches(status) for status in (before, after)) and len(content) == self.size
        return content if same and self.of(self.area, self.name) == self else None

    @contextmanager
    def _opened(self) -> Iterator[BufferedReader]:
        with self.area.open(self.name, follow_links=False) as opened:
            if opened.status.st_size > MAX_FILE_BYTES:
                raise PayloadTooLarge(
                    f"{self.display_name} is larger than {MAX_FILE_BYTES:,} bytes. Split it into several files."
                )
            yield opened.file

    def _matches(self, status: os.stat_result) -> bool:
        return (status.st_size, status.st_mtime_ns, status.st_ino) == (self.size, self.modified_ns, self.inode)


def landing_folder(landing_url: str, table: str) -> Path:
    """Returns the landing folder of a table: `<project>/<schema>/<table>` below the folder of all landing areas."""
    return table_areas(landing_url, table)[0].folder


def landing_files(landing_url: str, table: str, pattern: str) -> list[LandingFile]:
    """Returns the files in the landing folder of a table, oldest first. Creates the folder if it's missing."""
    areas = table_areas(landing_url, table)
    areas[0].make()
    return _oldest_first([file for area in areas for file in files_in(area, pattern)])


def named_files(files: Sequence[LandingFile], digests: Mapping[str, str]) -> tuple[list[LandingFile], list[str]]:
    """Returns the files with these names and contents, and the inputs without such a file.

    Args:
        files: the files of a landing folder.
        digests: digest by input, as the lineage of a version names them.
    """
    wanted = {(name, digest) for name, digest in digests.items()}
    found: dict[tuple[str, str], LandingFile] = {}
    for file in files:
        name = input_of(file.display_name)
        if name in digests:
            with suppress(NotFound, PermissionDenied, PayloadTooLarge):
                found.setdefault((name, f"sha256:{file.digest()}"), file)
    return [file for key, file in found.items() if key in wanted], sorted(name for name, _ in wanted - set(found))


def input_of(name: str) -> str:
    """Returns the input that the lineage names for a landing file."""
    return f"file:{name}"[:200]


def files_in(folder: Area | Path, pattern: str) -> list[LandingFile]:
    """Returns the files in a folder, oldest first, without hidden files, links, and unfinished downloads."""
    area = folder if isinstance(folder, Area) else Area(folder)
    names = [name for name in area.names() if fnmatchcase(name, pattern) and not name.startswith(".")]
    files = [LandingFile.of(area, name) for name in names if not name.endswith(_UNFINISHED_SUFFIXES)]
    return _oldest_first([file for file in files if file])


def unchanged_files(files: Sequence[LandingFile], *, seconds: float) -> list[LandingFile]:
    """Returns the files that don't change during `seconds`, and so aren't being written.

    The modification time alone doesn't show that, because a copy may have that of the original.
    """
    if files:
        time.sleep(seconds)
    return [file for file in files if LandingFile.of(file.area, file.name) == file]


def _oldest_first(files: Sequence[LandingFile]) -> list[LandingFile]:
    return sorted(files, key=lambda file: (file.modified_ns, file.key))
