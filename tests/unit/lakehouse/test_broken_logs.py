"""A log that tells everything is read, whatever lies beside it; one that does not is refused in words.

The kind: a file that only saves readers some work (`_last_checkpoint`, a checkpoint of no bytes) is taken for the
truth, or the words of a library with its paths reach the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from core.db import Database
from core.errors import TableDamaged, UnknownVersion
from lakehouse.opening import _parts, _sidecars
from lakehouse.tables import Tables
from tests.databases import with_tables

NAME = "shop.silver.orders"
COMMITS = 12


@pytest.fixture
def log(tables: Tables, root: Path) -> Path:
    """The log of a table with a checkpoint in the middle."""
    for number in range(COMMITS):
        tables.append(NAME, pa.table({"id": [number]}))
    folder = root / NAME.replace(".", "/") / "_delta_log"
    assert list(folder.glob("*.checkpoint.parquet"))
    return folder


def hint(text: bytes) -> Callable[[Path], object]:
    return lambda log: (log / "_last_checkpoint").write_bytes(text)


def content(log: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in log.iterdir() if path.is_file()}


def remove(log: Path, pattern: str) -> None:
    for path in log.glob(pattern):
        path.unlink()


HARMLESS: dict[str, Callable[[Path], object]] = {
    "the checkpoint is missing": lambda log: remove(log, "*.checkpoint.parquet"),
    "the checkpoint is empty": lambda log: [path.write_bytes(b"") for path in log.glob("*.checkpoint.parquet")],
    "the hint is missing": lambda log: remove(log, "_last_checkpoint"),
    "the hint is ahead of the log": hint(b'{"version": 999, "size": 3}'),
    "the hint names parts": hint(b'{"version": 10, "size": 3, "parts": 3}'),
    "the hint is no number": hint(b'{"version": "x"}'),
    "the hint is negative": hint(b'{"version": -1, "size": 3}'),
    "the hint is empty": hint(b""),
    "the hint is no JSON": hint(b"\0\xff{"),
    "the hint is a folder": lambda log: [remove(log, "_last_checkpoint"), (log / "_last_checkpoint").mkdir()],
}


@pytest.mark.parametrize("fault", HARMLESS)
def test_what_only_saves_work_is_not_needed(log: Path, root: Path, database: Database, fault: str) -> None:
    HARMLESS[fault](log)
    before = content(log)
    tables = Tables(str(root), database)
    assert sorted(tables.snapshot(NAME).to_arrow()["id"].to_pylist()) == list(range(COMMITS))
    assert tables.snapshot(NAME, version=3).row_count == 4
    assert [commit.version for commit in tables.history(NAME, limit=3)] == [11, 10, 9]
    assert content(log) == before, "a reader changes nothing in a log that another writer may own"
    assert tables.append(NAME, pa.table({"id": [99]})).version == COMMITS
    assert tables.verify(NAME) == []
    again = Tables(str(root), database)
    assert again.snapshot(NAME).row_count == COMMITS + 1


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a gap": (
        lambda log: (log / f"{11:020}.json").rename(log / f"{12:020}.json"),
        "lacks the commit files between versions 10 and 12",
    ),
    "no beginning": (
        lambda log: [remove(log, "*.checkpoint.parquet"), remove(log, f"{0:020}.json")],
        "can't be read",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_log_that_does_not_tell_is_refused(log: Path, root: Path, tmp_path: Path, fault: str) -> None:
    breaks, message = BROKEN[fault]
    breaks(log)

    database = with_tables(f"sqlite:///{tmp_path}/other.db")  # knows nothing of the table, as of any foreign one
    tables = Tables(str(root), database)
    for read in (
        lambda: tables.snapshot(NAME),
        lambda: tables.snapshot(NAME, version=3),
        lambda: tables.append(NAME, pa.table({"id": [99]})),
    ):
        with pytest.raises(TableDamaged, match=message) as caught:
            read()
        assert caught.value.status == 409
        assert str(root) not in caught.value.detail
    database.close()


def spoil(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


DAMAGED: dict[str, Callable[[Path], object]] = {
    "something else": spoil(lambda _: b"something"),
    "cut in half": spoil(lambda content: content[: len(content) // 2]),
    "a footer of something else": spoil(lambda content: content[:-60] + b"\xff" * 52 + content[-8:]),
    "pages of something else": spoil(lambda content: content[:4] + b"\xff" * 400 + content[404:]),
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("complete", [True, False])
def test_a_damaged_checkpoint_is_named_and_its_advice_helps(
    log: Path, root: Path, database: Database, case: str, complete: bool
) -> None:
    (checkpoint,) = log.glob("*.checkpoint.parquet")
    original = checkpoint.read_bytes()
    DAMAGED[case](checkpoint)
    if not complete:
        (log / f"{0:020}.json").unlink()
    before = content(log)
    for read in (lambda tables: tables.snapshot(NAME), lambda tables: tables.append(NAME, pa.table({"id": [99]}))):
        with pytest.raises(TableDamaged, match=f"`_delta_log/{checkpoint.name}` of {NAME} is damaged") as caught:
            read(Tables(str(root), database))
        assert str(root) not in caught.value.detail
    assert content(log) == before
    if complete:
        assert f"move `_delta_log/{checkpoint.name}` to another folder" in caught.value.detail
        checkpoint.rename(root / "moved")
    else:
        assert "Restore the file from a backup" in caught.value.detail
        checkpoint.write_bytes(original)
    tables = Tables(str(root), database)
    assert sorted(tables.snapshot(NAME).to_arrow()["id"].to_pylist()) == list(range(COMMITS))


def test_a_wrong_hint_is_ignored_where_the_log_begins_with_a_checkpoint(
    log: Path, root: Path, database: Database
) -> None:
    version = int(next(log.glob("*.checkpoint.parquet")).name[:20])
    for number in range(version):
        (log / f"{number:020}.json").unlink()
    hint(b'{"version": %d, "size": 3}' % (COMMITS - 1))(log)
    before = content(log)
    tables = Tables(str(root), database)
    assert tables.snapshot(NAME).row_count == COMMITS
    assert tables.snapshot(NAME, version=version).row_count == version + 1
    assert content(log) == before


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("key", ["timestamp", "inCommitTimestamp"])
def test_a_read_by_time_follows_the_order_of_the_versions(
    tables: Tables, root: Path, database: Database, key: str
) -> None:
    """Clocks of writers differ. A version never counts as older than the one before it, as for other readers."""
    stated = [0, -60, -30, 10, 5, 20, 20, 15, 40]  # minutes after noon
    for number in range(len(stated)):
        tables.append(NAME, pa.table({"id": [number]}))
    folder = root / NAME.replace(".", "/") / "_delta_log"
    for version, minutes in enumerate(stated):
        path = folder / f"{version:020}.json"
        at = int((NOON + timedelta(minutes=minutes)).timestamp() * 1000)
        info = f'{{"commitInfo":{{"{key}":{at},"operation":"WRITE"}}}}'
        lines = [line for line in path.read_text().splitlines() if not line.startswith('{"commitInfo"')]
        path.write_text("\n".join([info, *lines]))

    other = with_tables("sqlite://")
    reading = Tables(str(root), other)

    def version(minutes: float) -> int:
        return reading.snapshot(NAME, timestamp=NOON + timedelta(minutes=minutes)).version

    assert [version(minutes) for minutes in (0, 1, 9.9, 10, 12, 19, 20, 30, 39, 40, 999)] == [
        0,
        2,
        2,
        3,
        4,
        4,
        5,
        7,
        7,
        8,
        8,
    ]
    for minutes in (-60, -30, -0.1):
        with pytest.raises(UnknownVersion, match="begins with version 0 at 2026-03-01T12:00:00"):
            version(minutes)
    newer = reading.append(NAME, pa.table({"id": [99]}))
    assert reading.snapshot(NAME, timestamp=datetime.now(UTC) + timedelta(days=1)).version == newer.version


@pytest.mark.parametrize("path", ["../../secret", "/etc/passwd", "..", "..%2f..%2fsecret"])
def test_a_sidecar_is_a_file_of_its_folder(path: str) -> None:
    """Whatever a checkpoint of another writer says: a message must not disclose whether another file exists."""
    lines = [{"sidecar": {"path": name}} for name in (path, "a.parquet")] + [{"sidecar": None}, {}]
    assert _sidecars("c.json", "\n".join(map(json.dumps, lines)).encode()) == ["_sidecars/a.parquet"]


def test_a_name_with_countless_parts_is_no_reason_to_look_for_them() -> None:
    assert len(_parts(f"{10:020}.checkpoint.{1:010}.{3:010}.parquet")) == 3
    assert _parts(f"{10:020}.checkpoint.{1:010}.{10**9:010}.parquet") == []
