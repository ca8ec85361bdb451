"""Storage of tables: locations, and reads of Delta logs that need the exact bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from core.errors import InvalidArgument
from core.ids import asset_key, is_asset_id

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem, SubTreeFileSystem

_S3 = ("s3://", "s3a://")

Signature = tuple[int, int]
"""Size in bytes and modification time in nanoseconds. It changes if a file is replaced."""


@dataclass(frozen=True, slots=True)
class Log:
    """Versions of the commit files and checkpoints in a log folder, ascending."""

    commits: list[int]
    checkpoint_files: dict[int, list[str]]
    """Names of the files of each checkpoint, by version."""

    def base(self, version: int) -> int:
        """Returns the version of the checkpoint that `version` is read from; -1 if there is none."""
        return max((checkpoint for checkpoint in self.checkpoint_files if checkpoint <= version), default=-1)

    @property
    def oldest_readable(self) -> int | None:
        """First version that can still be opened."""
        if self.commits[:1] == [0]:
            return 0
        return min(self.checkpoint_files, default=None)


class Storage:
    """A folder or an object store prefix that contains the tables as `<project>/<schema>/<table>`."""

    def __init__(self, root: str, options: Mapping[str, str] | None) -> None:
        local = "://" not in root or root.startswith("file://")
        self.folder = Path(root.removeprefix("file://")).absolute() if local else None
        """Root folder; `None` for an object store."""
        self.root = str(self.folder) if self.folder else root.rstrip("/")
        self.options = dict(options or {}) or None

    def uri(self, table: str) -> str:
        """Returns the location of a table.

        Raises:
            InvalidArgument: the name doesn't consist of three lower-case parts joined by dots.
        """
        if not is_asset_id(table):
            raise InvalidArgument(
                f"{table!r} is not a table name. Use project.schema.table, three lower-case names joined by dots."
            )
        return "/".join([self.root, *asset_key(table)])

    def commit_signature(self, table: str, version: int) -> Signature | None:
        """Returns the size and time of the commit file of a version; `None` if there is none."""
        if self.folder:
            try:
                status = (self.folder / _commit_path(table, version)).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return status.st_size, status.st_mtime_ns
        info = self.files.get_file_info(_commit_path(table, version))
        return (info.size, info.mtime_ns or 0) if info.is_file else None

    def committed_at(self, table: str, version: int) -> datetime:
        """Returns when the commit file of a version was written."""
        signature = self.commit_signature(table, version)
        return datetime.fromtimestamp((signature[1] if signature else 0) / 1e9, UTC)

    def commit_bytes(self, table: str, version: int) -> bytes | None:
        """Returns the content of the commit file of a version; `None` if there is none."""
        return self._read(_commit_path(table, version))

    def commit_contents(self, table: str, versions: Sequence[int]) -> dict[int, bytes]:
        """Returns the contents of commit files by version, without those that don't exist."""
        if self.folder or len(versions) < 2:
            contents: Iterable[bytes | None] = map(partial(self.commit_bytes, table), versions)
        else:  # each read is a round trip
            with ThreadPoolExecutor(16) as pool:
                contents = list(pool.map(partial(self.commit_bytes, table), versions))
        return {version: content for version, content in zip(versions, contents, strict=True) if content is not None}

    def log(self, table: str) -> Log:
        """Lists the log folder of a table."""
        names = self._names(f"{'/'.join(asset_key(table))}/_delta_log", folders=False)
        checkpoint_files: dict[int, list[str]] = {}
        for name in sorted(names):
            if ".checkpoint." in name and name[:20].isdigit():
                checkpoint_files.setdefault(int(name[:20]), []).append(name)
        commits = sorted(int(name[:20]) for name in names if len(name) == 25 and name.endswith(".json"))
        return Log(commits, checkpoint_files)

    def log_file(self, table: str, name: str) -> bytes | None:
        """Returns the content of a file in the log folder of a table; `None` if it doesn't exist or isn't a file."""
        return self._read(f"{'/'.join(asset_key(table))}/_delta_log/{name}")

    def missing(self, table: str, paths: Sequence[str]) -> list[str]:
        """Returns the data files of a table, by their paths in the log, that don't exist."""
        prefix = "/".join(asset_key(table))
        names = [f"{prefix}/{unquote(path)}" for path in paths]
        if self.folder:
            return [path for path, name in zip(paths, names, strict=True) if not (self.folder / name).exists()]
        infos = self.files.get_file_info(names)
        return [path for path, info in zip(paths, infos, strict=True) if not info.is_file]

    def has_files(self, table: str) -> bool:
        """Returns whether the location of a table contains any file or folder."""
        return bool(self._names("/".join(asset_key(table)), folders=None))

    def folders(self, path: str) -> list[str]:
        """Returns the names of the folders in a folder below the root; none if it doesn't exist."""
        return self._names(path, folders=True)

    def tables(self, prefix: str = "") -> list[str]:
        """Returns the names of the tables whose name begins with `prefix`, sorted."""
        candidates = []
        for project in self._names("", folders=True):
            if project.startswith("_") or not _overlap(project, prefix):
                continue  # names with an underscore are no projects: blobs, branches
            for schema in self._names(project, folders=True):
                if not _overlap(f"{project}.{schema}", prefix):
                    continue
                candidates += [
                    f"{project}.{schema}.{name}" for name in self._names(f"{project}/{schema}", folders=True)
                ]
        return sorted(
            name for name in candidates if name.startswith(prefix) and is_asset_id(name) and self.log(name).commits
        )

    def _read(self, path: str) -> bytes | None:
        try:
            if self.folder:
                return (self.folder / path).read_bytes()
            with self.files.open_input_file(path) as file:
                return bytes(file.read())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def _names(self, path: str, *, folders: bool | None) -> list[str]:
        if self.folder:
            try:
                entries = list((self.folder / path).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []
            return [entry.name for entry in entries if folders is None or entry.is_dir() == folders]
        from pyarrow.fs import FileSelector, FileType

        infos = self.files.get_file_info(FileSelector(path, allow_not_found=True))
        return [info.base_name for info in infos if folders is None or (info.type == FileType.Directory) == folders]

    def filesystem(self, table: str) -> SubTreeFileSystem | None:
        """Returns an Arrow file system rooted at a table; `None` for stores that only delta-rs supports.

        The file system of delta-rs calls Python. It holds the interpreter lock, and a read-ahead that isn't finished
        when the interpreter ends aborts the process.
        """
        from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

        if self.folder:
            return SubTreeFileSystem(self.uri(table), LocalFileSystem())
        if self.root.startswith(_S3):
            return SubTreeFileSystem("/".join(asset_key(table)), self.files)
        return None

    @cached_property
    def files(self) -> FileSystem:
        """The file system of the root, for object stores."""
        from pyarrow.fs import PyFileSystem, SubTreeFileSystem

        if self.root.startswith(_S3):
            return SubTreeFileSystem(self.root.split("://", 1)[1], _s3(self.options or {}))
        from deltalake.fs import DeltaStorageHandler

        return PyFileSystem(DeltaStorageHandler(self.root, self.options))


def _s3(options: Mapping[str, str]) -> FileSystem:
    from pyarrow.fs import S3FileSystem

    settings = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    endpoint = settings.get("endpoint_url") or settings.get("endpoint") or ""
    return S3FileSystem(
        access_key=settings.get("access_key_id"),
        secret_key=settings.get("secret_access_key"),
        session_token=settings.get("session_token") or settings.get("token"),
        region=settings.get("region") or settings.get("default_region"),
        endpoint_override=endpoint or None,
        scheme="http" if endpoint.startswith("http://") else "https",
        anonymous=settings.get("skip_signature", "").lower() == "true",
        force_virtual_addressing=settings.get("virtual_hosted_style_request", "").lower() == "true",
    )


def _commit_path(table: str, version: int) -> str:
    return f"{'/'.join(asset_key(table))}/_delta_log/{version:020}.json"


def _overlap(name: str, prefix: str) -> bool:
    return name.startswith(prefix) or prefix.startswith(name)
