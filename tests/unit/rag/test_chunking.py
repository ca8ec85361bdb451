from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidArgument
from rag.chunking import Chunker, Document, first_heading, sections, text_with_headings

PAGE = """---
title: ignored
---
# Title

Opening words.

## First

Alpha.

```python
# no heading
```

### Deeper

Beta.

## Second `code`

Gamma.
"""


def document(text: str, **metadata: str) -> Document:
    return Document("a.md", "Title", text, metadata)


def test_chunks_have_their_heading_path_and_code_is_not_a_heading() -> None:
    chunks = Chunker().split(document(PAGE))
    assert [(chunk.heading, chunk.text) for chunk in chunks] == [
        ("Title", "Opening words."),
        ("Title > First", "Alpha.\n\n```python\n# no heading\n```"),
        ("Title > First > Deeper", "Beta."),
        ("Title > Second code", "Gamma."),
    ]
    assert [chunk.position for chunk in chunks] == [0, 1, 2, 3]


def test_underlined_headings_and_windows_line_ends() -> None:
    chunks = Chunker().split(document("Top\r\n===\r\n\r\none\r\n\r\nLower\r\n---\r\n\r\ntwo\r\n"))
    assert [(chunk.heading, chunk.text) for chunk in chunks] == [("Top", "one"), ("Top > Lower", "two")]


def test_editing_a_section_does_not_change_the_ids_of_other_chunks() -> None:
    before = Chunker().split(document(PAGE))
    after = Chunker().split(document(PAGE.replace("Alpha.", "A longer Alpha, which moves the text below it.")))
    assert [old.id == new.id for old, new in zip(before, after, strict=True)] == [True, False, True, True]
    assert before[2].start != after[2].start


def test_a_repeated_passage_has_two_ids_and_one_digest() -> None:
    one, other = Chunker().split(document("# A\n\n## B\n\nsame\n\n## B\n\nsame\n"))
    assert one.id != other.id
    assert one.digest == other.digest


@pytest.mark.parametrize(
    "changed",
    [Chunker(size=800, embedder="m"), Chunker(embedder="other")],
    ids=["size", "embedder"],
)
def test_chunker_settings_and_model_are_part_of_the_id(changed: Chunker) -> None:
    first, second = Chunker(embedder="m").split(document("text"))[0], changed.split(document("text"))[0]
    assert first.id != second.id


def test_the_document_is_part_of_the_id_but_not_of_the_digest() -> None:
    first = Chunker().split(document("text"))[0]
    second = Chunker().split(replace(document("text"), uri="b.md"))[0]
    assert first.id != second.id
    assert first.digest == second.digest


def test_text_with_headings_includes_title_and_headings_once() -> None:
    assert text_with_headings("Title", "Title > First", "x") == "Title > First\n\nx"
    assert text_with_headings("Title", "First", "x") == "Title: First\n\nx"
    assert text_with_headings("Title", "", "x") == "Title\n\nx"


def test_headings_without_text_produce_no_chunks() -> None:
    assert Chunker().split(document("# A\n\n## B\n\n   \n")) == []
    assert first_heading("# A `b`\n") is None or first_heading("# A `b`\n") == "A b"
    assert first_heading("no heading") is None


def test_labels_are_sorted_and_their_names_validated() -> None:
    assert Chunker().split(document("x", b="2", a="1"))[0].labels == ("a=1", "b=2")
    with pytest.raises(InvalidArgument, match="snake_case"):
        Chunker().split(document("x", **{"Not Good": "1"}))


def test_long_sections_are_split_at_paragraphs_without_losing_words() -> None:
    paragraphs = [f"Paragraph {n} " + "word " * 40 for n in range(20)]
    text = "# T\n\n" + "\n\n".join(paragraphs)
    chunks = Chunker(size=500).split(document(text))
    assert max(len(chunk.text) for chunk in chunks) <= 500
    assert " ".join(" ".join(chunk.text for chunk in chunks).split()) == " ".join(text.removeprefix("# T").split())


markdown = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(
            ["# H", "## Sub", "```", "- item", "> quote", "***", "---", "Under\n===", "\r", "\t", "a" * 90]
        ),
    ),
    max_size=25,
).map("\n".join)


@settings(max_examples=200, deadline=None)
@given(markdown)
def test_every_chunk_is_an_exact_span_of_its_document(text: str) -> None:
    chunks = Chunker(size=80).split(document(text))
    assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)
    assert all(0 < len(chunk.text) <= 80 for chunk in chunks)
    assert all(first.end <= second.start for first, second in pairwise(chunks))
    assert len({chunk.id for chunk in chunks}) == len(chunks)


@settings(max_examples=200, deadline=None)
@given(markdown)
def test_sections_and_headings_cover_the_document(text: str) -> None:
    spans = [(start, end) for _, start, end in sections(text)]
    assert spans[-1][1] == len(text)
    assert all(start <= end for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
