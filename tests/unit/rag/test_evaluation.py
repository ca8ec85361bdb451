from __future__ import annotations

import math

import pytest

from core.errors import InvalidArgument
from rag.evaluation import RelevanceJudgment, evaluate, ndcg_at, recall_at


def test_recall_is_the_share_of_relevant_results() -> None:
    assert recall_at(["a", "b"], ["b", "c"]) == 0.5


def test_ndcg_decreases_with_the_rank_of_the_hit() -> None:
    assert ndcg_at(["a", "x", "y"], ["a"], 3) == 1
    assert ndcg_at(["x", "a", "y"], ["a"], 3) == pytest.approx(1 / math.log2(3))
    assert ndcg_at(["x", "y"], ["a"], 3) == 0
    # Computed by hand: gains at ranks 1 and 3, divided by the ideal gains at ranks 1 and 2.
    assert ndcg_at(["a", "x", "b"], ["a", "b"], 3) == pytest.approx(1.5 / (1 + 1 / math.log2(3)))


def test_ndcg_can_reach_one_with_more_relevant_documents_than_k() -> None:
    assert ndcg_at(["a", "b"], ["a", "b", "c"], 2) == 1


def test_an_evaluation_has_means_and_the_result_of_each_query() -> None:
    answers = {"one": ["a", "a", "b"], "two": ["x", "y"]}
    result = evaluate([RelevanceJudgment("one", ("b",)), RelevanceJudgment("two", ("z",))], answers.__getitem__, k=2)
    assert result.queries[0].results == ("a", "b")
    assert result.recall == 0.5
    assert [query.query for query in result.incomplete] == ["two"]


@pytest.mark.parametrize("judgments", [[], [RelevanceJudgment("q", ())]])
def test_an_evaluation_without_judgments_is_refused(judgments: list[RelevanceJudgment]) -> None:
    with pytest.raises(InvalidArgument):
        evaluate(judgments, lambda _: [], k=1)
