"""Hybrid search: ours against raw LanceDB on the very same table, and recall with and without a filter.

    python tests/bench/bench_retrieval.py [--rows 100000]

Vectors are synthetic (500 Gaussian clusters, 256 dimensions), texts draw words by Zipf's law; both sides get the same
query vectors, so embedding costs neither of them anything. Ours includes what a user gets: the check that the index
still equals the newest table version, both scores, spans and citations. The filter matches one of 50 labels, once
spread evenly and once tied to a few clusters, which is where approximate indices lose recall; raw LanceDB, with its
defaults, gives up exactness there to be faster.

Quality is judged on real text with the real model: 2,000 docstrings of scientific packages, found by their first lines.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

INDEX = "bench.index.passages"
DIMENSIONS, CLUSTERS, LABELS, QUERIES, K = 256, 500, 50, 100, 10
GOAL_LATENCY, GOAL_RECALL = "≤ 1.3", "≥ 0.98"


class Prepared:
    """Stands for the model: every query's vector is known beforehand."""

    digest = "prepared"
    dimensions = DIMENSIONS

    def __init__(self, vectors: dict[str, Any]) -> None:
        self.vectors = vectors

    def embed(self, texts: Sequence[str]) -> Any:
        return np.stack([self.vectors[text] for text in texts])


class Data:
    """Passages, queries and the exact answers."""

    def __init__(self, rows: int) -> None:
        rng = np.random.default_rng(7)
        centres = rng.normal(size=(CLUSTERS, DIMENSIONS))
        self.cluster = rng.integers(0, CLUSTERS, rows)
        self.vectors = _unit(centres[self.cluster] + 0.6 * rng.normal(size=(rows, DIMENSIONS)))
        self.spread = rng.integers(0, LABELS, rows)
        self.tied = self.cluster % LABELS
        chance = 1 / np.arange(1, 5001)
        words = rng.choice(5000, size=(rows, 40), p=chance / chance.sum())
        self.texts = [" ".join(f"w{word}" for word in line) for line in words]
        near = self.vectors[rng.integers(0, rows, QUERIES)]
        self.query_vectors = _unit(near + 0.02 * rng.normal(size=near.shape))
        asked = rng.choice(5000, size=(QUERIES, 4), p=chance / chance.sum())
        # A distinct word keeps the queries apart; no passage holds it.
        self.queries = [" ".join(f"w{word}" for word in line) + f" q{n}" for n, line in enumerate(asked)]
        self.similarity = self.query_vectors @ self.vectors.T

    def exact(self, query: int, among: Any = None) -> set[str]:
        rows = np.arange(len(self.vectors)) if among is None else np.flatnonzero(among)
        best = rows[np.argsort(-self.similarity[query, rows])[:K]]
        return {_id(row) for row in best}

    def chunks(self) -> pa.Table:
        from rag.layout import chunk_schema

        count = len(self.texts)
        offsets = np.arange(0, (count + 1) * DIMENSIONS, DIMENSIONS, dtype=np.int32)
        labels = [[f"spread=t{a}", f"tied=t{b}"] for a, b in zip(self.spread, self.tied, strict=True)]
        columns: list[Any] = [
            [_id(row) for row in range(count)],
            [f"d{row // 10}" for row in range(count)],
            ["Bench"] * count,
            [f"Part {row % 7}" for row in range(count)],
            [row % 10 for row in range(count)],
            self.texts,
            [0] * count,
            [len(text) for text in self.texts],
            [_id(row) for row in range(count)],
            labels,
            [Prepared.digest] * count,
        ]
        schema = chunk_schema()
        arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=False)]
        arrays.append(pa.ListArray.from_arrays(offsets, pa.array(self.vectors.reshape(-1))))
        return pa.table(arrays, schema=schema)


