"""Areas: folders that confine paths from users.

A path is opened one component at a time, each relative to the open folder before it. The operating system never
follows a link. Therefore a folder or link that is replaced in the meantime can't lead out of the area. Hard links can't
be distinguished from files: a user who can write to an area determines its content.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path, PurePosixPath

from core.errors import NotFound, PayloadTooLarge, PermissionDenied, Unavailable
from lakehouse.file_names import MAX_DEPTH, printable

_MAX_LINKS = 40
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Flags for files. `O_NONBLOCK`: opening a named pipe in place of a file must not wait."""

MAX_FILE_BYTES = 2_000_000_000
"""Size limit of files, because they're in memory while they're read."""

Identity = tuple[int, int]
"""Device and inode of a file or folder."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """An open file of an area."""

    file: BufferedReader
    parts: tuple[str, ...]
    """Path below the area after links were resolved."""
    status: os.stat_result
    """Status when the file was opened."""


@dataclass(frozen=True)
class Area:
    """A folder whose files can be opened by paths that can't lead out of it."""

    root: Path
    """Folder that the operator chose. Links in this path are followed."""
    name: str = "the folder"
    """Name for messages."""
    inner: str = ""
    """Path of the area below `root`. It can't contain links."""
    part: str = ""
    """Path below the area that all paths are relative to. Links in it can't lead out of the area."""
    forbidden: tuple[Path, ...] = ()
    """Folders below the area that can't be entered."""

    @property
    def folder(self) -> Path:
        """Path of the folder, for messages and for users who put files there."""
        return self.root.joinpath(self.inner, self.part)

    def below(self, path: str) -> Area:
        """Returns the part of the area below one of its folders. Links in the part can't lead out of the part."""
        joined = "/".join(item for item in (self.part, path) if item)
        return Area(self.root, self.name, self.inner, joined, self.forbidden)

    def make(self) -> None:
        """Creates the folder if it's missing."""
        if self.exists():
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with ExitStack() as opened:
                folder = _closed_by(opened, os.open(self.root, _FOLDER))
                for name in PurePosixPath(self.inner, self.part).parts:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=folder)
                    folder = _closed_by(opened, os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder))
        except OSError as error:
            raise Unavailable(f"The folder {self.folder} can't be created: {error.strerror}.") from error

    def exists(self) -> bool:
        """Returns whether the folder exists."""
        try:
            with self._opened():
                return True
        except NotFound:
            return False

    def names(self) -> list[str]:
        """Returns the names of all entries of the folder; an empty list if the folder is missing."""
        try:
            with self._opened() as folder:
                return os.listdir(folder)  # noqa: PTH208 - an open folder, not a path
        except NotFound:
            return []

    def status(self, name: str) -> os.stat_result | None:
        """Returns the status of an entry of the folder, without following links; `None` if it doesn't exist."""
        try:
            with self._opened() as folder:
                return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (NotFound, FileNotFoundError):
            return None

    @contextmanager
    def open(self, path: str, *, follow_links: bool = True) -> Iterator[OpenFile]:
        """Opens a regular file.

        Args:
            path: path relative to the area.
            follow_links: whether links that stay in the area are followed.

        Raises:
            NotFound: the file doesn't exist, isn't a regular file, or a link leads out of the area.
            PermissionDenied: the platform can't read it.
        """
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
            raise self._refused(path, "is not a relative path without `..`")
        with ExitStack() as opened, self._opened() as base:
            descriptor, parts = self._descend(opened, base, path, file=True, follow=follow_links, real=self._real)
            status = os.fstat(descriptor)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                yield OpenFile(file, parts, status)

    def read(self, path: str, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
        """Reads a file. Raises the errors of `open`.

        Raises:
            PayloadTooLarge: the file is larger than `max_bytes`.
        """
        with self.open(path) as opened:
            content = b"" if opened.status.st_size > max_bytes else opened.file.read(max_bytes + 1)
            if opened.status.st_size > max_bytes or len(content) > max_bytes:
                raise PayloadTooLarge(
                    f"{printable(path)} is larger than {max_bytes:,} bytes. Split it into several files."
                )
            return content

    def walk(self) -> Iterator[str]:
        """Yields the paths of all files and links below the area, unordered. Skips linked and hidden folders."""
        pending = [""]
        while pending:
            parent = pending.pop()
            if parent.count("/") >= MAX_DEPTH:
                continue
            with ExitStack() as opened, self._opened() as base:
                try:
                    folder, _ = self._descend(opened, base, parent, file=False, follow=False, real=self._real)
                except NotFound:  # it was removed, or replaced by a link, after it was listed
                    continue
                with os.scandir(folder) as entries:
                    for entry in entries:
                        path = f"{parent}/{entry.name}" if parent else entry.name
                        if not entry.is_dir(follow_symlinks=False):
                            yield path
                        elif not entry.name.startswith("."):
                            pending.append(path)

    @cached_property
    def _forbidden(self) -> frozenset[Identity]:
        identities = set()
        for folder in self.forbidden:
            try:
                identities.add(_identity(folder.stat()))
            except OSError:  # the folder doesn't exist yet
                continue
        return frozenset(identities)

    @property
    def _real(self) -> Path:
        """Path of the area after links were resolved. Targets of absolute links must be below it."""
        return self.root.resolve().joinpath(self.inner, self.part)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with ExitStack() as opened:
            try:
                folder = _closed_by(opened, os.open(self.root, _FOLDER))
            except OSError as error:
                raise self._translated("", error) from error
            real = self.root.resolve()
            folder, _ = self._descend(opened, folder, self.inner, file=False, follow=False, real=real)
            inner = real / self.inner
            yield self._descend(opened, folder, self.part, file=False, follow=True, real=inner)[0]

    def _descend(
        self, opened: ExitStack, base: int, path: str, *, file: bool, follow: bool, real: Path
    ) -> tuple[int, tuple[str, ...]]:
        """Opens a file or folder below an open folder. Returns its descriptor, and its path without links."""
        stack, parts = [base], list[str]()
        pending, links = deque(PurePosixPath(path).parts), 0
        while pending:
            part = pending.popleft()
            if part == "..":
                if not parts:
                    raise self._refused(path, "leads out of it")
                stack.pop()
                parts.pop()
                continue
            try:
                kind = os.stat(part, dir_fd=stack[-1], follow_symlinks=False).st_mode
                if stat.S_ISLNK(kind):
                    links += 1
                    target = PurePosixPath(os.readlink(part, dir_fd=stack[-1]))
                    if not follow or links > _MAX_LINKS:
                        raise self._refused(path, "is a link, or is behind one")
                    if target.is_absolute():
                        if not target.is_relative_to(real):
                            raise self._refused(path, "leads out of it")
                        target, stack, parts = target.relative_to(real), [base], []
                    pending.extendleft(reversed(target.parts))
                    continue
                is_expected = stat.S_ISREG(kind) if file and not pending else stat.S_ISDIR(kind)
                if not is_expected or len(parts) >= MAX_DEPTH:
                    raise self._refused(path, "is not a regular file" if file else "is not a folder")
                flags = _FILE if file and not pending else _FOLDER | os.O_NOFOLLOW
                stack.append(_closed_by(opened, os.open(part, flags, dir_fd=stack[-1])))
            except (OSError, ValueError) as error:  # ValueError: the file system can't represent the name
                raise self._translated(path, error) from error
            parts.append(part)
            status = os.fstat(stack[-1])
            if _identity(status) in self._forbidden or not (
                stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
            ):
                raise self._refused(path, "can't be read from it")
        if file and not stat.S_ISREG(os.fstat(stack[-1]).st_mode):
            raise self._refused(path, "is not a regular file")
        return stack[-1], tuple(parts)

    def _translated(self, path: str, error: OSError | ValueError) -> Exception:
        if not isinstance(error, OSError):
            return self._refused(path, "is not a valid file name")
        if error.errno in (errno.EACCES, errno.EPERM):
            return PermissionDenied(
                f"The platform can't read {printable(path)} in {self.name} ({self.folder}). Give its operating system "
                "user read permission."
            )
        if error.errno in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT):
            return Unavailable(f"{self.folder} doesn't respond ({error.strerror}). Retry later.")
        return self._refused(path, "does not exist")

    def _refused(self, path: str, reason: str) -> NotFound:
        if not path or path in (self.inner, self.part):
            return NotFound(f"There is no folder {printable(str(self.folder))}: {self.name} {reason}.")
        return NotFound(f"There is no file {printable(path)} in {self.name}, {self.folder}: it {reason}.")


def _closed_by(opened: ExitStack, descriptor: int) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
