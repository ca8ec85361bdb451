"""Checkpoints as other writers make them, by hand: in parts, and of version 2 with sidecars."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake

VERSION = 3
ROWS = list(range(1, VERSION + 3))
"""Ids in the table: one for each commit. Versions 0 to `VERSION` are in the checkpoint, one commit follows it."""

_UUID = "80a083e8-7026-4e79-81be-64bd76c43a11"


def make(place: Path, checkpoint: Callable[[Path, pa.Table], object], *, features: tuple[str, ...] = ()) -> Path:
    """Makes a table whose early versions are in a checkpoint alone. Returns its log."""
    log = place / "_delta_log"
    for number in ROWS[:-1]:
        write_deltalake(str(place), pa.table({"id": [number], "name": [f"n{number}"]}), mode="append")
    if features:
        first = log / f"{0:020}.json"
        actions = [json.loads(line) for line in first.read_text().splitlines()]
        protocol = {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": features,
            "writerFeatures": features,
        }
        changed = [{"protocol": protocol} if "protocol" in action else action for action in actions]
        first.write_text("\n".join(map(json.dumps, changed)))
    DeltaTable(str(place)).create_checkpoint()
    (classic,) = log.glob("*.checkpoint.parquet")
    state = pq.read_table(classic)
    classic.unlink()
    (log / "_last_checkpoint").unlink()
    checkpoint(log, state)
    for version in range(VERSION + 1):
        (log / f"{version:020}.json").unlink()
    # The last commit, as a writer that knows nothing of checkpoints makes it.
    part = pa.table({"id": [ROWS[-1]], "name": [f"n{ROWS[-1]}"]})
    pq.write_table(part, place / "last.parquet")
    add: dict[str, Any] = {
        "path": "last.parquet",
        "partitionValues": {},
        "size": (place / "last.parquet").stat().st_size,
    }
    add |= {"modificationTime": 0, "dataChange": True, "stats": json.dumps({"numRecords": 1})}
    (log / f"{VERSION + 1:020}.json").write_text(json.dumps({"add": add}))
    return log


def in_parts(log: Path, state: pa.Table) -> None:
    """A checkpoint in two files."""
    half = state.num_rows // 2
    for number, part in enumerate((state.slice(0, half), state.slice(half)), 1):
        pq.write_table(part, log / f"{VERSION:020}.checkpoint.{number:010}.{2:010}.parquet")


def _sidecars(log: Path, state: pa.Table) -> list[dict[str, Any]]:
    files = state.filter(state["add"].is_valid())
    half = files.num_rows // 2
    (log / "_sidecars").mkdir()
    entries = []
    for number, part in enumerate((files.slice(0, half), files.slice(half))):
        path = log / "_sidecars" / f"{number}{_UUID[1:]}.parquet"
        pq.write_table(part.select(["add"]), path)
        entries.append({"path": path.name, "sizeInBytes": path.stat().st_size, "modificationTime": 0})
    return entries


def _header(log: Path, state: pa.Table) -> list[dict[str, Any]]:
    def one(column: str) -> Any:
        (value,) = state.filter(state[column].is_valid())[column].to_pylist()
        return value

    metadata = one("metaData") | {"configuration": {}, "partitionColumns": []}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    metadata["format"] = {"provider": "parquet", "options": {}}
    return [{"checkpointMetadata": {"version": VERSION}}, {"metaData": metadata}, {"protocol": one("protocol")}]


def of_version_2_in_json(log: Path, state: pa.Table) -> None:
    """A checkpoint of version 2, whose manifest is JSON."""
    lines = [*_header(log, state), *({"sidecar": entry} for entry in _sidecars(log, state))]
    (log / f"{VERSION:020}.checkpoint.{_UUID}.json").write_text("\n".join(map(json.dumps, lines)))


def _nullable(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _nullable(field.type)) for field in kind])
    return pa.list_(_nullable(kind.value_type)) if pa.types.is_list(kind) else kind


def _manifest(log: Path, state: pa.Table) -> pa.Table:
    entries = _sidecars(log, state)
    kinds = {
        "metaData": _nullable(state.schema.field("metaData").type),
        "protocol": _nullable(state.schema.field("protocol").type),
        "checkpointMetadata": pa.struct([("version", pa.int64())]),
        "sidecar": pa.struct([("path", pa.string()), ("sizeInBytes", pa.int64()), ("modificationTime", pa.int64())]),
    }
    rows = [
        *({name: row[name]} for row in state.to_pylist() for name in ("metaData", "protocol") if row[name]),
        {"checkpointMetadata": {"version": VERSION}},
        *({"sidecar": entry} for entry in entries),
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


def of_version_2_in_parquet(log: Path, state: pa.Table) -> None:
    """A checkpoint of version 2, whose manifest is Parquet."""
    pq.write_table(_manifest(log, state), log / f"{VERSION:020}.checkpoint.{_UUID}.parquet")


def of_version_2_under_the_classic_name(log: Path, state: pa.Table) -> None:
    """A checkpoint of version 2 under the name of one of version 1."""
    pq.write_table(_manifest(log, state), log / f"{VERSION:020}.checkpoint.parquet")


CHECKPOINTS: dict[str, tuple[Callable[[Path, pa.Table], object], tuple[str, ...]]] = {
    "in parts": (in_parts, ()),
    "version 2, JSON": (of_version_2_in_json, ("v2Checkpoint",)),
    "version 2, Parquet": (of_version_2_in_parquet, ("v2Checkpoint",)),
    "version 2, classic name": (of_version_2_under_the_classic_name, ("v2Checkpoint",)),
}