def run(rows: int = 100_000) -> list[dict[str, Any]]:
    """Measures both sides, interleaved query by query."""
    # Raw LanceDB logs a warning per query for its own choice of columns; writing them would slow it down.
    os.environ.setdefault("LANCE_LOG", "error")

    from core.db import METADATA, Database
    from lakehouse.tables import Tables
    from rag.index import Index
    from rag.layout import Policy, Store
    from rag.retrieval import Retriever

    data = Data(rows)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/metadata.db")
        METADATA.create_all(database.engine)
        tables = Tables(f"{folder}/lakehouse", database)
        tables.overwrite(INDEX, data.chunks())
        results: list[dict[str, Any]] = []
        for name, policy in (
            ("IVF_FLAT", Policy(quantize_above=rows)),
            ("IVF_SQ, refined", Policy(quantize_above=rows // 2)),
        ):
            store = Store(str(Path(folder) / name.split(",", maxsplit=1)[0]))
            report = Index(store, INDEX, policy).sync(tables.snapshot(INDEX))
            embedder = Prepared(dict(zip(data.queries, data.query_vectors, strict=True)))
            retriever = Retriever(store, tables, embedder=embedder, policy=policy)
            note = f"{rows} x {DIMENSIONS}, {name}, built in {report.took_ms / 1000:.1f} s"
            results += _latency(data, retriever, _raw(store), note)
            results += _recall(data, retriever, note)
            retriever.close()
        results += _quality(tables, Store(f"{folder}/quality"))
        database.close()
    return results


def _quality(tables: Any, store: Any) -> list[dict[str, Any]]:
    from rag.chunking import Chunker, Document
    from rag.corpus import build
    from rag.embedding import WordLlamaEmbedder
    from rag.evaluation import RelevanceJudgment, evaluate_index
    from rag.index import Index
    from rag.retrieval import Retriever

    found = sorted(_docstrings())
    random.Random(0).shuffle(found)
    found = found[:2_000]
    index, embedder = "bench.index.docstrings", WordLlamaEmbedder()
    documents = [Document(uri, "Docstring", body) for uri, _, body in found]
    tables.overwrite(index, build(documents, Chunker(embedder=embedder.digest), embedder).rows)
    Index(store, index).sync(tables.snapshot(index))
    retriever = Retriever(store, tables, embedder=embedder)
    judgments = [RelevanceJudgment(summary, (uri,)) for uri, summary, _ in found[:300]]
    ndcg = {
        mode: evaluate_index(retriever, index, judgments, K, mode=mode).ndcg for mode in ("hybrid", "text", "vector")
    }
    retriever.close()
    note = "; ".join(f"{mode} {value:.3f}" for mode, value in ndcg.items())
    return [
        {
            "name": f"nDCG@10 of hybrid, 300 of {len(found)} docstrings by their first line",
            "peer": f"{mode} alone",
            "ours_ms": None,
            "peer_ms": None,
            "ratio": round(ndcg["hybrid"] / ndcg[mode], 2),
            "goal": "≥ 1",
            "note": note,
        }
        for mode in ("text", "vector")
    ]


def _docstrings() -> Iterator[tuple[str, str, str]]:
    """Address, first line and rest of every long docstring; a first line that occurs twice counts once."""
    seen: set[str] = set()
    for package in ("numpy", "scipy", "sklearn", "polars", "pyarrow"):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py")):
            if "tests" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
                    continue
                summary, _, body = (ast.get_docstring(node) or "").partition("\n\n")
                summary = " ".join(summary.split())
                if len(summary.split()) >= 6 and len(body) >= 300 and summary not in seen:
                    seen.add(summary)
                    yield f"{package}/{path.relative_to(folder)}:{node.lineno}", summary, body[:4000]


def _raw(store: Any) -> Callable[[str, Any, str | None], Any]:
    import lancedb
    from lancedb.rerankers import RRFReranker

    table = lancedb.connect(store.address).open_table(INDEX)

    def search(text: str, vector: Any, where: str | None) -> Any:
        query = table.search(query_type="hybrid").vector(vector).text(text).distance_type("cosine")
        query = query.rerank(RRFReranker(return_score="all")).limit(K)
        return (query.where(where) if where else query).select(_COLUMNS).to_list()

    return search


_COLUMNS = ["id", "document", "title", "heading", "position", "start", "end", "content"]


def _latency(data: Data, retriever: Any, raw: Callable[..., Any], note: str) -> list[dict[str, Any]]:
    cases: list[tuple[str, Callable[[int], Any], Callable[[int], Any]]] = [
        (
            "hybrid search, top 10",
            lambda n: retriever.search(INDEX, data.queries[n], K),
            lambda n: raw(data.queries[n], data.query_vectors[n], None),
        ),
        (
            "hybrid search, top 10, filter 1 of 50",
            lambda n: retriever.search(INDEX, data.queries[n], K, {"spread": f"t{n % LABELS}"}),
            lambda n: raw(data.queries[n], data.query_vectors[n], f"array_has_any(labels, ['spread=t{n % LABELS}'])"),
        ),
    ]
    rows = []
    for name, headwater, theirs in cases:
        for n in range(10):
            headwater(n), theirs(n)
        pairs = [(_timed(headwater, n), _timed(theirs, n)) for n in range(QUERIES)]
        measured, peer = (median(side) * 1000 for side in zip(*pairs, strict=True))
        rows.append(
            {
                "name": name,
                "peer": "raw LanceDB",
                "ours_ms": measured,
                "peer_ms": peer,
                "ratio": round(measured / peer, 2),
                "goal": GOAL_LATENCY,
                "note": f"{note}; median of {QUERIES}",
            }
        )
    return rows


def _recall(data: Data, retriever: Any, note: str) -> list[dict[str, Any]]:
    def found(n: int, wanted: dict[str, str] | None) -> set[str]:
        return {hit.chunk for hit in retriever.search(INDEX, data.queries[n], K, wanted, mode="vector").hits}

    def recall(column: Any, label: str) -> float:
        shares = []
        for n in range(QUERIES):
            value = data.cluster[n] % LABELS if label == "tied" else n % LABELS
            among = None if column is None else column == value
            wanted = None if column is None else {label: f"t{value}"}
            exact = data.exact(n, among)
            shares.append(len(found(n, wanted) & exact) / len(exact))
        return float(np.mean(shares))

    cases = (
        ("recall@10, no filter", None, ""),
        ("recall@10, filter 1 of 50, spread", data.spread, "spread"),
        ("recall@10, filter 1 of 50, tied to clusters", data.tied, "tied"),
    )
    return [
        {
            "name": name,
            "peer": "exact search (numpy)",
            "ours_ms": None,
            "peer_ms": None,
            "ratio": round(recall(column, label), 4),
            "goal": GOAL_RECALL,
            "note": f"{note}; ratio is the recall over {QUERIES} queries",
        }
        for name, column, label in cases
    ]


def _timed(call: Callable[[int], Any], n: int) -> float:
    started = time.perf_counter()
    call(n)
    return time.perf_counter() - started


def _unit(vectors: Any) -> Any:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _id(row: int) -> str:
    return f"{row:032x}"


def main() -> None:
    """Prints the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    for row in run(parser.parse_args().rows):
        times = "" if row["ours_ms"] is None else f"{row['ours_ms']:8.2f} ms vs {row['peer_ms']:8.2f} ms"
        print(f"{row['name']:46s} {times:28s} ratio {row['ratio']:<7} goal {row['goal']}  {row['note']}")


if __name__ == "__main__":
    main()
