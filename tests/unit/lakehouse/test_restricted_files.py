"""Files of restricted versions: deterministic, complete, bounded, and never half."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import InvalidArgument, NotFound
from core.row_policies import MaskMethod
from lakehouse import restricted_files
from lakehouse.restricted_files import RestrictedFiles
from lakehouse.restrictions import NULL_MASK, ColumnMask, Restriction, combined
from lakehouse.tables import Tables

PEOPLE = "shop.silver.people"
EVEN = Restriction({"mail": NULL_MASK}, ("id % 2 = 0",), key="k")


def people(*ids: int) -> pa.Table:
    mails, countries = [f"secret-{id}" for id in ids], ["DE" if id < 5 else "FR" for id in ids]
    texts = {"mail": pa.array(mails, pa.string()), "country": pa.array(countries, pa.string())}
    return pa.table({"id": pa.array(ids, pa.int64()), **texts})


@pytest.fixture
def files(tmp_path: Path) -> RestrictedFiles:
    return RestrictedFiles(tmp_path / "restricted")


def rows(files: RestrictedFiles, digest: str, name: str) -> list[dict[str, object]]:
    with files.open(digest, name) as opened:
        return list(pq.read_table(opened).to_pylist())


def test_files_have_the_same_number_of_rows_whatever_is_hidden(
    tables: Tables, files: RestrictedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restricted_files, "ROWS", 2)
    tables.append(PEOPLE, people(1, 2, 3))
    tables.append(PEOPLE, people(4, 5, 6, 8))
    found = files.of(tables.snapshot(PEOPLE), EVEN, "")
    assert [one.row_count for one in found.files] == [2, 2]
    left = [row["id"] for one in found.files for row in rows(files, found.digest, one.name)]
    assert sorted(left) == [2, 4, 6, 8]


def test_the_same_version_and_restriction_give_the_same_bytes(tables: Tables, files: RestrictedFiles) -> None:
    tables.append(PEOPLE, people(*range(100)))
    first = files.of(tables.snapshot(PEOPLE), EVEN, "")
    content = (files.folder / first.digest / first.files[0].name).read_bytes()
    again = RestrictedFiles(files.folder.with_name("again"))
    second = again.of(tables.snapshot(PEOPLE), EVEN, "")
    assert second == first
    assert (again.folder / second.digest / second.files[0].name).read_bytes() == content
    assert b"secret" not in content


def test_deleted_rows_and_other_partitions_are_not_in_the_files(tables: Tables, files: RestrictedFiles) -> None:
    tables.create(PEOPLE, people().schema, partition_by=["country"])
    tables.append(PEOPLE, people(*range(8)))
    tables.delete(PEOPLE, "id = 2")
    found = files.of(tables.snapshot(PEOPLE), EVEN, "country = 'DE'")
    assert [row for one in found.files for row in rows(files, found.digest, one.name)] == [
        {"id": 0, "mail": None, "country": "DE"},
        {"id": 4, "mail": None, "country": "DE"},
    ]


def test_everything_that_decides_the_content_is_in_the_digest(tables: Tables, files: RestrictedFiles) -> None:
    tables.append(PEOPLE, people(1))
    first = tables.snapshot(PEOPLE)
    tables.append(PEOPLE, people(2))
    second = tables.snapshot(PEOPLE)
    last = ColumnMask(MaskMethod.PARTIAL, last=3)
    cases = [
        (first, EVEN, ""),
        (second, EVEN, ""),
        (second, EVEN, "country = 'DE'"),
        (second, Restriction(EVEN.masks, (), "k"), ""),
        (second, Restriction({"mail": last}, EVEN.conditions, "k"), ""),
        (second, Restriction(EVEN.masks, EVEN.conditions, "other"), ""),
    ]
    assert len({files.digest(*case) for case in cases}) == len(cases)


def test_a_failed_write_leaves_nothing(tables: Tables, files: RestrictedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.append(PEOPLE, people(*range(8)))
    monkeypatch.setattr(restricted_files, "ROWS", 2)

    def full(path: Path, part: pa.Table) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(restricted_files, "_written", full)
        with pytest.raises(OSError, match="No space"):
            files.of(tables.snapshot(PEOPLE), EVEN, "")
    assert list(files.folder.iterdir()) == []
    assert len(files.of(tables.snapshot(PEOPLE), EVEN, "").files) == 2


def test_the_size_is_bounded(tables: Tables, files: RestrictedFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    tables.append(PEOPLE, people(1, 2))
    first = files.of(tables.snapshot(PEOPLE), EVEN, "")
    monkeypatch.setattr(restricted_files, "MAX_BYTES", sum(one.size for one in first.files) + 200)
    tables.append(PEOPLE, people(4))
    second = files.of(tables.snapshot(PEOPLE), EVEN, "")
    assert [one.name for one in files.folder.iterdir()] == [second.digest]
    monkeypatch.setattr(restricted_files, "MAX_SOURCE_BYTES", 10)
    with pytest.raises(InvalidArgument, match="too large"):
        files.of(tables.snapshot(PEOPLE, version=0), EVEN, "")


def test_a_name_opens_nothing_else(tables: Tables, files: RestrictedFiles) -> None:
    tables.append(PEOPLE, people(1, 2))
    found = files.of(tables.snapshot(PEOPLE), EVEN, "")
    for name in ("files.json", "../x", "/etc/passwd", ""):
        with pytest.raises(NotFound):
            files.open(found.digest, name)


def test_restrictions_together_hide_what_each_of_them_hides() -> None:
    last = ColumnMask(MaskMethod.PARTIAL, last=3)
    one = Restriction({"mail": last, "phone": last}, ("a",), "k", frozenset({"a"}))
    two = Restriction({"mail": last, "phone": NULL_MASK, "name": last}, ("b", "a"), "k", frozenset({"b"}))
    found = combined([one, two])
    assert found == Restriction(
        {"mail": last, "phone": NULL_MASK, "name": last}, ("a", "b"), "k", frozenset({"a", "b"})
    )
    assert combined([]) is None
