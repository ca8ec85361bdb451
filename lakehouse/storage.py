"""Where tables live: names to URIs, and the few reads of a Delta log that need exact bytes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InvalidArgument
from core.ids import asset_key, is_asset_id

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

Signature = tuple[int, int]
"""Size in bytes and modification time in nanoseconds: differs when a file was replaced."""


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

    def log_versions(self, table: str) -> list[int]:
        """Versions whose commit file exists, ascending."""
        names = self._names(f"{'/'.join(asset_key(table))}/_delta_log", folders=False)
        return sorted(int(name[:20]) for name in names if len(name) == 25 and name.endswith(".json"))

    def has_checkpoint(self, table: str) -> bool:
        """Whether the log has a checkpoint, so that its oldest commit files may be gone."""
        names = self._names(f"{'/'.join(asset_key(table))}/_delta_log", folders=False)
        return any(".checkpoint." in name for name in names)

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
            name for name in found if name.startswith(prefix) and is_asset_id(name) and self.log_versions(name)
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

    @cached_property
    def _files(self) -> FileSystem:
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import PyFileSystem

        return PyFileSystem(DeltaStorageHandler(self.root, self.options))


def _commit_path(table: str, version: int) -> str:
    return f"{'/'.join(asset_key(table))}/_delta_log/{version:020}.json"


def _overlap(name: str, prefix: str) -> bool:
    return name.startswith(prefix) or prefix.startswith(name)
