"""How well a search finds what people judged relevant: recall and nDCG, deterministic, without a language model."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import InvalidArgument

if TYPE_CHECKING:
    from rag.retrieval import Mode, Retriever


@dataclass(frozen=True, slots=True)
class Judgement:
    """A query and the documents that answer it; `uri#heading` names one section of a document."""

    query: str
    relevant: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one query found: the addresses in order, each once, and how good that is."""

    query: str
    found: tuple[str, ...]
    recall: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Means over all queries, and each query's own outcome."""

    k: int
    recall: float
    ndcg: float
    outcomes: tuple[Outcome, ...]

    @property
    def missed(self) -> list[Outcome]:
        """Queries that did not find everything."""
        return [outcome for outcome in self.outcomes if outcome.recall < 1]


def evaluate(judgements: Sequence[Judgement], search: Callable[[str], Sequence[str]], k: int) -> Evaluation:
    """Runs every query and compares.

    Args:
        judgements: queries with what answers them.
        search: addresses for a query, best first; repeated ones count at their best place only.
        k: how many distinct addresses are looked at.

    Raises:
        InvalidArgument: there is nothing to judge.
    """
    if not judgements or any(not item.relevant for item in judgements):
        raise InvalidArgument("An evaluation needs at least one query, and for each a document that answers it.")
    outcomes = []
    for item in judgements:
        found = tuple(dict.fromkeys(search(item.query)))[:k]
        outcomes.append(Outcome(item.query, found, recall_at(found, item.relevant), ndcg_at(found, item.relevant, k)))
    count = len(outcomes)
    return Evaluation(
        k=k,
        recall=sum(outcome.recall for outcome in outcomes) / count,
        ndcg=sum(outcome.ndcg for outcome in outcomes) / count,
        outcomes=tuple(outcomes),
    )


def evaluate_index(
    retriever: Retriever, index: str, judgements: Sequence[Judgement], k: int, *, mode: Mode = "hybrid"
) -> Evaluation:
    """Judges the first `k` hits as a reader sees them: by document, or by section where judgements name some."""
    sections = {address for item in judgements for address in item.relevant if "#" in address}

    def search(query: str) -> list[str]:
        hits = retriever.search(index, query, k, mode=mode).hits
        addresses = []
        for hit in hits:
            section = f"{hit.document}#{hit.heading}"
            addresses.append(section if section in sections else hit.document)
        return addresses

    return evaluate(judgements, search, k)


def recall_at(found: Sequence[str], relevant: Collection[str]) -> float:
    """Share of the relevant that was found, 0 to 1."""
    return len(set(found) & set(relevant)) / len(set(relevant))


def ndcg_at(found: Sequence[str], relevant: Collection[str], k: int) -> float:
    """Normalized discounted cumulative gain of binary judgements, 0 to 1: Järvelin and Kekäläinen, TOIS 2002."""
    wanted = set(relevant)
    gain = sum(1 / math.log2(place + 2) for place, address in enumerate(found[:k]) if address in wanted)
    best = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))
    return gain / best
