from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from core.errors import (
    Conflict,
    InvalidArgument,
    UnknownColumn,
    UnknownTable,
    UnknownVersion,
)
from rag.chunking import Document
from rag.erasure import erase
from rag.retrieval import Retriever

if TYPE_CHECKING:
    from conftest import Workshop

Found = Callable[..., list[str]]


def test_a_hit_cites_the_very_passage(workshop: Workshop, retriever: Retriever) -> None:
    snapshot = workshop.publish(workshop.pages)
    result = retriever.search(workshop.name, "fog at the origin", k=3)
    hit = result.hits[0]
    page = next(page for page in workshop.pages if page.uri == hit.document)
    assert (hit.document, hit.heading) == ("guide/delays.md", "Delays > Weather")
    assert (
        page.text[hit.start : hit.end] == hit.text == "Fog and thunderstorms at the origin hold planes on the ground."
    )
    assert result.version == hit.version == snapshot.data_version
    assert (hit.vector_rank, hit.text_rank) == (1, 1)
    assert hit.score == pytest.approx((1 + 1.5) / 6, abs=1e-6)
    assert hit.vector_score is not None
    assert 0 < hit.vector_score <= 1
    assert hit.text_score is not None
    assert hit.text_score > 0
    assert hit.citation == (
        f"guide/delays.md[{hit.start}:{hit.end}] chunk {hit.chunk} in {workshop.name} {snapshot.data_version}"
    )


