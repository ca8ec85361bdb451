"""File actions of a Delta log as they were written: for protocols that pass them on to other readers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from core.errors import NotFound, TableDamaged, UnknownVersion
from lakehouse.commits import parse_commit
from lakehouse.data_paths import is_outside

if TYPE_CHECKING:
    from pyarrow import NativeFile

    from lakehouse.snapshot import Snapshot
    from lakehouse.storage import Storage

ADD, REMOVE, CDC = "add", "remove", "cdc"
_FILE_KINDS = (ADD, REMOVE, CDC)
_COLUMNS = ("path", "partitionValues", "size", "modificationTime", "stats", "deletionVector")
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class FileAction:
    """A file that a commit added or removed, or a file of the change data feed."""

    kind: str
    """`add`, `remove`, or `cdc`."""
    path: str
    """Path below the location of the table, URL-encoded as in the log."""
    partition_values: Mapping[str, str | None]
    """Partition values as texts, by the column names of the files."""
    size: int
    modified_at: int
    """Time of the last change of the file, in milliseconds since 1970."""
    stats: str | None
    """Statistics as JSON; `None` if the log contains none."""
    deletion_vector: Mapping[str, Any] | None
    """Descriptor of the deleted rows; `None` if no row of the file is deleted."""


@dataclass(frozen=True, slots=True)
class CommitActions:
    """The file actions of one commit that changed rows."""

    version: int
    committed_at: int
    """Time of the commit, in milliseconds since 1970."""
    files: Sequence[FileAction]
    metadata: Mapping[str, Any] | None
    """New metadata of the table; `None` if the commit doesn't change it."""


def added_files(storage: Storage, snapshot: Snapshot) -> list[FileAction]:
    """Returns the files of a version with their actions, sorted by path.

    Raises:
        TableDamaged: the actions in the log and the files of the snapshot differ.
        UnknownVersion: the log no longer contains the version.
    """
    log = storage.log(snapshot.table)
    base = log.base(snapshot.version)
    files: dict[str, FileAction] = {}
    if base >= 0:
        files = {file.path: file for file in _checkpoint(storage, snapshot.table, log.checkpoint_files[base])}
    versions = range(base + 1, snapshot.version + 1)
    contents = storage.commit_contents(snapshot.table, versions)
    for version in versions:
        actions = list(_actions(contents.get(version, b"")))
        # A commit that deletes rows by a vector removes a file and adds it again, in any order.
        for action in actions:
            if REMOVE in action:
                files.pop(str(action[REMOVE]["path"]), None)
        added = [_file(ADD, action[ADD]) for action in actions if ADD in action]
        files |= {file.path: file for file in added}
    if sorted(map(unquote, files)) != sorted(map(unquote, snapshot.paths)):
        raise TableDamaged(
            f"The log of {snapshot.table} lists other files for version {snapshot.version} than its readers see. Run "
            "`headwater doctor`.",
            metadata={"table": snapshot.table, "version": snapshot.version},
        )
    return [files[path] for path in sorted(files)]


def changed_files(storage: Storage, table: str, versions: range, *, feed: bool) -> list[CommitActions]:
    """Returns the commits of a range of versions that changed rows or metadata.

    Args:
        storage: the store.
        table: table id.
        versions: versions whose commits to read.
        feed: whether the files of the change data feed replace the added and removed files of their commit.

    Raises:
        UnknownVersion: the log no longer contains one of the commits.
    """
    contents = storage.commit_contents(table, versions)
    if missing := [version for version in versions if version not in contents]:
        raise UnknownVersion(
            f"The log of {table} no longer contains the changes of version {missing[0]}. Start at a later version.",
            metadata={"table": table, "version": missing[0]},
        )
    commits = []
    for version in versions:
        actions = list(_actions(contents[version]))
        files = [
            _file(kind, action[kind])
            for action in actions
            for kind in _FILE_KINDS
            if kind in action and (kind == CDC or action[kind].get("dataChange", True))
        ]
        changes = [file for file in files if file.kind == CDC]
        files = changes if feed and changes else [file for file in files if file.kind != CDC]
        metadata = next((action["metaData"] for action in actions if "metaData" in action), None)
        if files or metadata:
            written_at = partial(storage.committed_at, table, version)
            committed = parse_commit(version, contents[version], written_at).committed_at
            commits.append(CommitActions(version, int(committed.timestamp() * _MILLISECONDS), files, metadata))
    return commits


def open_file(snapshot: Snapshot, path: str) -> NativeFile:
    """Opens a file of a table for reading, by its path in the log.

    Raises:
        NotFound: the path leads out of the table, or a vacuum deleted the file.
    """
    decoded = unquote(path)
    missing = NotFound(f"A file of {snapshot.table} doesn't exist any more. Query the table again.")
    if is_outside(decoded) or decoded.startswith("_delta_log/"):
        raise missing
    try:
        return snapshot.open_file(decoded)
    except FileNotFoundError:
        raise missing from None


def _actions(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        if line.strip():
            yield json.loads(line)


def _file(kind: str, action: Mapping[str, Any]) -> FileAction:
    path = str(action["path"])
    if is_outside(unquote(path)):
        raise TableDamaged(f"The log names the file {path[:200]!r}, which is outside of its table.")
    values = action.get("partitionValues") or {}
    pairs = values.items() if isinstance(values, Mapping) else values
    return FileAction(
        kind=kind,
        path=path,
        # An empty text is a null in Delta.
        partition_values={str(name): (None if value in (None, "") else str(value)) for name, value in pairs},
        size=int(action.get("size") or 0),
        modified_at=int(action.get("modificationTime") or action.get("deletionTimestamp") or 0),
        stats=action.get("stats"),
        deletion_vector=action.get("deletionVector"),
    )


def _checkpoint(storage: Storage, table: str, names: Sequence[str]) -> Iterator[FileAction]:
    import pyarrow.parquet as pq

    for name in names:
        content = storage.log_file(table, name)
        if content is None:
            continue
        if name.endswith(".json"):
            yield from (_file(ADD, action[ADD]) for action in _actions(content) if ADD in action)
            sidecars = [action["sidecar"]["path"] for action in _actions(content) if "sidecar" in action]
        else:
            rows = pq.read_table(io.BytesIO(content))
            yield from _added(rows)
            entries = rows["sidecar"].to_pylist() if "sidecar" in rows.column_names else []
            sidecars = [entry["path"] for entry in entries if entry]
        for sidecar in sidecars:
            if "/" not in sidecar and (part := storage.log_file(table, f"_sidecars/{unquote(sidecar)}")):
                yield from _added(pq.read_table(io.BytesIO(part)))


def _added(rows: Any) -> Iterator[FileAction]:
    if ADD not in rows.column_names:
        return
    column = rows[ADD].combine_chunks()
    column = column.filter(column.is_valid())
    present = [name for name in _COLUMNS if column.type.get_field_index(name) >= 0]
    for values in zip(*(column.field(name).to_pylist() for name in present), strict=True):
        yield _file(ADD, dict(zip(present, values, strict=True)))
