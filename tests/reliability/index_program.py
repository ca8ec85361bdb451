"""Publishes two states of an index in turn until it is killed. Arguments: folder, where to exit (or `anywhere`)."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from core.db import METADATA, Database
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from rag import maintenance
from rag.chunking import Chunker, Document
from rag.corpus import build, write
from rag.embedding import WordLlamaEmbedder
from rag.index import Index
from rag.layout import Policy, Store

INDEX = "test.index.pages"
PAGES = 40


def open_tables(folder: Path) -> Tables:
    database = Database(f"sqlite:///{folder / 'metadata.db'}")
    METADATA.create_all(database.engine)
    return Tables(str(folder / "lakehouse"), database)


def documents(state: int) -> list[Document]:
    """Returns the pages of a state: 0-39 for even states, 20-59 for odd ones. Common pages name their state."""
    first = 0 if state % 2 == 0 else PAGES // 2
    return [
        Document(
            f"{n}.md", f"Page {n}", f"# Page {n}\n\nParity {state % 2}, page number{n}.\n\n## Rest\n\nUnchanging.\n"
        )
        for n in range(first, first + PAGES)
    ]


def publish(tables: Tables, folder: Path, state: int, *, die: str = "") -> None:
    embedder = WordLlamaEmbedder()
    lineage = Lineage(tables.ledger._database)
    facts = {"code_version": "1", "engine": "wordllama", "principal": "tester"}
    step = Step(tables, lineage, asset=INDEX, run=f"run-{state}", step="index", **facts)
    index = Index(Store(str(folder / "vectors")), INDEX, Policy(keep_versions=3))
    with index.write_lock():
        previous = tables.snapshot(INDEX) if tables.exists(INDEX) else None
        snapshot = write(step, build(documents(state), Chunker(embedder=embedder.digest), embedder, previous))
        if die == "before-mirror":
            os.kill(os.getpid(), signal.SIGKILL)
        if die == "before-tag":
            maintenance.tag_state = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        index.sync(snapshot)


def main() -> None:
    folder, die = Path(sys.argv[1]), sys.argv[2]
    tables = open_tables(folder)
    state = 0
    while True:
        publish(tables, folder, state, die="" if state == 0 else die)
        state += 1
        print(state, flush=True)


if __name__ == "__main__":
    main()
