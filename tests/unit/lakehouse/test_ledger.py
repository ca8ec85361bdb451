"""Damage to a Delta log is noticed, also the kinds that delta-rs reads without an error."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from deltalake import DeltaTable, write_deltalake

from core.db import Database
from core.errors import TableDamaged
from lakehouse.ledger import COMMIT_DIGEST, Ledger, digest
from lakehouse.tables import Tables

NAME = "shop.silver.orders"


def commit_file(root: Path, version: int) -> Path:
    return root / "shop/silver/orders/_delta_log" / f"{version:020}.json"


@pytest.fixture
def log(tables: Tables, root: Path) -> Path:
    """The log of a table with versions 0 to 5, each of which added one row."""
    for number in range(6):
        tables.append(NAME, pa.table({"id": [number]}))
    return root / "shop/silver/orders/_delta_log"


def reopened(root: Path, database: Database) -> Tables:
    """As another process sees it: nothing kept."""
    return Tables(str(root), database)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "last deleted": lambda log: (log / f"{5:020}.json").unlink(),
    "last two deleted": lambda log: [(log / f"{v:020}.json").unlink() for v in (4, 5)] and None,
    "last emptied": lambda log: (log / f"{5:020}.json").write_bytes(b"") and None,
    "last torn": lambda log: (log / f"{5:020}.json").write_bytes((log / f"{5:020}.json").read_bytes()[:100]) and None,
    "last garbage": lambda log: (log / f"{5:020}.json").write_bytes(b"\x00\xff" * 50) and None,
    "last altered": lambda log: (log / f"{5:020}.json").write_bytes((log / f"{4:020}.json").read_bytes()) and None,
    "middle deleted": lambda log: (log / f"{3:020}.json").unlink(),
    "middle emptied": lambda log: (log / f"{3:020}.json").write_bytes(b"") and None,
    "middle torn": lambda log: (log / f"{3:020}.json").write_bytes(b'{"add":{"path":"x') and None,
    "middle altered": lambda log: (log / f"{3:020}.json").write_bytes((log / f"{2:020}.json").read_bytes()) and None,
    "first deleted": lambda log: (log / f"{0:020}.json").unlink(),
    "first emptied": lambda log: (log / f"{0:020}.json").write_bytes(b"") and None,
    "folder deleted": shutil.rmtree,
    "all deleted": lambda log: [file.unlink() for file in log.iterdir()] and None,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
class TestDamage:
    def test_is_noticed_by_a_reader(
        self, damage: Callable[[Path], None], log: Path, root: Path, database: Database
    ) -> None:
        damage(log)
        with pytest.raises(TableDamaged) as caught:
            reopened(root, database).snapshot(NAME)
        assert "backup" in caught.value.detail

    def test_is_noticed_by_a_writer_before_it_writes(
        self, damage: Callable[[Path], None], log: Path, root: Path, database: Database
    ) -> None:
        damage(log)
        before = sorted(root.rglob("*"))
        with pytest.raises(TableDamaged):
            reopened(root, database).append(NAME, pa.table({"id": [99]}))
        assert sorted(root.rglob("*")) == before

    def test_is_a_finding(self, damage: Callable[[Path], None], log: Path, root: Path, database: Database) -> None:
        damage(log)
        assert reopened(root, database).verify(NAME)


@pytest.mark.parametrize("name", ["last deleted", "last emptied", "last torn", "last altered"])
def test_damage_under_a_kept_handle_is_noticed(name: str, tables: Tables, log: Path) -> None:
    assert tables.snapshot(NAME).version == 5
    DAMAGES[name](log)
    with pytest.raises(TableDamaged):
        tables.snapshot(NAME)
    with pytest.raises(TableDamaged):
        tables.append(NAME, pa.table({"id": [99]}))


def test_damage_to_an_old_version_is_noticed_by_who_reads_it(tables: Tables, log: Path) -> None:
    assert tables.snapshot(NAME).version == 5
    DAMAGES["middle altered"](log)
    assert tables.snapshot(NAME).version == 5
    with pytest.raises(TableDamaged, match="version 3"):
        tables.snapshot(NAME, version=4)


def test_a_damaged_checkpoint_is_noticed(tables: Tables, root: Path, database: Database) -> None:
    for number in range(12):
        tables.append(NAME, pa.table({"id": [number]}))
    (checkpoint,) = (root / "shop/silver/orders/_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(checkpoint.read_bytes()[:200])
    with pytest.raises(TableDamaged):
        reopened(root, database).snapshot(NAME)


def test_a_missing_data_file_is_a_finding(tables: Tables, log: Path) -> None:
    next(log.parent.glob("*.parquet")).unlink()
    (finding,) = tables.verify(NAME)
    assert "1 data files of version 5" in finding


def test_a_sound_table_has_no_findings(tables: Tables, log: Path) -> None:
    assert tables.verify(NAME) == []


def test_damage_can_be_accepted(tables: Tables, log: Path, root: Path, database: Database) -> None:
    DAMAGES["last deleted"](log)
    tables = reopened(root, database)
    with pytest.raises(TableDamaged):
        tables.snapshot(NAME)
    tables.adopt(NAME)
    assert tables.snapshot(NAME).version == 4
    assert tables.append(NAME, pa.table({"id": [99]})).version == 5
    assert tables.verify(NAME) == []


def test_commits_of_others_are_adopted(tables: Tables, log: Path, root: Path, database: Database) -> None:
    for number in range(3):
        write_deltalake(str(log.parent), pa.table({"id": [100 + number]}), mode="append")
    assert tables.snapshot(NAME).version == 8
    table_id = tables.snapshot(NAME).table_id
    assert sorted(Ledger(database).digests(NAME, table_id)) == list(range(9))
    (log / f"{8:020}.json").unlink()
    with pytest.raises(TableDamaged, match="committed up to version 8"):
        reopened(root, database).snapshot(NAME)


def test_a_table_made_by_others_is_adopted(tables: Tables, root: Path) -> None:
    write_deltalake(str(root / "shop/silver/orders"), pa.table({"id": [1]}))
    assert tables.snapshot(NAME).row_count == 1
    assert tables.append(NAME, pa.table({"id": [2]})).version == 1


def test_a_table_made_anew_is_no_damage(tables: Tables, log: Path) -> None:
    was = tables.snapshot(NAME).table_id
    shutil.rmtree(log.parent)
    assert not tables.exists(NAME)
    tables.append(NAME, pa.table({"id": [1]}))
    snapshot = tables.snapshot(NAME)
    assert (snapshot.version, snapshot.row_count) == (0, 1)
    assert snapshot.table_id != was


def test_our_commits_are_on_record_with_their_digests(tables: Tables, log: Path, database: Database) -> None:
    tables.optimize(NAME)
    tables.vacuum(NAME, retention_hours=0)
    snapshot = tables.snapshot(NAME)
    files = {int(file.stem): digest(file.read_bytes()) for file in log.glob("*.json")}
    with database.read() as connection:
        rows = connection.execute(sa.select(COMMIT_DIGEST.c.version, COMMIT_DIGEST.c.digest)).all()
    assert {row.version: row.digest for row in rows} == files
    assert max(files) == snapshot.version


def test_a_lost_digest_does_not_fail_the_write(
    tables: Tables, log: Path, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from core.errors import Unavailable

    def unavailable(*_: object) -> None:
        raise Unavailable("the metadata database is away")

    monkeypatch.setattr(tables.ledger, "record", unavailable)
    commit = tables.append(NAME, pa.table({"id": [6]}))
    assert (commit.version, commit.changed) == (6, True)
    assert "digest of shop.silver.orders not recorded" in caplog.text
    monkeypatch.undo()
    assert tables.snapshot(NAME).row_count == 7
    assert 6 in Ledger(database).digests(NAME, commit.table_id)


class TestLedger:
    def test_keeps_the_first_digest(self, any_database: Database) -> None:
        ledger = Ledger(any_database)
        ledger.record(NAME, "t", {0: "a", 1: "b"})
        ledger.record(NAME, "t", {1: "b", 2: "c"})
        ledger.check(NAME, "t", {2: "c", 3: "d"})
        for method in (ledger.record, ledger.check):
            with pytest.raises(TableDamaged, match="version 1"):
                method(NAME, "t", {1: "x"})
        assert ledger.newest(NAME, "t") == (3, "d")
        assert ledger.newest(NAME, "other") is None
        assert ledger.digests(NAME, "t", [1, 2]) == {1: "b", 2: "c"}

    def test_forgets(self, any_database: Database) -> None:
        ledger = Ledger(any_database)
        ledger.record(NAME, "t", {0: "a"})
        ledger.forget(NAME)
        assert ledger.newest(NAME, "t") is None


def test_delta_rs_itself_reads_a_wrong_table(log: Path) -> None:
    """Why the ledger exists: should this fail one day, delta-rs has learned it."""
    DAMAGES["last emptied"](log)
    assert DeltaTable(str(log.parent)).to_pyarrow_table().num_rows == 5


@pytest.mark.parametrize("version", range(6))
def test_verification_names_the_version_that_was_altered_behind_an_open_table(
    log: Path, root: Path, database: Database, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever opening the table has checked: every commit file is compared with the digest on record."""
    opened = reopened(root, database)
    stored = opened.snapshot(NAME)
    monkeypatch.setattr(opened._handles, "snapshot", lambda table, version=None: stored)
    assert opened.verify(NAME) == []
    commit = commit_file(root, version)
    commit.write_bytes(commit.read_bytes() + b" ")
    (finding,) = opened.verify(NAME)
    assert f"The commit file of version {version} of {NAME} was altered or emptied after it was written" in finding


def test_verification_names_missing_data_files_and_gaps_of_the_log(
    log: Path, root: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = reopened(root, database)
    stored = opened.snapshot(NAME)
    monkeypatch.setattr(opened._handles, "snapshot", lambda table, version=None: stored)
    (root / "shop/silver/orders" / stored.paths[2]).unlink()
    for version in (2, 3):
        commit_file(root, version).unlink()
    gap, missing = opened.verify(NAME)
    assert gap.endswith("lacks the commit files of versions 2, 3.")
    assert missing.startswith(f"1 data files of version 5 of {NAME} are missing, such as {stored.paths[2]}.")
