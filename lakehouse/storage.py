"""Where tables live: names to URIs, and the few reads of a Delta log that need exact bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
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
"""Size in bytes and modification time in nanoseconds: differs when a file was replaced."""


@dataclass(frozen=True, slots=True)
class Log:
    """Versions found in a log folder, ascending."""

    commits: list[int]
    checkpoints: list[int]

    def base(self, version: int) -> int:
        """The version whose state is read from a checkpoint when `version` is opened; -1 without one."""
        return max((checkpoint for checkpoint in self.checkpoints if checkpoint <= version), default=-1)

    @property
    def oldest_readable(self) -> int | None:
        """The first version that can still be opened."""
        if self.commits[:1] == [0]:
            return 0
        return self.checkpoints[0] if self.checkpoints else None


class Storage:
    """One root, a folder or an object store prefix, with `<project>/<schema>/<table>` below it."""

    def __init__(self, root: str, options: Mapping[str, str] | None) -> None:
        local = "://" not in root or root.startswith("file://")
        self.folder = Path(root.removeprefix("file://")).absolute() if local else None
        """The root as a path, `None` on an object store."""
        self.root = str(self.folder) if self.folder else root.rstrip("/")
        self.options = dict(options or {}) or None

    def uri(self, table: str) -> str:
        """Location of a table.

        Raises:
            InvalidArgument: the name is not three lower-case parts joined by dots.
        """
        if not is_asset_id(table):
            raise InvalidArgument(
                f"{table!r} is no table name: use project.schema.table, three lower-case names joined by dots."
            )
        return "/".join([self.root, *asset_key(table)])

    def commit_signature(self, table: str, version: int) -> Signature | None:
        """Size and time of a version's commit file; `None` if there is none."""
        if self.folder:
            try:
                status = (self.folder / _commit_path(table, version)).stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return status.st_size, status.st_mtime_ns
        info = self._files.get_file_info(_commit_path(table, version))
        return (info.size, info.mtime_ns or 0) if info.is_file else None

    def commit_bytes(self, table: str, version: int) -> bytes | None:
        """The commit file of a version; `None` if there is none."""
        path = _commit_path(table, version)
        if self.folder:
            try:
                return (self.folder / path).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None
        try:
            with self._files.open_input_file(path) as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def commit_contents(self, table: str, versions: Sequence[int]) -> dict[int, bytes]:
        """The commit files of versions, without those that do not exist."""
        if self.folder or len(versions) < 2:
            contents: Iterable[bytes | None] = map(partial(self.commit_bytes, table), versions)
        else:  # each read is a round trip
            with ThreadPoolExecutor(16) as pool:
                contents = list(pool.map(partial(self.commit_bytes, table), versions))
        return {version: content for version, content in zip(versions, contents, strict=True) if content is not None}

    def log(self, table: str) -> Log:
        """What a table's log folder holds."""
        names = self._names(f"{'/'.join(asset_key(table))}/_delta_log", folders=False)
        return Log(
            commits=sorted(int(name[:20]) for name in names if len(name) == 25 and name.endswith(".json")),
            checkpoints=sorted({int(name[:20]) for name in names if ".checkpoint." in name and name[:20].isdigit()}),
        )

    def missing(self, table: str, paths: Sequence[str]) -> list[str]:
        """Those of a table's data files, by their paths in the log, that do not exist."""
        prefix = "/".join(asset_key(table))
        full = [f"{prefix}/{unquote(path)}" for path in paths]
        if self.folder:
            return [path for path, name in zip(paths, full, strict=True) if not (self.folder / name).exists()]
        infos = self._files.get_file_info(full)
        return [path for path, info in zip(paths, infos, strict=True) if not info.is_file]

    def has_files(self, table: str) -> bool:
        """Whether anything at all lies at a table's location."""
        return bool(self._names("/".join(asset_key(table)), folders=None))

    def tables(self, prefix: str = "") -> list[str]:
        """Names of the tables whose name starts with `prefix`, sorted."""
        found = []
        for project in self._names("", folders=True):
            if not _overlap(project, prefix):
                continue
            for schema in self._names(project, folders=True):
                if not _overlap(f"{project}.{schema}", prefix):
                    continue
                found += [f"{project}.{schema}.{name}" for name in self._names(f"{project}/{schema}", folders=True)]
        return sorted(
            name for name in found if name.startswith(prefix) and is_asset_id(name) and self.log(name).commits
        )

    def _names(self, path: str, *, folders: bool | None) -> list[str]:
        if self.folder:
            try:
                entries = list((self.folder / path).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []
            return [entry.name for entry in entries if folders is None or entry.is_dir() == folders]
        from pyarrow.fs import FileSelector, FileType

        infos = self._files.get_file_info(FileSelector(path, allow_not_found=True))
        return [info.base_name for info in infos if folders is None or (info.type == FileType.Directory) == folders]

    def filesystem(self, table: str) -> SubTreeFileSystem | None:
        """Arrow file system rooted at a table; `None` on stores that only delta-rs's own file system reaches.

        That one calls back into Python: it holds the interpreter lock, and a read ahead that is still under way when
        the interpreter ends aborts the process.
        """
        from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

        if self.folder:
            return SubTreeFileSystem(self.uri(table), LocalFileSystem())
        if self.root.startswith(_S3):
            return SubTreeFileSystem("/".join(asset_key(table)), self._files)
        return None

    @cached_property
    def _files(self) -> FileSystem:
        from pyarrow.fs import PyFileSystem, SubTreeFileSystem

        if self.root.startswith(_S3):
            return SubTreeFileSystem(self.root.split("://", 1)[1], _s3(self.options or {}))
        from deltalake.fs import DeltaStorageHandler

        return PyFileSystem(DeltaStorageHandler(self.root, self.options))


def _s3(options: Mapping[str, str]) -> FileSystem:
    from pyarrow.fs import S3FileSystem

    given = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    endpoint = given.get("endpoint_url") or given.get("endpoint") or ""
    return S3FileSystem(
        access_key=given.get("access_key_id"),
        secret_key=given.get("secret_access_key"),
        session_token=given.get("session_token") or given.get("token"),
        region=given.get("region") or given.get("default_region"),
        endpoint_override=endpoint or None,
        scheme="http" if endpoint.startswith("http://") else "https",
        anonymous=given.get("skip_signature", "").lower() == "true",
        force_virtual_addressing=given.get("virtual_hosted_style_request", "").lower() == "true",
    )


def _commit_path(table: str, version: int) -> str:
    return f"{'/'.join(asset_key(table))}/_delta_log/{version:020}.json"


def _overlap(name: str, prefix: str) -> bool:
    return name.startswith(prefix) or prefix.startswith(name)
