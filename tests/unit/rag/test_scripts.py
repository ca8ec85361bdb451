# ruff: noqa: RUF001 - these tests need letters of other scripts
"""Words in every script are found inside a sentence.

Fault kind: a text search that assumes that words are separated by spaces. Each case is a sentence with words that it
contains, some of them parts of compounds. All sentences are in one index, and each word must find its own sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rag.chunking import Document
from rag.index import Index
from rag.layout import cjk
from rag.retrieval import Retriever

if TYPE_CHECKING:
    from conftest import Workshop

SENTENCES = {
    "zh-Hans": ("机器学习模型在东京都训练完成，航班因大雾延误。", ["机器学习", "学习", "东京", "航班", "大雾", "雾"]),
    "zh-Hant": ("資料倉儲與資料湖的差異在於結構描述。", ["資料倉儲", "倉儲", "資料湖", "差異"]),
    "ja": ("今日は羽田空港でラーメンを食べながら遅延を待ちました。", ["羽田", "空港", "ラーメン", "遅延", "食べ"]),
    "ja-half-width": ("ﾃﾞｰﾀﾍﾞｰｽを復元します。", ["データベース", "ﾃﾞｰﾀ", "復元"]),
    "ko": (
        "우리는 서울특별시에서 데이터를 분석하고 항공편을 예약합니다.",
        ["서울", "데이터", "항공편", "예약", "분석"],
    ),
    "th": ("เที่ยวบินล่าช้าเพราะหมอกหนาที่สนามบิน", ["สนามบิน", "หมอก"]),
    "ru": ("Задержка рейса вызвана туманом.", ["рейса", "ТУМАНОМ"]),
    "de": ("Die Verspätung betrug zwei Stunden.", ["verspatung", "Verspätung"]),
    "en": ("Runways close when thunderstorms pass over MVP-2000.", ["runway", "thunderstorm", "2000", "MVP"]),
    "mixed": ("Kafka消费者组は한국에서 rebalances.", ["Kafka", "消费者", "한국", "rebalance"]),
}
CASES = [(script, word) for script, (_, words) in SENTENCES.items() for word in words]


@pytest.fixture
def sentences(workshop: Workshop) -> Workshop:
    workshop.publish([Document(f"{script}.md", script, text) for script, (text, _) in SENTENCES.items()])
    return workshop


def test_a_word_inside_a_sentence_is_found(sentences: Workshop, retriever: Retriever) -> None:
    missed = [
        (script, word)
        for script, word in CASES
        if f"{script}.md" not in _documents(retriever, sentences.name, word)[:1]
    ]
    assert not missed


def test_a_word_in_no_sentence_is_not_found(sentences: Workshop, retriever: Retriever) -> None:
    for word in ("猫", "빵", "turbofan", "кошка"):
        assert _documents(retriever, sentences.name, word) == []


def _documents(retriever: Retriever, index: str, word: str) -> list[str]:
    return [hit.document for hit in retriever.search(index, word, mode="text").hits]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no such character: é ß Ω й ไทย 😀", None),
        ("", None),
        ("在 Tokyo、東京で", "在 東京で"),
        ("ﾃﾞｰﾀ", "データ"),
        ("\U00020000\U0003134f", "\U00020000\U0003134f"),
        ("佐々木", "佐々木"),
    ],
)
def test_only_cjk_characters_are_indexed_one_by_one(text: str, expected: str | None) -> None:
    assert cjk(text) == expected


def test_a_mirror_with_an_older_layout_is_rebuilt(
    workshop: Workshop, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr("rag.mirror.CURRENT_LAYOUT", "1")
        workshop.publish([Document("ja.md", "ja", SENTENCES["ja"][0])])
    assert _documents(retriever, workshop.name, "遅延") == ["ja.md"]
    index = Index(workshop.store, workshop.name)
    assert index.equals(workshop.tables.snapshot(workshop.name))
