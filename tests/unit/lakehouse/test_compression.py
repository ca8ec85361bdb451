"""Compressed files are read like plain ones, within the same limits, or refused by the name of their format.

The kind: a file that is not text is taken for text, and the quarantine holds thousands of lines of nothing.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import PayloadTooLarge, SchemaMismatch
from lakehouse.files import compression
from lakehouse.files.options import FileOptions
from lakehouse.files.reading import read_rows, read_table
from lakehouse.files.rows import Column

COLUMNS = [Column("id", "int64"), Column("name", "string")]
CSV = b"id,name\n1,a\nx,b\n2,c\n"


def zstandard(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def zipped(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", content)
    return sink.getvalue()


READ: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".gzip": lambda content: gzip.compress(content[:9]) + gzip.compress(content[9:]),
    ".zst": zstandard,
    ".zstd": lambda content: zstandard(content[:9]) + zstandard(content[9:]),
    "": gzip.compress,
}


@pytest.mark.parametrize("suffix", READ)
def test_compressed_text_is_read_as_the_text(suffix: str) -> None:
    content = READ[suffix](CSV)
    parsed = read_rows(content, f"orders.csv{suffix}", COLUMNS, FileOptions())
    plain = read_rows(CSV, "orders.csv", COLUMNS, FileOptions())
    assert parsed.rows.equals(plain.rows)
    assert parsed.rejected == plain.rejected
    assert len(parsed.rejected) == 1
    assert read_table(READ[suffix](b"id\n1\n"), f"o.csv{suffix}", [], FileOptions()).to_pydict() == {"id": [1]}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("o.tsv.GZ", b"id\tname\n7\tx\n"),
        ("o.jsonl.zst", b'{"id": 7, "name": "x"}\n'),
        ("o.json.gz", b'[{"id": 7, "name": "x"}]'),
        ("https://example.org/o.tsv.gz?x=1", b"id\tname\n7\tx\n"),
    ],
)
def test_the_format_is_that_before_the_suffix(name: str, content: bytes) -> None:
    parsed = read_rows(gzip.compress(content), name, COLUMNS, FileOptions())
    assert parsed.rows.select("id", "name").rows() == [(7, "x")]


def test_parquet_is_decompressed_too() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [7], "name": ["x"]}), sink)
    parsed = read_rows(gzip.compress(sink.getvalue()), "o.parquet.gz", COLUMNS, FileOptions())
    assert parsed.rows.select("id", "name").rows() == [(7, "x")]


REFUSED: dict[str, tuple[bytes, str]] = {
    "zip": (zipped(CSV), "a ZIP archive"),
    "bzip2": (bz2.compress(CSV), "a bzip2 file"),
    "empty bzip2": (bz2.compress(b""), "a bzip2 file"),
    "xz": (lzma.compress(CSV), "an xz file"),
    "gzip cut off": (gzip.compress(CSV)[:-9], "a damaged gzip file"),
    "gzip with a changed byte": (gzip.compress(CSV)[:-8] + bytes(4) + gzip.compress(CSV)[-4:], "a damaged gzip file"),
    "gzip with something after it": (gzip.compress(CSV) + b"more", "a damaged gzip file"),
    "zstandard cut off": (zstandard(CSV * 100)[:-9], "a damaged Zstandard file"),
    "zstandard with something after it": (zstandard(CSV) + b"more", "a damaged Zstandard file"),
    "twice": (gzip.compress(zstandard(CSV)), "compressed twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_decompressed_is_one_entry_that_says_why(case: str) -> None:
    content, reason = REFUSED[case]
    parsed = read_rows(content, "orders.csv.gz", COLUMNS, FileOptions())
    assert parsed.rows.height == 0
    (rejected,) = parsed.rejected
    assert reason in rejected.reason
    assert (rejected.line, rejected.raw) == (1, content)
    with pytest.raises(SchemaMismatch, match=reason):
        read_table(content, "orders.csv.gz", [], FileOptions())


@pytest.mark.parametrize("compress", [gzip.compress, zstandard])
def test_a_bomb_is_stopped_at_the_limit_of_plain_files(
    compress: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = compress(bytes(50_000_000))
    assert len(bomb) < 100_000
    monkeypatch.setattr(compression, "MAX_FILE_BYTES", 1_000_000)
    for read in (
        lambda: read_rows(bomb, "a.csv.gz", COLUMNS, FileOptions()),
        lambda: read_table(bomb, "a.csv.gz", [], FileOptions()),
    ):
        with pytest.raises(PayloadTooLarge, match="1,000,000 bytes after decompression"):
            read()


def test_plain_text_under_the_name_of_a_compressed_file_is_read() -> None:
    assert read_rows(CSV, "orders.csv.gz", COLUMNS, FileOptions()).rows.height == 2
