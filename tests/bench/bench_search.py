"""Catalog search against PostgreSQL's full-text search, over the same entries and the same rights.

    python tests/bench/bench_search.py [--entries N]

A caller with rights on half of 1,000 projects takes the first 20 of a ranked result and its number of matches. Facets
are measured apart, because the peer's query has none.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[2]
ENTRIES, PROJECTS = 1_000_000, 1_000
KIND = "bench.entry"
SEARCHES = ("delay", "airport weather", "forecast model carrier", "orders nightly", "zzyzx")
WORDS = """
airport arrival weather delay carrier route forecast model orders customers churn revenue nightly hourly raw clean
joined history daily events sessions clicks payments refunds stock prices sensors images labels embeddings zzyzx
"""


def run(entries: int = ENTRIES) -> list[dict[str, Any]]:
    """The rows of the report."""
    import pgserver
    import psycopg

    from api.kernel.search.document import Document
    from api.kernel.search.index import FACETS, Position, SearchIndex
    from api.kernel.search.query import one_of, words_query

    with tempfile.TemporaryDirectory(prefix="hw-bench-") as folder:
        server = pgserver.get_server(Path(folder, "postgresql"))
        try:
            index = SearchIndex(Path(folder))
            assert index.begin()
            began = time.perf_counter()
            index.put(
                Document(KIND, f"ent_{n}", f"prj_{n % PROJECTS}", name, description=text, labels=(f"team=t{n % 40}",))
                for n, name, text in _entries(entries)
            )
            index.commit(Position("bench", 1))
            built = time.perf_counter() - began
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                _fill(connection, entries)
                visible = [f"prj_{n}" for n in range(0, PROJECTS, 2)]
                rows = []
                for text in SEARCHES:
                    words = index.words(text)

                    def headwater(facets: tuple[str, ...] = (), words: list[str] = words) -> int:
                        from tantivy import Occur, Query

                        found = words_query(index.schema, index.searcher(), words, typos=False)
                        allowed = one_of(index.schema, "scope", visible)
                        query = Query.boolean_query([(Occur.Must, found), (Occur.Must, allowed)])
                        return index.search(query, found, limit=20, offset=0, facets=facets).total

                    def peer(words: list[str] = words) -> int:
                        wanted = " & ".join(f"{word}:*" for word in words)
                        connection.execute(_SEARCH, [wanted, visible]).fetchall()
                        return int(connection.execute(_COUNT, [wanted, visible]).fetchone()[0])  # type: ignore[index]

                    assert headwater() == peer(), text
                    own, theirs = _interleaved(headwater, peer)
                    faceted = _median(lambda: headwater(FACETS), 5)
                    note = f"{headwater():,} matches; with four facets {faceted:.1f} ms"
                    rows.append(_row(f"search of {entries:,}: {text!r}", own, theirs, note))
                rows[0]["note"] += f"; the index was built in {built:.0f} s"
                return rows
        finally:
            index.close()
            server.cleanup()


_SEARCH = """
SELECT id, ts_rank(words, query) AS rank FROM entry, to_tsquery('simple', %s) AS query
WHERE words @@ query AND scope = ANY(%s) ORDER BY rank DESC, id LIMIT 20
"""
_COUNT = "SELECT count(*) FROM entry WHERE words @@ to_tsquery('simple', %s) AND scope = ANY(%s)"


def _entries(count: int) -> Any:
    chosen, known = random.Random(7), WORDS.split()
    for n in range(count):
        words = chosen.choices(known, k=8)
        yield n, f"{words[0]}_{words[1]}_{n}", " ".join(words[2:])


def _fill(connection: Any, entries: int) -> None:
    connection.execute("CREATE TABLE entry (id text PRIMARY KEY, scope text NOT NULL, words tsvector NOT NULL)")
    with connection.cursor().copy("COPY entry (id, scope, words) FROM STDIN") as copy:
        for n, name, text in _entries(entries):
            words = sorted({*name.split("_"), *text.split(), "team", f"t{n % 40}"})
            copy.write_row((f"ent_{n}", f"prj_{n % PROJECTS}", " ".join(f"'{word}':1" for word in words)))
    connection.execute("CREATE INDEX entry_words ON entry USING gin (words)")
    connection.execute("CREATE INDEX entry_scope ON entry (scope)")
    connection.execute("VACUUM ANALYZE entry")


def _interleaved(headwater: Callable[[], Any], peer: Callable[[], Any], times: int = 7) -> tuple[float, float]:
    own, theirs = [], []
    for _ in range(times):
        own.append(_median(headwater, 1))
        theirs.append(_median(peer, 1))
    return median(own), median(theirs)


def _median(call: Callable[[], Any], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return median(taken)


def _row(name: str, headwater: float, peer: float, note: str) -> dict[str, Any]:
    return {
        "name": name,
        "peer": "PostgreSQL ts_rank, GIN index",
        "ours_ms": round(headwater, 2),
        "peer_ms": round(peer, 2),
        "ratio": round(peer / headwater, 1),
        "goal": ">= 10",
        "note": note,
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    for line in run(parser.parse_args().entries):
        print(line)
