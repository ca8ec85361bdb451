"""Measures search quality against relevance judgments: recall and nDCG, deterministic, without a language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import InvalidArgument

if TYPE_CHECKING:
    from rag.retrieval import Mode, Retriever


@dataclass(frozen=True, slots=True)
class RelevanceJudgment:
    """A query and the documents that are relevant to it. `uri#heading` means one section of a document."""

    query: str
    relevant: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The results of one query: distinct addresses, best first, with their scores."""

    query: str
    results: tuple[str, ...]
    recall: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean scores over all queries, and the result of each query."""

    k: int
    recall: float
    ndcg: float
    queries: tuple[QueryResult, ...]

    @property
    def incomplete(self) -> list[QueryResult]:
        """Queries whose results don't contain every relevant document."""
        return [query for query in self.queries if query.recall < 1]


def evaluate(judgments: Sequence[RelevanceJudgment], search: Callable[[str], Sequence[str]], k: int) -> Evaluation:
    """Runs every query and scores its results.

    Args:
        judgments: queries with their relevant documents.
        search: returns addresses for a query, best first. Only the first occurrence of an address counts.
        k: number of distinct addresses that are scored.

    Raises:
        InvalidArgument: there are no judgments, or a judgment has no relevant documents.
    """
    if not judgments or any(not judgment.relevant for judgment in judgments):
        raise InvalidArgument("An evaluation needs at least one query, and at least one relevant document per query.")
    queries = []
    for judgment in judgments:
        results = tuple(dict.fromkeys(search(judgment.query)))[:k]
        recall, ndcg = recall_at(results, judgment.relevant), ndcg_at(results, judgment.relevant, k)
        queries.append(QueryResult(judgment.query, results, recall, ndcg))
    count = len(queries)
    return Evaluation(
        k=k,
        recall=sum(query.recall for query in queries) / count,
        ndcg=sum(query.ndcg for query in queries) / count,
        queries=tuple(queries),
    )


def evaluate_index(
    retriever: Retriever, index: str, judgments: Sequence[RelevanceJudgment], k: int, *, mode: Mode = "hybrid"
) -> Evaluation:
    """Scores the first `k` hits of an index: by section if a judgment names that section, otherwise by document."""
    sections = {address for judgment in judgments for address in judgment.relevant if "#" in address}

    def search(query: str) -> list[str]:
        hits = retriever.search(index, query, k, mode=mode).hits
        addresses = []
        for hit in hits:
            section = f"{hit.document}#{hit.heading}"
            addresses.append(section if section in sections else hit.document)
        return addresses

    return evaluate(judgments, search, k)


def recall_at(results: Sequence[str], relevant: Collection[str]) -> float:
    """Returns the share of relevant addresses that the results contain, 0 to 1."""
    return len(set(results) & set(relevant)) / len(set(relevant))


def ndcg_at(results: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Returns the normalized discounted cumulative gain of binary judgments, 0 to 1.

    Source: Järvelin and Kekäläinen, TOIS 2002.
    """
    distinct = set(relevant)
    gain = sum(1 / math.log2(rank + 2) for rank, address in enumerate(results[:k]) if address in distinct)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(distinct))))
    return gain / ideal
