"""Checks of an index: it contains all documents, is up to date, and returns the expected results."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from assets.step_checks import ProducedVersion, StepCheck
from core.ids import asset_id
from rag.evaluation import Evaluation, RelevanceJudgment, evaluate_index
from resources.vectors import Vectors

if TYPE_CHECKING:
    from lakehouse.tables import Tables
    from rag.index import Index
    from rag.retrieval import Retriever

DOCUMENTS = "documents_present"
INDEXED = "rows_indexed"
RECALL = "golden_recall"

_MAX_REPORTED = 20


class GoldenQuery(dg.Model):
    """A query and its relevant documents: addresses, or `address#heading` for one section."""

    query: str = Field(min_length=1)
    relevant: list[str] = Field(min_length=1)


class Golden(dg.Model):
    """Queries with known relevant documents, and the recall that a search must reach."""

    queries: list[GoldenQuery] = Field(min_length=1)
    k: int = Field(10, ge=1, le=100, description="Number of hits that are evaluated.")
    floor: float = Field(0.8, ge=0, le=1, description="Minimum mean recall.")
    blocking: bool = Field(True, description="Whether downstream assets cannot use a version below the floor.")

    def judgments(self) -> list[RelevanceJudgment]:
        """Returns the queries as relevance judgments."""
        return [RelevanceJudgment(item.query, tuple(item.relevant)) for item in self.queries]


def index_checks(key: dg.AssetKey, golden: Golden | None) -> list[StepCheck]:
    """Returns the checks of an index."""
    asset = asset_id(key.path)
    documents = dg.AssetCheckSpec(
        DOCUMENTS, asset=key, blocking=True, description="Every document of the table is in the search index."
    )
    indexed = dg.AssetCheckSpec(
        INDEXED,
        asset=key,
        blocking=True,
        description="The search index equals the newest version of the table, and all rows are indexed.",
    )
    checks = [
        StepCheck(
            documents,
            lambda version: documents_present(key, _vectors(version).index(asset), version.delta.tables()),
        ),
        StepCheck(indexed, lambda version: rows_indexed(key, _vectors(version).index(asset), version.delta.tables())),
    ]
    if golden is None:
        return checks
    recall = dg.AssetCheckSpec(
        RECALL,
        asset=key,
        blocking=golden.blocking,
        description=f"The first {golden.k} hits of a hybrid search contain at least {golden.floor:.0%} of the relevant "
        f"documents of {len(golden.queries)} golden queries.",
    )

    def evaluate_recall(version: ProducedVersion) -> dg.AssetCheckResult:
        with _vectors(version).retriever(version.delta.tables()) as retriever:
            return golden_recall(key, retriever, golden)

    return [*checks, StepCheck(recall, evaluate_recall)]


def _vectors(version: ProducedVersion) -> Vectors:
    vectors = version.resources["vectors"]
    assert isinstance(vectors, Vectors)
    return vectors


def documents_present(key: dg.AssetKey, index: "Index", tables: "Tables") -> dg.AssetCheckResult:
    """Compares the documents of the table, and their numbers of chunks, with the documents of the mirror."""
    import polars as pl

    snapshot = tables.snapshot(index.name)
    counted = snapshot.scan().group_by("document").len().sort("document").collect()
    expected: dict[str, int] = dict(counted.with_columns(pl.col("len").cast(pl.Int64)).iter_rows())
    present = index.documents() if index.versions() else {}
    wrong = sorted(uri for uri in expected.keys() | present.keys() if expected.get(uri) != present.get(uri))
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=DOCUMENTS,
        passed=not wrong,
        description=f"The index contains {len(expected) - len(expected.keys() & set(wrong))} of {len(expected)} "
        "documents completely.",
        metadata={"documents": len(expected), "delta/version": snapshot.version, "wrong": wrong[:_MAX_REPORTED]},
    )


def rows_indexed(key: dg.AssetKey, index: "Index", tables: "Tables") -> dg.AssetCheckResult:
    """Compares the content of table and index, and counts the rows that LanceDB has not indexed yet."""
    snapshot, status = tables.snapshot(index.name), index.status()
    # Version numbers may differ: a vacuum of the table commits a version with the same rows.
    current = status is not None and index.equals(snapshot)
    unindexed = status.unindexed_rows if status else snapshot.row_count
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=INDEXED,
        passed=current and unindexed == 0,
        description=f"The index has version {status.version if status else 'none'}, the table version "
        f"{snapshot.version}; {unindexed} rows are not indexed.",
        metadata={
            "unindexed_rows": unindexed,
            "delta/version": snapshot.version,
            "vector_index": status.vector_index if status else "",
        },
    )


def golden_recall(key: dg.AssetKey, retriever: "Retriever", golden: Golden) -> dg.AssetCheckResult:
    """Evaluates the golden queries by hybrid search, and by vector and text search alone for comparison."""
    judgments = golden.judgments()
    asset = asset_id(key.path)
    hybrid = evaluate_index(retriever, asset, judgments, golden.k)
    vector = evaluate_index(retriever, asset, judgments, golden.k, mode="vector")
    text = evaluate_index(retriever, asset, judgments, golden.k, mode="text")
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=RECALL,
        passed=hybrid.recall >= golden.floor,
        description=f"Recall@{golden.k} is {hybrid.recall:.2f}; the floor is {golden.floor:.2f}.",
        metadata={
            "recall": hybrid.recall,
            "ndcg": hybrid.ndcg,
            "vector_recall": vector.recall,
            "vector_ndcg": vector.ndcg,
            "text_recall": text.recall,
            "text_ndcg": text.ndcg,
            "queries": _outcomes(hybrid, vector, text, [item.relevant for item in golden.queries]),
        },
    )


def _outcomes(
    hybrid: Evaluation, vector: Evaluation, text: Evaluation, relevant: Sequence[Sequence[str]]
) -> dg.MetadataValue:
    lines = [
        "| query | relevant | first hybrid hit | hybrid | vector | text |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for expected, *results in zip(relevant, hybrid.queries, vector.queries, text.queries, strict=True):
        first = results[0].results[0] if results[0].results else ""
        cells = [results[0].query, ", ".join(expected), first, *(f"{result.recall:.2f}" for result in results)]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return dg.MetadataValue.md("\n".join(lines))
