"""A blob is complete and named by its content, or it isn't there: a writer that is killed or fails leaves none."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import NotFound, TableDamaged
from lakehouse.blobs import Blobs
from lakehouse.storage import Storage
from tests.s3_store import s3_store

CONTENT = os.urandom(3_000_001)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
KILLED = """
import os, signal, sys
from lakehouse.blobs import Blobs
from lakehouse.storage import Storage

writer = Blobs(Storage(sys.argv[1], None)).writer("prj_1")
writer.write(b"x" * 5_000_000)
print("written", flush=True)
signal.pause()
"""


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    if request.param == "folder":
        yield Blobs(Storage(str(tmp_path), None))
        return
    with s3_store("lake") as options:
        yield Blobs(Storage("s3://lake/tables", options))


def written(blobs: Blobs, content: bytes, project: str = "prj_1") -> str:
    writer = blobs.writer(project)
    for start in range(0, len(content), 700_000):
        writer.write(content[start : start + 700_000])
    return writer.finish()


def test_the_content_comes_back(blobs: Blobs) -> None:
    for content in (CONTENT, b"", CONTENT[:1_048_576], CONTENT[: 2 * 1_048_576]):
        digest = written(blobs, content)
        assert digest == hashlib.sha256(content).hexdigest()
        assert b"".join(blobs.chunks("prj_1", digest)) == content
        assert blobs.verify("prj_1", written(blobs, content)) == len(content), "written again"


def test_a_blob_belongs_to_its_project(blobs: Blobs) -> None:
    written(blobs, CONTENT)
    for project, digest in (("prj_2", DIGEST), ("prj_1", "0" * 64), ("prj_1", "../" + DIGEST[3:])):
        with pytest.raises(NotFound):
            list(blobs.chunks(project, digest))
    with pytest.raises(ValueError, match="not an id"):
        blobs.writer("../prj_1")
    with pytest.raises(ValueError, match="not an id"):
        blobs.part_writer("prj_1", "../upl_1", 1)


def part(blobs: Blobs, number: int, content: bytes, upload: str = "upl_1") -> str:
    writer = blobs.part_writer("prj_1", upload, number)
    writer.write(content)
    return writer.finish()


def test_parts_are_joined_in_the_order_of_their_numbers(blobs: Blobs) -> None:
    pieces = {2: CONTENT[1_500_000:], 1: CONTENT[:1_500_000]}
    digests = {number: part(blobs, number, piece) for number, piece in pieces.items()}
    assert blobs.uploads("prj_1") == ["upl_1"]
    assert blobs.join("prj_1", "upl_1", digests) == (DIGEST, len(CONTENT))
    assert b"".join(blobs.chunks("prj_1", DIGEST)) == CONTENT
    part(blobs, 2, b"replaced")
    with pytest.raises(TableDamaged):
        blobs.join("prj_1", "upl_1", digests)
    with pytest.raises(NotFound):
        blobs.join("prj_1", "upl_1", {3: DIGEST})
    part(blobs, 1, b"of another one", "upl_2")
    blobs.remove_parts("prj_1", "upl_1")
    blobs.remove_parts("prj_1", "upl_1")
    assert blobs.uploads("prj_1") == ["upl_2"]


def test_only_files_that_were_not_written_again_are_removed(blobs: Blobs) -> None:
    assert not blobs.exists("prj_9", DIGEST)
    written(blobs, CONTENT, "prj_9")
    (stored,) = blobs.stored("prj_9")
    assert (stored.name, stored.size, blobs.exists("prj_9", DIGEST)) == (DIGEST, len(CONTENT), True)
    assert not blobs.remove("prj_9", DIGEST, before=stored.changed_at)
    assert blobs.remove("prj_9", DIGEST, before=stored.changed_at + timedelta(seconds=1))
    assert not blobs.remove("prj_9", DIGEST, before=stored.changed_at + timedelta(days=1))
    assert (list(blobs.stored("prj_9")), list(blobs.incomplete("prj_9"))) == ([], [])


def test_an_aborted_writer_leaves_nothing(tmp_path: Path) -> None:
    blobs = Blobs(Storage(str(tmp_path), None))
    writer = blobs.writer("prj_1")
    writer.write(CONTENT)
    writer.abort()
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []


def test_changed_content_is_never_complete(tmp_path: Path) -> None:
    blobs = Blobs(Storage(str(tmp_path), None))
    written(blobs, CONTENT)
    (stored,) = [one for one in tmp_path.rglob("*") if one.is_file()]
    stored.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    received = b""
    with pytest.raises(TableDamaged):  # noqa: PT012 - what came before the error counts
        for chunk in blobs.chunks("prj_1", DIGEST):
            received += chunk
    assert len(received) < len(CONTENT), "a client that counts bytes notices"


@pytest.mark.slow
def test_a_killed_writer_leaves_no_blob(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    digest = hashlib.sha256(b"x" * 5_000_000).hexdigest()
    blobs = Blobs(Storage(str(tmp_path), None))
    with pytest.raises(NotFound):
        list(blobs.chunks("prj_1", digest))
    assert written(blobs, b"x" * 5_000_000) == digest, "the retry succeeds"
