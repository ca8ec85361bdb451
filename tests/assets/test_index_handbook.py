"""The sample's own handbook index on the real documentation and the tables of a few real days."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest

from assets.indexes.component import RagIndexComponent
from core.settings import load_settings
from lakehouse.tables import Tables
from rag.retrieval import Mode, Retriever
from resources.contracts import CONTRACT_CHECK
from resources.vectors import Vectors
from tests import slices

INDEX = "flights.index.handbook"

pytestmark = pytest.mark.slow


class Handbook(NamedTuple):
    """The materialized index, and how its run went."""

    result: dg.ExecuteInProcessResult
    retriever: Retriever
    tables: Tables

    def found(self, query: str, mode: Mode, k: int = 5) -> list[str]:
        return [hit.document for hit in self.retriever.search(INDEX, query, k, mode=mode).hits]


@pytest.fixture(scope="module")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handbook]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_HOME", str(tmp_path_factory.mktemp("home")))
        tables = slices.open_tables()
        with dg.DagsterInstance.ephemeral() as instance:
            assert slices.run(slices.tables(), instance).success
            component = _component(set(tables.list()))
            definitions = dg.Definitions.merge(
                dg.build_defs_for_component(component),
                slices.tables(),
                dg.Definitions(resources={"vectors": Vectors()}),
            )
            key = dg.AssetKey(["flights", "index", "handbook"])
            chosen = dg.AssetSelection.assets(key) | dg.AssetSelection.checks_for_assets(key)
            result = slices.run(definitions, instance, chosen)
            retriever = Retriever.from_settings(load_settings(), tables)
            yield Handbook(result, retriever, tables)
            retriever.close()


def _component(tables: set[str]) -> RagIndexComponent:
    """The sample's declaration, without the two tables that Spark and the feature view make."""
    (document,) = slices.documents("index")
    attributes = document["attributes"]
    files, dictionary = attributes["sources"]
    made = [asset for asset in dictionary["assets"] if asset in tables]
    assert len(made) >= 12
    left_out = set(dictionary["assets"]) - set(made)
    queries = [item for item in attributes["golden"]["queries"] if not left_out & set(item["relevant"])]
    assert len(queries) >= 14
    golden = attributes["golden"] | {"queries": queries}
    sources = [files, dictionary | {"assets": made}]
    component = RagIndexComponent.model_validate(attributes | {"sources": sources, "golden": golden})
    component._folder = slices.ROOT / "dagster_project" / "defs" / "index"
    return component


def test_every_check_passes_on_the_real_pages(handbook: Handbook) -> None:
    assert handbook.result.success
    evaluated = {item.check_name: item.passed for item in handbook.result.get_asset_check_evaluations()}
    assert evaluated == dict.fromkeys(("documents_present", "rows_indexed", "golden_recall", CONTRACT_CHECK), True)


def test_every_page_of_the_repository_is_in_it(handbook: Handbook) -> None:
    pages = {path.relative_to(slices.ROOT).as_posix() for path in (slices.ROOT / "docs").rglob("*.md")} | {"README.md"}
    present = set(handbook.tables.snapshot(INDEX).to_arrow()["document"].to_pylist())
    assert pages <= present
    assert {"flights.silver.flights", "flights.gold.carrier_punctuality"} <= present


@pytest.mark.parametrize(
    ("query", "subject"),
    [
        # No word of these queries, stemmed or not, occurs in the passages that answer.
        ("when was the airplane built", "planes"),
        ("fuel", "planes"),
        ("storm", "weather"),
    ],
)
def test_a_hit_by_meaning_that_words_miss(handbook: Handbook, query: str, subject: str) -> None:
    answers = {f"flights.silver.{subject}", f"flights.bronze.{subject}"}
    assert not answers & set(handbook.found(query, "text", k=100))
    assert answers & set(handbook.found(query, "vector"))
    # As many hits as the golden queries check: pages that contain a word of the query may rank higher.
    assert answers & set(handbook.found(query, "hybrid", k=10))


def test_a_hit_by_words_that_meaning_ranks_lower(handbook: Handbook) -> None:
    hits = handbook.retriever.search(INDEX, "HEADWATER_LANDING_URL", k=5).hits
    settings = [hit for hit in hits if hit.document == "docs/reference/settings.md"]
    assert settings
    assert settings[0].text_rank is not None


def test_fusing_finds_at_least_what_words_alone_find(handbook: Handbook) -> None:
    (check,) = [c for c in handbook.result.get_asset_check_evaluations() if c.check_name == "golden_recall"]
    figures = {name: check.metadata[name].value for name in ("recall", "text_recall", "vector_recall")}
    assert figures["recall"] >= max(figures["text_recall"], 0.8)  # type: ignore[type-var]


def test_every_citation_leads_to_its_passage(handbook: Handbook) -> None:
    for hit in handbook.retriever.search(INDEX, "incremental search index", k=20).hits:
        path = slices.ROOT / hit.document
        if path.suffix == ".md":
            assert path.read_text()[hit.start : hit.end] == hit.text


def test_loading_the_definitions_loads_no_engine_and_starts_no_thread(tmp_path: Path) -> None:
    code = (
        "import sys, threading; import assets.indexes.component, resources.vectors; "
        "print(sorted({'lancedb', 'polars', 'deltalake', 'wordllama', 'langchain_core'} & set(sys.modules)), "
        "threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=slices.ROOT)
    assert done.stdout.strip() == "[] 1"
