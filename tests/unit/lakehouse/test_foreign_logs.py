"""Kind of fault: the checkpoints, dates, and other files in a log of another writer hide rows or versions."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from core.errors import TableDamaged, UnknownVersion
from lakehouse.tables import Tables
from tests.foreign_tables.checkpoints import CHECKPOINTS, ROWS, VERSION, make
from tests.foreign_tables.doors import DIFF, DOORS
from tests.foreign_tables.hand_written import NAME, hand_written
from tests.foreign_tables.make import TABLES
from tests.foreign_tables.refused import REFUSED_READS
from tests.foreign_tables.unpack import unpack


@pytest.mark.parametrize("opened", [name for name in DOORS if name != DIFF])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_checkpoints_of_other_writers_are_read(tables: Tables, place: Path, kind: str, opened: str) -> None:
    checkpoint, features = CHECKPOINTS[kind]
    make(place, checkpoint, features=features)
    assert sorted(DOORS[opened](tables, NAME)["id"].to_pylist()) == ROWS
    assert tables.snapshot(NAME, version=VERSION).row_count == len(ROWS) - 1
    with pytest.raises(UnknownVersion, match=f"it has versions {VERSION} to {VERSION + 1}"):
        tables.snapshot(NAME, version=0)


@pytest.mark.parametrize("damage", ["missing", "damaged", "empty"])
@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_lost_part_of_a_checkpoint_is_named(tables: Tables, place: Path, kind: str, damage: str) -> None:
    checkpoint, features = CHECKPOINTS[kind]
    log = make(place, checkpoint, features=features)
    part = sorted([*log.glob("_sidecars/*.parquet")] or [*log.glob("*.checkpoint.*.parquet")])[1]
    content = part.read_bytes()
    part.unlink() if damage == "missing" else part.write_bytes(b"something" if damage == "damaged" else b"")
    with pytest.raises(TableDamaged, match=f"{part.name}` of {NAME} is {damage}"):
        tables.snapshot(NAME)
    part.write_bytes(content)
    assert sorted(tables.snapshot(NAME).to_arrow()["id"].to_pylist()) == ROWS


UNDATED: dict[str, Any] = {
    "no commitInfo": None,
    "no timestamp": {"operation": "WRITE"},
    "null": {"timestamp": None},
    "text": {"timestamp": "2024-01-01", "operation": 5, "operationParameters": "x", "operationMetrics": [1]},
    "zero": {"timestamp": 0},
    "negative": {"timestamp": -5},
    "beyond all years": {"timestamp": 10**30},
    "no object": "x",
}


@pytest.mark.parametrize("info", UNDATED.values(), ids=UNDATED)
def test_a_commit_without_a_date_has_that_of_its_file(tables: Tables, place: Path, info: Any) -> None:
    """The kind: a commit says nothing sound of when it was made; dated 1970, it hides all versions but the newest."""
    hand_written(place, info=info)
    log = place / "_delta_log"
    for version, moment in enumerate((1_600_000_000, 1_700_000_000, 1_750_000_000)):
        path = log / f"{version:020}.json"
        if version:
            path.write_text(
                json.dumps({"commitInfo": info} if info is not None else {"txn": {"appId": "a", "version": version}})
            )
        os.utime(path, (moment, moment))
    assert [commit.committed_at.timestamp() for commit in tables.history(NAME)] == [1.75e9, 1.7e9, 1.6e9]
    assert tables.snapshot(NAME, timestamp=datetime.fromtimestamp(1_720_000_000, UTC)).version == 1
    with pytest.raises(UnknownVersion):
        tables.snapshot(NAME, timestamp=datetime.fromtimestamp(1_500_000_000, UTC))


def test_the_date_in_the_commit_is_that_of_in_commit_timestamps(tables: Tables, place: Path) -> None:
    hand_written(place, info={"timestamp": 1_600_000_000_000, "inCommitTimestamp": 1_700_000_000_000})
    assert tables.history(NAME)[0].committed_at.timestamp() == 1.7e9


@pytest.mark.parametrize("name", sorted(set(TABLES) - set(REFUSED_READS)))
def test_the_history_of_every_table_can_be_read(tables: Tables, place: Path, name: str) -> None:
    """The kind: a number in another writer's commit is text, or missing, and the history is an exception."""
    unpack(name, place)
    history = tables.history(NAME)
    assert history[-1].version == 0
    assert all(commit.committed_at.year >= 2024 for commit in history)


def _compacted(log: Path, table: Path) -> None:
    DeltaTable(str(table)).compact_logs(1, 4)


def _with_checkpoint(log: Path, table: Path) -> None:
    DeltaTable(str(table)).create_checkpoint()
    for version in range(4):
        (log / f"{version:020}.json").unlink()


def _with_foreign_files(log: Path, table: Path) -> None:
    for version in range(6):
        (log / f"{version:020}.crc").write_text("{}")
        (log / f".{version:020}.json.crc").write_bytes(b"crc")
    (log / "_staged_commits").mkdir()
    (log / f"{9:020}.json.tmp").write_text("x")


def _with_a_torn_hint(log: Path, table: Path) -> None:
    (log / "_last_checkpoint").write_text("{")


@pytest.mark.parametrize("change", [_compacted, _with_checkpoint, _with_foreign_files, _with_a_torn_hint])
def test_what_lies_in_a_log_beside_its_commits_hides_no_row(tables: Tables, place: Path, change: Any) -> None:
    """The kind: files that the protocol knows, or other writers leave, are taken for commits or stop a reader."""
    for number in range(6):
        write_deltalake(str(place), pa.table({"id": [number]}), mode="append")
    change(place / "_delta_log", place)
    for door in DOORS.values():
        if door is not DOORS[DIFF]:
            assert sorted(door(tables, NAME)["id"].to_pylist()) == list(range(6))
    assert tables.append(NAME, pa.table({"id": [9]})).row_count == 7
    assert tables.history(NAME)[0].version == 6


def test_a_log_whose_checkpoint_is_gone_is_damage(tables: Tables, place: Path) -> None:
    for number in range(6):
        write_deltalake(str(place), pa.table({"id": [number]}), mode="append")
    _with_checkpoint(place / "_delta_log", place)
    (place / "_delta_log" / f"{5:020}.checkpoint.parquet").unlink()
    for door in DOORS.values():
        with pytest.raises(TableDamaged, match="heckpoint"):
            door(tables, NAME)