def test_fusion_adds_both_legs(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    query = "generated secret for turbofans"
    fused = {hit.chunk: hit for hit in retriever.search(workshop.name, query).hits}
    for mode, rank in (("vector", "vector_rank"), ("text", "text_rank")):
        alone = retriever.search(workshop.name, query, mode=mode).hits  # type: ignore[arg-type]
        assert [getattr(fused[hit.chunk], rank) for hit in alone] == list(range(1, len(alone) + 1))
    for hit in fused.values():
        legs = ((1, hit.vector_rank), (1.5, hit.text_rank))
        expected = sum(weight / (5 + rank) for weight, rank in legs if rank)
        assert hit.score == pytest.approx(expected, abs=1e-6)
    assert [hit.score for hit in fused.values()] == sorted((hit.score for hit in fused.values()), reverse=True)


def test_a_search_sees_the_newest_version_at_once(workshop: Workshop, retriever: Retriever, found: Found) -> None:
    workshop.publish(workshop.pages)
    assert found("administrator secret")[0] == "admin/passwords.md"
    snapshot = workshop.publish(workshop.without("admin/passwords.md"))
    result = retriever.search(workshop.name, "administrator secret")
    assert "admin/passwords.md" not in [hit.document for hit in result.hits]
    assert (result.version, result.behind) == (snapshot.data_version, 0)


def test_a_pinned_version_answers_as_it_was(workshop: Workshop, retriever: Retriever, found: Found) -> None:
    first = workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    assert found("administrator secret", version=first.version)[0] == "admin/passwords.md"
    assert "admin/passwords.md" not in found("administrator secret", version=2)
    with pytest.raises(UnknownVersion, match=r"at version 7\. Searchable versions: 1, 2"):
        retriever.search(workshop.name, "x", version=7)


def test_a_mirror_left_behind_is_brought_up_by_the_search(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    retriever.search(workshop.name, "fog")
    _, snapshot = workshop.write(workshop.edited("guide/delays.md", "Fog", "Xenolith"))
    result = retriever.search(workshop.name, "xenolith", mode="text")
    assert (result.version, result.behind) == (snapshot.data_version, 0)
    assert len(result.hits) == 1
    assert workshop.index().versions() == [1, 2]


def test_a_mirror_never_made_is_made_by_the_search(workshop: Workshop, found: Found) -> None:
    workshop.write(workshop.pages)
    assert found("fog", mode="text") == ["guide/delays.md"]


def test_while_a_writer_is_at_work_the_last_whole_version_answers(workshop: Workshop, retriever: Retriever) -> None:
    first = workshop.publish(workshop.pages)
    index = workshop.index()
    with index.writing():
        _, second = workshop.write(workshop.without("admin/passwords.md"))
        during = retriever.search(workshop.name, "administrator secret")
        assert (during.version, during.behind) == (first.data_version, 1)
        index.sync(second)
    after = retriever.search(workshop.name, "administrator secret")
    assert (after.version, after.behind) == (second.data_version, 0)


def test_a_filter_applies_before_the_ranking(workshop: Workshop, found: Found) -> None:
    workshop.publish(workshop.pages)
    assert found("administrator secret", k=1, filter={"section": "guide"}) != []
    assert set(found("administrator secret", filter={"section": "guide"})) == {"guide/delays.md", "guide/aircraft.md"}
    assert set(found("fog", filter={"document": {"prefix": "guide/a"}})) == {"guide/aircraft.md"}
    assert set(found("fog", filter={"section": ["admin", "none"]})) == {"admin/passwords.md"}
    assert found("fog", filter={"section": "none"}) == []
    with pytest.raises(UnknownColumn, match="It has: document, title, heading, id, section"):
        found("fog", filter={"sektion": "guide"})


def test_a_prefix_is_taken_literally(workshop: Workshop, found: Found) -> None:
    pages = [Document(uri, uri, f"# {uri}\n\nfog\n") for uri in ("a_1.md", "ab1.md", "a%1.md")]
    workshop.publish(pages)
    assert found("fog", filter={"document": {"prefix": "a_"}}) == ["a_1.md"]
    assert found("fog", filter={"document": {"prefix": "a%"}}) == ["a%1.md"]


@pytest.mark.parametrize("query", ['"quoted phrase"', "a AND (b", "it's", "the of and", "🙂", "a:b^2 -c*", "%_\\"])
def test_no_query_is_syntax(workshop: Workshop, found: Found, query: str) -> None:
    workshop.publish(workshop.pages)
    assert len(found(query)) > 0


@pytest.mark.parametrize(
    ("query", "options"),
    [("", {}), ("  ", {}), ("x" * 2001, {}), ("x", {"k": 0}), ("x", {"k": 101}), ("x", {"mode": "magic"})],
)
def test_malformed_searches_are_refused(workshop: Workshop, found: Found, query: str, options: dict[str, Any]) -> None:
    workshop.publish(workshop.pages)
    with pytest.raises(InvalidArgument):
        found(query, **options)


def test_what_is_no_index_is_refused(workshop: Workshop, retriever: Retriever) -> None:
    import polars as pl

    with pytest.raises(UnknownTable):
        retriever.search("test.index.absent", "fog")
    workshop.tables.overwrite("test.bronze.other", pl.DataFrame({"id": ["1"]}))
    with pytest.raises(InvalidArgument, match="is no index"):
        retriever.search("test.bronze.other", "fog")


def test_an_empty_index_finds_nothing(workshop: Workshop, found: Found) -> None:
    workshop.publish([])
    assert found("fog") == []


def test_another_model_than_the_vectors_were_made_with_is_refused(workshop: Workshop) -> None:
    class Other:
        digest, dimensions = "other-model", 256

        def embed(self, texts: Any) -> Any:
            raise AssertionError("must not be asked")

    workshop.publish(workshop.pages)
    retriever = Retriever(workshop.store, workshop.tables, embedder=Other())
    with pytest.raises(Conflict, match="was embedded by wordllama-"):
        retriever.search(workshop.name, "fog")
    retriever.close()


def test_an_open_index_survives_an_erasure(workshop: Workshop, retriever: Retriever, found: Found) -> None:
    first = workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    found("fog")
    found("administrator secret", version=first.version)
    erase(workshop.index(), workshop.tables)
    assert found("fog")[0] == "guide/delays.md"
    with pytest.raises(UnknownVersion):
        retriever.search(workshop.name, "administrator secret", version=first.version)


def test_many_threads_search_while_the_index_changes(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    stop = threading.Event()

    def write() -> None:
        word = 0
        while not stop.is_set():
            word += 1
            workshop.publish(workshop.edited("guide/delays.md", "Fog", f"Fog{word}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: retriever.search(workshop.name, "thunderstorms"), range(60)))
    finally:
        stop.set()
        writer.join()
    for result in results:
        assert [hit.heading for hit in result.hits].count("Delays > Weather") == 1
        assert len({hit.chunk for hit in result.hits}) == len(result.hits) == 7
        assert {hit.version for hit in result.hits} == {result.version}


def test_warming_makes_the_first_query_cheap_and_needs_no_index(workshop: Workshop, retriever: Retriever) -> None:
    retriever.warm()
    workshop.publish(workshop.pages)
    retriever.warm(workshop.name)
    assert retriever.search(workshop.name, "fog").hits


def test_importing_the_package_loads_no_engine() -> None:
    code = (
        "import sys, threading; import rag.retrieval, rag.index, rag.corpus, rag.erasure, rag.evaluation; "
        "heavy = {'lancedb', 'pyarrow', 'polars', 'numpy', 'wordllama', 'langchain_core', 'deltalake'}; "
        "print(sorted(heavy & set(sys.modules)), threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 1"


def test_upkeep_of_the_table_changes_no_citation(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    made = workshop.publish(workshop.edited("guide/delays.md", "Fog", "Mist"))
    lance_state = workshop.mirror().version
    workshop.tables.vacuum(workshop.name, retention_hours=0)
    vacuumed = workshop.tables.snapshot(workshop.name)
    assert vacuumed.version > made.version
    result = retriever.search(workshop.name, "mist")
    assert (result.version, result.behind) == (made.data_version, 0)
    assert workshop.lineage.provenance(workshop.name, result.version)
    assert workshop.index().equals(vacuumed)
    assert workshop.mirror().version == lance_state
    assert retriever.search(workshop.name, "mist", version=vacuumed.version).version == made.data_version
    erase(workshop.index(), workshop.tables)
    assert retriever.search(workshop.name, "mist").version == made.data_version
