"""Opening of tables with delta-rs, and the errors for damaged logs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from core.errors import TableDamaged
from lakehouse.storage import Storage

if TYPE_CHECKING:
    from deltalake import DeltaTable

_PART = re.compile(r"(?P<prefix>\d{20}\.checkpoint\.)\d{10}\.(?P<count>\d{10})\.parquet")
_MAX_PARTS = 10_000
_SIDECAR_FOLDER = "_sidecars/"
_HINT_ERROR = "_last_checkpoint hint"
_log = logging.getLogger(__name__)


def open_table(storage: Storage, table: str, version: int | None = None) -> DeltaTable:
    """Opens the newest or a given version of a table.

    A wrong `_last_checkpoint`, which only saves readers a listing of the log, is ignored. It isn't deleted, because it
    belongs to the writer of the table.

    Raises:
        TableDamaged: a checkpoint can't be read. The message names the file and says what to do.
        DeltaError: delta-rs can't open the table for another reason.
    """
    from deltalake.exceptions import DeltaError

    try:
        return _open(storage, table, version)
    except DeltaError as error:
        if _HINT_ERROR in str(error) and (delta := _open_without_hint(storage, table, version)) is not None:
            return delta
        if damage := _damaged_checkpoint(storage, table, version):
            raise damage from error
        raise


def _open(storage: Storage, table: str, version: int | None) -> DeltaTable:
    from deltalake import DeltaTable

    return DeltaTable(storage.uri(table), version=version, storage_options=storage.options)


def _open_without_hint(storage: Storage, table: str, version: int | None) -> DeltaTable | None:
    """Opens a version before the hint, for which delta-rs doesn't use the hint, and advances from there."""
    hint, log = _hint_version(storage, table), storage.log(table)
    if hint is None or not log.commits or log.oldest_readable is None:
        return None
    target = log.commits[-1] if version is None else version
    start = min(target, hint - 1)
    if start < log.oldest_readable:
        return None
    delta = _open(storage, table, start)
    if start < target:
        delta.load_as_version(target)
    _log.warning("%s: `_last_checkpoint` is ignored because it names a checkpoint that doesn't exist", table)
    return delta


def _hint_version(storage: Storage, table: str) -> int | None:
    try:
        version = json.loads(storage.log_file(table, "_last_checkpoint") or b"{}").get("version")
    except (ValueError, AttributeError):
        return None
    return version if isinstance(version, int) else None


def _damaged_checkpoint(storage: Storage, table: str, version: int | None) -> TableDamaged | None:
    """Returns the error for the checkpoint that a version is read from, if it can't be read."""
    log = storage.log(table)
    newest = log.commits[-1] if log.commits else -1
    base = log.base(newest if version is None else version)
    names = log.checkpoint_files.get(base, [])
    for name, fault in _faults(storage, table, names):
        if log.commits == list(range(newest + 1)):
            checkpoint = names[0] if len(names) == 1 else f"{base:020}.checkpoint.*"
            advice = (
                "The commit files are complete, so the table is readable without the checkpoint: move "
                f"`_delta_log/{checkpoint}` to another folder."
            )
        else:
            advice = f"Restore the file from a backup. Versions from before {base} may be readable."
        return TableDamaged(
            f"The checkpoint file `_delta_log/{name}` of {table} {fault}. {advice}",
            metadata={"table": table, "version": base},
        )
    return None


def _faults(storage: Storage, table: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields the missing and the damaged files of a checkpoint, each with its fault."""
    import pyarrow as pa

    pending = sorted({*names, *(part for name in names[:1] for part in _parts(name))})
    for name in pending:
        content = storage.log_file(table, name)
        if not content:
            yield name, "is missing" if content is None else "is empty"
            continue
        try:
            sidecars = _sidecars(name, content)
        except (pa.ArrowException, OSError, ValueError) as error:
            yield name, f"is damaged ({_first_line(error)})"
            continue
        if not name.startswith(_SIDECAR_FOLDER):  # sidecars have no sidecars
            pending += [sidecar for sidecar in sidecars if sidecar not in pending]


def _parts(name: str) -> list[str]:
    """Returns the names of all parts of a checkpoint in several files, if `name` is that of a part."""
    match = _PART.fullmatch(name)
    if match is None or int(match["count"]) > _MAX_PARTS:
        return []
    return [f"{match['prefix']}{number:010}.{match['count']}.parquet" for number in range(1, int(match["count"]) + 1)]


def _sidecars(name: str, content: bytes) -> list[str]:
    """Reads a checkpoint file. Returns the names of the sidecars that it refers to."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if name.endswith(".json"):
        actions = [json.loads(line) for line in content.splitlines() if line.strip()]
        entries = [action.get("sidecar") for action in actions if isinstance(action, dict)]
    else:
        table = pq.read_table(pa.BufferReader(content), page_checksum_verification=True)
        entries = table["sidecar"].to_pylist() if "sidecar" in table.column_names else []
    paths = [unquote(str(entry.get("path"))) for entry in entries if isinstance(entry, dict)]
    return [f"{_SIDECAR_FOLDER}{path}" for path in paths if "/" not in path and path not in (".", "..")]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
