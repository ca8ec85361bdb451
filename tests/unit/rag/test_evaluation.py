from __future__ import annotations

import math

import pytest

from core.errors import InvalidArgument
from rag.evaluation import Judgement, evaluate, ndcg_at, recall_at


def test_recall_counts_what_was_found_among_what_is_relevant() -> None:
    assert recall_at(["a", "b"], ["b", "c"]) == 0.5


def test_ndcg_falls_with_the_place_of_the_hit() -> None:
    assert ndcg_at(["a", "x", "y"], ["a"], 3) == 1
    assert ndcg_at(["x", "a", "y"], ["a"], 3) == pytest.approx(1 / math.log2(3))
    assert ndcg_at(["x", "y"], ["a"], 3) == 0
    # By hand: gains at places 1 and 3 over the best at 1 and 2.
    assert ndcg_at(["a", "x", "b"], ["a", "b"], 3) == pytest.approx(1.5 / (1 + 1 / math.log2(3)))


def test_more_relevant_than_k_can_still_reach_one() -> None:
    assert ndcg_at(["a", "b"], ["a", "b", "c"], 2) == 1


def test_evaluation_averages_and_keeps_each_outcome() -> None:
    answers = {"one": ["a", "a", "b"], "two": ["x", "y"]}
    result = evaluate([Judgement("one", ("b",)), Judgement("two", ("z",))], answers.__getitem__, k=2)
    assert result.outcomes[0].found == ("a", "b")
    assert result.recall == 0.5
    assert [outcome.query for outcome in result.missed] == ["two"]


@pytest.mark.parametrize("judgements", [[], [Judgement("q", ())]])
def test_nothing_to_judge_is_refused(judgements: list[Judgement]) -> None:
    with pytest.raises(InvalidArgument):
        evaluate(judgements, lambda _: [], k=1)
