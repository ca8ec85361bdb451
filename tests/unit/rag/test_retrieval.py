from __future__ import annotations

import shutil
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

Search = Callable[..., list[str]]


def test_a_hit_cites_the_exact_passage(workshop: Workshop, retriever: Retriever) -> None:
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


def test_fusion_adds_the_scores_of_both_searches(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    query = "generated secret for turbofans"
    fused = {hit.chunk: hit for hit in retriever.search(workshop.name, query).hits}
    for mode, rank in (("vector", "vector_rank"), ("text", "text_rank")):
        alone = retriever.search(workshop.name, query, mode=mode).hits  # type: ignore[arg-type]
        assert [getattr(fused[hit.chunk], rank) for hit in alone] == list(range(1, len(alone) + 1))
    for hit in fused.values():
        weighted = ((1, hit.vector_rank), (1.5, hit.text_rank))
        expected = sum(weight / (5 + rank) for weight, rank in weighted if rank)
        assert hit.score == pytest.approx(expected, abs=1e-6)
    assert [hit.score for hit in fused.values()] == sorted((hit.score for hit in fused.values()), reverse=True)


def test_a_search_uses_the_newest_version_immediately(workshop: Workshop, retriever: Retriever, search: Search) -> None:
    workshop.publish(workshop.pages)
    assert search("administrator secret")[0] == "admin/passwords.md"
    snapshot = workshop.publish(workshop.without("admin/passwords.md"))
    result = retriever.search(workshop.name, "administrator secret")
    assert "admin/passwords.md" not in [hit.document for hit in result.hits]
    assert (result.version, result.behind) == (snapshot.data_version, 0)


def test_a_pinned_version_returns_its_own_content(workshop: Workshop, retriever: Retriever, search: Search) -> None:
    first = workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    assert search("administrator secret", version=first.version)[0] == "admin/passwords.md"
    assert "admin/passwords.md" not in search("administrator secret", version=2)
    with pytest.raises(UnknownVersion, match=r"at version 7\. Searchable versions: 1, 2"):
        retriever.search(workshop.name, "x", version=7)


def test_a_search_synchronizes_an_outdated_mirror(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    retriever.search(workshop.name, "fog")
    _, snapshot = workshop.write(workshop.edited("guide/delays.md", "Fog", "Xenolith"))
    result = retriever.search(workshop.name, "xenolith", mode="text")
    assert (result.version, result.behind) == (snapshot.data_version, 0)
    assert len(result.hits) == 1
    assert workshop.index().versions() == [1, 2]


def test_a_search_builds_a_missing_mirror(workshop: Workshop, search: Search) -> None:
    workshop.write(workshop.pages)
    assert search("fog", mode="text") == ["guide/delays.md"]


def test_during_a_write_searches_use_the_last_complete_version(workshop: Workshop, retriever: Retriever) -> None:
    first = workshop.publish(workshop.pages)
    index = workshop.index()
    with index.write_lock():
        _, second = workshop.write(workshop.without("admin/passwords.md"))
        during = retriever.search(workshop.name, "administrator secret")
        assert (during.version, during.behind) == (first.data_version, 1)
        index.sync(second)
    after = retriever.search(workshop.name, "administrator secret")
    assert (after.version, after.behind) == (second.data_version, 0)


def test_a_filter_applies_before_ranking(workshop: Workshop, search: Search) -> None:
    workshop.publish(workshop.pages)
    assert search("administrator secret", k=1, filter={"section": "guide"}) != []
    assert set(search("administrator secret", filter={"section": "guide"})) == {"guide/delays.md", "guide/aircraft.md"}
    assert set(search("fog", filter={"document": {"prefix": "guide/a"}})) == {"guide/aircraft.md"}
    assert set(search("fog", filter={"section": ["admin", "none"]})) == {"admin/passwords.md"}
    assert search("fog", filter={"section": "none"}) == []
    with pytest.raises(UnknownColumn, match="Columns and labels: document, title, heading, id, section"):
        search("fog", filter={"sektion": "guide"})


def test_a_prefix_has_no_wildcards(workshop: Workshop, search: Search) -> None:
    pages = [Document(uri, uri, f"# {uri}\n\nfog\n") for uri in ("a_1.md", "ab1.md", "a%1.md")]
    workshop.publish(pages)
    assert search("fog", filter={"document": {"prefix": "a_"}}) == ["a_1.md"]
    assert search("fog", filter={"document": {"prefix": "a%"}}) == ["a%1.md"]


@pytest.mark.parametrize("query", ['"quoted phrase"', "a AND (b", "it's", "the of and", "🙂", "a:b^2 -c*", "%_\\"])
def test_queries_have_no_special_syntax(workshop: Workshop, search: Search, query: str) -> None:
    workshop.publish(workshop.pages)
    assert len(search(query)) > 0


@pytest.mark.parametrize(
    ("query", "options"),
    [("", {}), ("  ", {}), ("x" * 2001, {}), ("x", {"k": 0}), ("x", {"k": 101}), ("x", {"mode": "magic"})],
)
def test_invalid_searches_are_refused(workshop: Workshop, search: Search, query: str, options: dict[str, Any]) -> None:
    workshop.publish(workshop.pages)
    with pytest.raises(InvalidArgument):
        search(query, **options)


def test_a_table_that_is_not_an_index_is_refused(workshop: Workshop, retriever: Retriever) -> None:
    import polars as pl

    with pytest.raises(UnknownTable):
        retriever.search("test.index.absent", "fog")
    workshop.tables.overwrite("test.bronze.other", pl.DataFrame({"id": ["1"]}))
    with pytest.raises(InvalidArgument, match="isn't an index"):
        retriever.search("test.bronze.other", "fog")


def test_an_empty_index_finds_nothing(workshop: Workshop, search: Search) -> None:
    workshop.publish([])
    assert search("fog") == []


def test_vectors_of_another_model_are_refused(workshop: Workshop) -> None:
    class Other:
        digest, dimensions = "other-model", 256

        def embed(self, texts: Any) -> Any:
            raise AssertionError("must not be called")

    workshop.publish(workshop.pages)
    retriever = Retriever(workshop.store, workshop.tables, embedder=Other())
    with pytest.raises(Conflict, match="were computed by wordllama-"):
        retriever.search(workshop.name, "fog")
    retriever.close()


def test_an_open_index_works_after_an_erasure(workshop: Workshop, retriever: Retriever, search: Search) -> None:
    first = workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    search("fog")
    search("administrator secret", version=first.version)
    erase(workshop.index(), workshop.tables)
    assert search("fog")[0] == "guide/delays.md"
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


def test_warming_needs_no_index(workshop: Workshop, retriever: Retriever) -> None:
    retriever.warm()
    workshop.publish(workshop.pages)
    retriever.warm(workshop.name)
    assert retriever.search(workshop.name, "fog").hits


def test_importing_the_package_does_not_import_engines() -> None:
    code = (
        "import sys, threading; import rag.retrieval, rag.index, rag.corpus, rag.erasure, rag.evaluation; "
        "heavy = {'lancedb', 'pyarrow', 'polars', 'numpy', 'wordllama', 'langchain_core', 'deltalake'}; "
        "print(sorted(heavy & set(sys.modules)), threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 1"


def test_maintenance_of_the_table_does_not_change_citations(workshop: Workshop, retriever: Retriever) -> None:
    workshop.publish(workshop.pages)
    edited = workshop.publish(workshop.edited("guide/delays.md", "Fog", "Mist"))
    lance_state = workshop.mirror().version
    workshop.tables.vacuum(workshop.name, retention_hours=0)
    vacuumed = workshop.tables.snapshot(workshop.name)
    assert vacuumed.version > edited.version
    result = retriever.search(workshop.name, "mist")
    assert (result.version, result.behind) == (edited.data_version, 0)
    assert workshop.lineage.provenance(workshop.name, result.version)
    assert workshop.index().equals(vacuumed)
    assert workshop.mirror().version == lance_state
    assert retriever.search(workshop.name, "mist", version=vacuumed.version).version == edited.data_version
    erase(workshop.index(), workshop.tables)
    assert retriever.search(workshop.name, "mist").version == edited.data_version


def test_both_legs_of_a_hybrid_search_look_deeper_than_the_answer(
    workshop: Workshop, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk that both legs rank a little lower may be the best of all; one leg alone needs no more than `k`."""
    workshop.publish(workshop.pages)
    depths: list[int] = []
    search = retriever._reader.search

    def noted(state: Any, vector: Any, text: Any, filter: Any, depth: int) -> Any:
        depths.append(depth)
        return search(state, vector, text, filter, depth)

    monkeypatch.setattr(retriever._reader, "search", noted)
    for k, mode in ((1, "hybrid"), (10, "hybrid"), (15, "hybrid"), (3, "vector"), (3, "text")):
        retriever.search(workshop.name, "flights", k=k, mode=mode)  # type: ignore[arg-type]
    assert depths == [20, 20, 30, 3, 3]


def test_a_pinned_version_of_a_table_that_was_made_again_is_not_the_former_one(
    workshop: Workshop, retriever: Retriever
) -> None:
    workshop.publish(workshop.pages)
    first = retriever.search(workshop.name, "administrator secret", version=1)
    assert first.hits[0].document == "admin/passwords.md"
    shutil.rmtree(workshop.folder / "lakehouse")
    workshop.tables.adopt(workshop.name)
    snapshot = workshop.publish(workshop.without("admin/passwords.md"))
    again = retriever.search(workshop.name, "administrator secret", version=snapshot.version)
    assert snapshot.version == 1
    assert (again.version, first.version != again.version) == (snapshot.data_version, True)
    assert "admin/passwords.md" not in [hit.document for hit in again.hits]


def test_a_mirror_of_the_former_table_does_not_answer_for_a_version_of_the_new_one(
    workshop: Workshop, retriever: Retriever
) -> None:
    workshop.publish(workshop.pages)
    shutil.rmtree(workshop.folder / "lakehouse")
    workshop.tables.adopt(workshop.name)
    _, snapshot = workshop.write(workshop.without("admin/passwords.md"))
    assert snapshot.version == 1
    with pytest.raises(UnknownVersion):
        retriever.search(workshop.name, "administrator secret", version=1)
