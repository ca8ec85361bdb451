"""The writer is killed anywhere between table and mirror: the next search uses the complete newest version."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.index import Index
from rag.layout import Store
from rag.retrieval import Retriever
from tests.reliability.index_program import INDEX, PAGES, documents, open_tables, publish

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("index_program.py")
ROOT = Path(__file__).parents[2]


def start(folder: Path, die: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(PROGRAM), str(folder), die]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def assert_whole(folder: Path) -> int:
    """Checks that searches return the newest version completely, and no other version. Returns the version."""
    tables = open_tables(folder)
    newest = tables.snapshot(INDEX)
    rows = newest.to_arrow(columns=["id", "document", "text"]).to_pylist()
    retriever = Retriever(str(folder / "vectors"), tables)
    try:
        result = retriever.search(INDEX, "parity page", k=100)
        assert (result.version, result.behind) == (newest.data_version, 0)
        ids = sorted(row["id"] for row in rows)
        assert sorted({hit.chunk for hit in result.hits}) == ids
        assert len(result.hits) == len(ids)
    finally:
        retriever.close()
    mirror = Index(Store(str(folder / "vectors")), INDEX)
    assert sorted(mirror._open().to_arrow()["id"].to_pylist()) == ids
    states = [
        {(page.uri, line.strip()) for page in documents(state) for line in page.text.split("\n\n")} for state in (0, 1)
    ]
    assert any(all((row["document"], row["text"]) in state for row in rows) for state in states) or not rows
    assert len(rows) in (0, 2 * PAGES)
    return newest.version


@pytest.mark.parametrize("where", ["before-mirror", "before-tag"])
def test_a_writer_killed_at_a_critical_moment(tmp_path: Path, where: str) -> None:
    with start(tmp_path, where) as writer:
        assert writer.wait(timeout=120) == -signal.SIGKILL
    mirror = Index(Store(str(tmp_path / "vectors")), INDEX)
    assert mirror.versions() == [1], "the killed writer left table and mirror apart"
    assert open_tables(tmp_path).snapshot(INDEX).version == 2
    assert assert_whole(tmp_path) == 2
    assert mirror.versions() == [1, 2]


def test_a_writer_killed_repeatedly_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(11)
    seen: list[int] = []
    # A slow machine needs more time until a writer has made progress.
    while len(seen) < 5 or (seen[-1] == seen[0] and len(seen) < 25):
        with start(tmp_path, "anywhere") as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(rng.uniform(0, 0.8 + 0.1 * len(seen)))
            writer.kill()
        seen.append(assert_whole(tmp_path))
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]
    publish(open_tables(tmp_path), tmp_path, state=0)
    assert assert_whole(tmp_path) >= seen[-1]
