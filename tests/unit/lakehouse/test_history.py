"""History tells what each version did and how many rows it had."""

from __future__ import annotations

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.commits import parse_commit
from lakehouse.tables import Tables

NAME = "shop.silver.orders"


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "price": pa.array([1.0] * len(ids), pa.float64())})


@pytest.fixture
def busy(tables: Tables) -> Tables:
    """A table that went through every kind of write."""
    tables.create(NAME, rows().schema, constraints={"priced": "price > 0"})
    tables.append(NAME, rows(1, 2))
    tables.append(NAME, rows(3))
    tables.merge(NAME, rows(3, 4), ["id"])
    tables.delete(NAME, "id = 1")
    tables.overwrite(NAME, rows(9), where="id = 9")
    tables.optimize(NAME)
    tables.overwrite(NAME, rows(5, 6, 7))
    tables.restore(NAME, 3)
    tables.append(NAME, rows(8))
    return tables


def test_lists_commits_newest_first(busy: Tables) -> None:
    history = busy.history(NAME)
    assert [commit.version for commit in history] == list(range(10, -1, -1))
    operations = [commit.operation for commit in reversed(history)]
    assert operations == [
        "CREATE TABLE",
        "ADD CONSTRAINT",
        "WRITE",
        "WRITE",
        "MERGE",
        "DELETE",
        "WRITE",
        "OPTIMIZE",
        "WRITE",
        "RESTORE",
        "WRITE",
    ]
    assert {commit.table_id for commit in history} == {busy.snapshot(NAME).table_id}
    assert [commit.committed_at for commit in history] == sorted((c.committed_at for c in history), reverse=True)


def test_row_counts_are_those_of_the_versions(busy: Tables) -> None:
    reported = {commit.version: commit.row_count for commit in busy.history(NAME)}
    true = {version: busy.snapshot(NAME, version=version).row_count for version in reported}
    assert {version: count for version, count in reported.items() if count is not None} == {
        version: count for version, count in true.items() if reported[version] is not None
    }
    # An overwrite of some rows tells how many it added, not how many it removed.
    assert [version for version, count in reported.items() if count is None] == [7, 6]


def test_commits_returned_by_writes_are_those_of_the_history(tables: Tables) -> None:
    made = [tables.append(NAME, rows(n)) for n in range(3)]
    assert tables.history(NAME) == list(reversed(made))


def test_is_limited(busy: Tables) -> None:
    assert [commit.version for commit in busy.history(NAME, limit=2)] == [10, 9]


def test_commits_of_others_are_shown(tables: Tables) -> None:
    tables.append(NAME, rows(1))
    write_deltalake(tables.uri(NAME), rows(2), mode="append")
    assert [(commit.version, commit.row_count) for commit in tables.history(NAME)] == [(1, 2), (0, 1)]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello", b'{"add":{"path"', b"\x00\xff"])
def test_what_is_no_commit_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_commit(0, content)


def test_free_text_in_user_metadata_is_left_alone() -> None:
    entry = parse_commit(3, b'{"commitInfo":{"operation":"WRITE","userMetadata":"nightly load","timestamp":0}}')
    assert (entry.operation, entry.user_metadata, entry.marker) == ("WRITE", {}, "")
