from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core.errors import Conflict, IndexInconsistent, InvalidArgument, UnknownVersion
from rag import maintenance, mirror
from rag.chunking import Document
from rag.erasure import erase
from rag.index import Index
from rag.layout import Policy

if TYPE_CHECKING:
    from conftest import Workshop


def test_an_edit_embeds_and_writes_only_the_changed_chunk(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    workshop.embedder.texts.clear()
    corpus, snapshot = workshop.write(workshop.edited("guide/delays.md", "Fog and", "Fog, snow and"))
    assert [text.split("\n\n")[0] for text in workshop.embedder.texts] == ["Delays > Weather"]
    assert (corpus.embedded, corpus.reused, corpus.deleted) == (1, 6, 1)
    assert corpus.changed_documents == ("guide/delays.md",)
    report = workshop.index().sync(snapshot)
    # The passage below the edited one moves by six characters: its row is written, its vector isn't computed again.
    assert (report.inserted, report.updated, report.deleted, report.rows) == (1, 1, 1, 7)
    assert not report.rebuilt


def test_reused_vectors_equal_computed_vectors(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    snapshot = workshop.publish(workshop.edited("guide/delays.md", "Fog and", "Fog, snow and"))
    rows = snapshot.to_arrow().to_pylist()
    computed = workshop.embedder.embed([f"{row['heading']}\n\n{row['text']}" for row in rows])
    assert np.allclose(np.array([row["embedding"] for row in rows]), computed, atol=1e-7)


def test_a_renamed_document_is_not_embedded_again(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    moved = Document("handbook/delays.md", "Delays", workshop.pages[0].text, workshop.pages[0].metadata)
    corpus, _ = workshop.write([moved, *workshop.without("guide/delays.md")])
    assert (corpus.embedded, corpus.reused, corpus.deleted) == (0, 7, 3)


def test_unchanged_documents_keep_the_version(workshop: Workshop) -> None:
    first = workshop.publish(workshop.pages)
    second = workshop.publish(list(reversed(workshop.pages)))
    assert first.data_version == second.data_version


def test_a_new_label_reaches_the_mirror_without_embedding(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    workshop.embedder.texts.clear()
    labelled = [Document(page.uri, page.title, page.text, {"section": "all"}) for page in workshop.pages]
    workshop.publish(labelled)
    assert workshop.embedder.texts == []
    assert workshop.mirror().count_rows("array_has_any(labels, ['section=all'])") == 7


def test_a_deleted_document_is_removed_from_table_and_mirror(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    snapshot = workshop.publish(workshop.without("admin/passwords.md"))
    assert "admin/passwords.md" not in snapshot.to_arrow()["document"].to_pylist()
    assert workshop.index().documents() == {"guide/delays.md": 3, "guide/aircraft.md": 2}
    assert workshop.index().documents(version=1)["admin/passwords.md"] == 2


def test_an_erasure_leaves_no_byte_of_deleted_text(workshop: Workshop) -> None:
    secret = Document("secret.md", "Secret", "# Secret\n\nzyzzogeton lives here\n\n## More\n\naardvarkian habits\n")
    workshop.publish([*workshop.pages, secret])
    assert len(workshop.files_with("zyzzogeton")) == 2
    workshop.publish(workshop.pages)
    assert workshop.files_with("zyzzogeton"), "deleting rows isn't expected to rewrite files"
    erased = erase(workshop.index(), workshop.tables)
    assert workshop.files_with("zyzzogeton") == workshop.files_with("aardvarkian") == []
    assert erased.searchable == (2, erased.version), "the version without the text, and the version of the vacuum"
    with pytest.raises(UnknownVersion):
        workshop.tables.snapshot(workshop.name, version=1).to_arrow()
    assert workshop.index().documents().keys() == {page.uri for page in workshop.pages}


def test_erasure_respects_pins(workshop: Workshop) -> None:
    first = workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    workshop.tables.pins.pin("audit", workshop.name, first.version)
    with pytest.raises(Conflict, match="pinned"):
        erase(workshop.index(), workshop.tables)
    assert workshop.index().versions() == [1, 2]


def test_every_new_row_is_indexed(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    workshop.publish(workshop.edited("guide/delays.md", "Fog and", "Fog, snow and"))
    status = workshop.index().status()
    assert status is not None
    assert (status.version, status.rows, status.unindexed_rows) == (2, 7, 0)


def test_the_policy_can_delay_optimization(workshop: Workshop) -> None:
    policy = Policy(optimize_after=100)
    workshop.publish(workshop.pages, policy=policy)
    workshop.publish(workshop.edited("guide/delays.md", "Fog and", "Fog, snow and"), policy=policy)
    status = workshop.index().status()
    assert status is not None
    assert status.unindexed_rows == 2


def test_old_versions_are_removed(workshop: Workshop) -> None:
    policy = Policy(keep_versions=2)
    for word in ("one", "two", "three", "four"):
        workshop.publish([Document("a.md", "A", f"# A\n\n{word} wordplay\n")], policy=policy)
    assert workshop.index().versions() == [3, 4]
    with pytest.raises(UnknownVersion, match="Searchable versions: 3, 4"):
        workshop.index().documents(version=1)


def test_a_rollback_of_the_table_applies_to_the_mirror(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    workshop.tables.restore(workshop.name, 1)
    report = workshop.index().sync(workshop.tables.snapshot(workshop.name))
    assert (report.version, report.inserted, report.rows) == (3, 2, 7)
    assert "admin/passwords.md" in workshop.index().documents()


def test_a_late_writer_does_not_return_the_mirror_to_an_older_version(workshop: Workshop) -> None:
    old = workshop.publish(workshop.pages)
    new = workshop.publish(workshop.without("admin/passwords.md"))
    report = workshop.index().sync(old)
    assert report.version == new.version
    assert "admin/passwords.md" not in workshop.index().documents()


def test_a_sync_interrupted_before_the_tag_is_completed(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.publish(workshop.pages)
    _, snapshot = workshop.write(workshop.without("admin/passwords.md"))

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("rag.maintenance.tag_state", die)
        with pytest.raises(KeyboardInterrupt):
            workshop.index().sync(snapshot)
    assert workshop.index().versions() == [1]
    assert "admin/passwords.md" in workshop.index().documents(), "an untagged state must not be visible"
    report = workshop.index().sync(snapshot)
    assert (report.inserted, report.updated, report.deleted) == (0, 0, 0)
    assert "admin/passwords.md" not in workshop.index().documents()


def test_duplicate_and_unknown_rows_are_repaired(workshop: Workshop) -> None:
    workshop.publish(workshop.pages)
    table = workshop.mirror()
    rows = table.to_arrow()
    unknown = rows.slice(0, 1).to_pylist()[0] | {"id": "f" * 32, "document": "unknown.md"}
    table.add(rows.slice(0, 2))
    table.add([unknown])
    _, snapshot = workshop.write(workshop.edited("guide/delays.md", "Fog and", "Fog, snow and"))
    assert workshop.index().sync(snapshot).rows == 7
    assert sorted(workshop.mirror().to_arrow()["id"].to_pylist()) == sorted(snapshot.to_arrow()["id"].to_pylist())
    assert "unknown.md" not in workshop.index().documents()


def test_a_recreated_table_gets_a_new_mirror(workshop: Workshop) -> None:
    import shutil

    workshop.publish(workshop.pages)
    workshop.publish(workshop.without("admin/passwords.md"))
    shutil.rmtree(workshop.folder / "lakehouse")
    workshop.tables.adopt(workshop.name)
    snapshot = workshop.publish(workshop.pages)
    assert workshop.index().versions() == [snapshot.version] == [1]
    assert workshop.index().documents().keys() == {page.uri for page in workshop.pages}


def test_a_deleted_mirror_is_rebuilt(workshop: Workshop) -> None:
    import shutil

    snapshot = workshop.publish(workshop.pages)
    shutil.rmtree(workshop.folder / "vectors")
    report = workshop.index().sync(snapshot)
    assert (report.rebuilt, report.rows) == (True, 7)


def test_a_folder_without_a_commit_is_used(workshop: Workshop) -> None:
    (workshop.folder / "vectors" / f"{workshop.name}.lance" / "data").mkdir(parents=True)
    workshop.publish(workshop.pages)
    assert workshop.index().versions() == [1]


def test_an_index_can_be_empty_before_and_after_it_has_documents(workshop: Workshop) -> None:
    workshop.publish([])
    assert workshop.index().documents() == {}
    workshop.publish(workshop.pages)
    assert len(workshop.index().documents()) == 3
    snapshot = workshop.publish([])
    assert (snapshot.row_count, workshop.index().documents()) == (0, {})


def test_document_addresses_must_be_unique(workshop: Workshop) -> None:
    with pytest.raises(InvalidArgument, match=r"guide/delays\.md"):
        workshop.write([workshop.pages[0], workshop.pages[0]])


def test_a_table_without_chunks_is_refused(workshop: Workshop) -> None:
    import polars as pl

    workshop.tables.overwrite("test.bronze.other", pl.DataFrame({"id": ["1"]}))
    with pytest.raises(InvalidArgument, match="lacks the columns document"):
        Index(workshop.store, "test.bronze.other").sync(workshop.tables.snapshot("test.bronze.other"))


@pytest.mark.parametrize(("quantize_above", "kind"), [(1_000, "IvfFlat"), (300, "IvfSq")])
def test_many_vectors_get_the_index_type_of_the_policy(workshop: Workshop, quantize_above: int, kind: str) -> None:
    policy = Policy(exact_below=300, quantize_above=quantize_above)
    words = [f"# Page {n}\n\nnumber {n} of many, about subject {n % 7}\n" for n in range(600)]
    pages = [Document(f"{n}.md", f"Page {n}", text) for n, text in enumerate(words)]
    workshop.publish(pages[:200], policy=policy)
    status = workshop.index().status()
    assert status is not None
    assert status.vector_index.startswith("none")
    workshop.publish(pages, policy=policy)
    status = workshop.index().status()
    assert status is not None
    assert status.vector_index == f"{kind}, 8 partitions"
    assert status.unindexed_rows == 0


def test_many_deletions_are_split_into_batches(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.mirror._DELETE_BATCH", 2)
    workshop.publish(workshop.pages)
    snapshot = workshop.publish([workshop.pages[2]])
    assert snapshot.row_count == 2
    assert workshop.index().documents() == {"admin/passwords.md": 2}


def test_many_changed_documents_rewrite_the_table(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.corpus._MAX_REPLACED_DOCUMENTS", 1)
    workshop.publish(workshop.pages)
    remaining = workshop.edited("guide/delays.md", "Fog and", "Fog, snow and")[:2]
    assert workshop.publish(remaining).row_count == 5


def test_document_addresses_may_contain_quotes(workshop: Workshop) -> None:
    page = Document("it's.md", "It's", "# It's\n\nquoted name\n")
    workshop.publish([*workshop.pages, page])
    workshop.publish(workshop.pages)
    assert "it's.md" not in workshop.index().documents()


def test_a_mirror_that_differs_after_a_sync_is_not_tagged(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    workshop.publish(workshop.pages)
    _, snapshot = workshop.write(workshop.without("admin/passwords.md"))
    monkeypatch.setattr("rag.mirror.apply", lambda *_: None)
    with pytest.raises(IndexInconsistent, match="Materialize it again"):
        workshop.index().sync(snapshot)
    assert workshop.index().versions() == [1]


@pytest.mark.parametrize("keep", [1, 2, 3, 5, 9])
def test_exactly_the_newest_states_are_kept(workshop: Workshop, keep: int) -> None:
    everything = Policy(keep_versions=100)
    for word in ("one", "two", "three", "four", "five"):
        workshop.publish([Document("a.md", "A", f"# A\n\n{word} wordplay\n")], policy=everything)
    table = workshop.mirror()
    maintenance.remove_old_states(table, keep)
    assert maintenance.tagged_versions(table) == [1, 2, 3, 4, 5][-keep:]
    assert workshop.index().documents().keys() == {"a.md"}


def test_a_snapshot_that_the_mirror_reflects_already_changes_nothing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = workshop.publish(workshop.pages)
    before = workshop.mirror().version

    def unwanted(*_: object) -> None:
        raise AssertionError("nothing needs to be compared")

    monkeypatch.setattr(mirror, "compare", unwanted)
    monkeypatch.setattr(Index, "_tag_if_equal", unwanted)
    report = workshop.index().sync(snapshot)
    assert (report.version, report.inserted, report.updated, report.deleted) == (snapshot.version, 0, 0, 0)
    assert workshop.mirror().version == before
