"""The index component on its own small project: sources, increments, lineage, checks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import polars as pl
import pytest

from assets.components import component
from assets.datasets import schemas
from assets.indexes.component import RagIndexComponent
from core.errors import HeadwaterError, InvalidPayload, NotFound, UnknownColumn
from core.ids import asset_key
from core.settings import load_settings
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from resources.contracts import CONTRACT_CHECK
from resources.delta import Delta
from resources.vectors import Vectors
from tests import slices

INDEX = "flights.index.guides"
KEY = dg.AssetKey(asset_key(INDEX))
SOURCES: list[dict[str, Any]] = [
    {"kind": "files", "glob": ["**/*.md"], "labels": {"audience": "all"}},
    {"kind": "dictionary", "assets": ["flights.silver.planes", "flights.silver.weather"]},
]
PAGES = {
    "start.md": "# Start\n\nOne command starts everything.\n\n## Stop\n\nPress Ctrl-C.\n",
    "guides/cancel.md": "# Cancel a run\n\nAsk for the operation to end.\n\n## Afterwards\n\nNo half table remains.\n",
}


class Workshop(NamedTuple):
    """A lakehouse with two described tables, and a folder of pages."""

    folder: Path
    tables: Tables
    instance: dg.DagsterInstance

    def run(self, *, may_fail: bool = False, **attributes: Any) -> dg.ExecuteInProcessResult:
        built = component("RagIndexComponent", declared(**attributes))
        resources = {"delta": Delta(), "vectors": Vectors()}
        definitions = dg.Definitions.merge(
            dg.build_defs_for_component(built),
            dg.Definitions(resources=resources, executor=dg.in_process_executor),
        )
        job = definitions.get_repository_def().get_implicit_global_asset_job_def()
        return job.execute_in_process(instance=self.instance, raise_on_error=not may_fail)

    def metadata(self, **attributes: Any) -> dict[str, Any]:
        (event,) = self.run(**attributes).get_asset_materialization_events()
        values = {name: item.value for name, item in event.materialization.metadata.items()}
        return values | {"data_version": (event.materialization.tags or {})["dagster/data_version"]}

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def found(self, query: str, **options: Any) -> list[str]:
        with Vectors().retriever(self.tables) as retriever:
            return [hit.document for hit in retriever.search(INDEX, query, **options).hits]


def declared(**attributes: Any) -> dict[str, Any]:
    return {"asset": INDEX, "description": "Guides.", "sources": SOURCES} | attributes


@pytest.fixture
def workshop(home: Path) -> Iterator[Workshop]:
    tables = slices.open_tables()
    for name in ("planes", "weather"):
        declaration = schemas.arrow_schema(getattr(schemas, name.upper()))
        tables.create(f"flights.silver.{name}", declaration, description=f"What we know about {name}.")
    folder = Path(load_settings().effective_landing_url) / "flights"
    with dg.DagsterInstance.ephemeral() as instance:
        made = Workshop(folder, tables, instance)
        for page, text in PAGES.items():
            made.write(page, text)
        yield made


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    found = {item.check_name: item.passed for item in result.get_asset_check_evaluations()}
    return {name: passed for name, passed in found.items() if name != CONTRACT_CHECK}


def test_the_first_run_reports_what_it_did(workshop: Workshop) -> None:
    metadata = workshop.metadata()
    snapshot = workshop.tables.snapshot(INDEX)
    assert metadata["documents"] == 4
    assert metadata["chunks"] == metadata["embedded"] == snapshot.row_count > 20
    assert (metadata["reused"], metadata["deleted"]) == (0, 0)
    assert metadata["data_version"] == snapshot.data_version
    assert metadata["embedder"].startswith("wordllama-")
    assert "data:image/png;base64," in metadata["map"]


def test_a_second_run_embeds_nothing_and_keeps_the_version(workshop: Workshop) -> None:
    first, second = workshop.metadata(), workshop.metadata()
    assert (second["embedded"], second["reused"]) == (0, first["chunks"])
    assert second["data_version"] == first["data_version"]


def test_an_edited_page_embeds_its_changed_chunk_only(workshop: Workshop) -> None:
    first = workshop.metadata()
    workshop.write("guides/cancel.md", PAGES["guides/cancel.md"].replace("half table", "half-written table"))
    second = workshop.metadata()
    assert (second["embedded"], second["reused"]) == (1, first["chunks"] - 1)
    assert (second["deleted"], second["changed_documents"]) == (1, 1)
    assert (second["mirror/inserted"], second["mirror/deleted"]) == (1, 1)
    assert second["delta/version"] == first["delta/version"] + 1


def test_a_deleted_page_is_found_no_more(workshop: Workshop) -> None:
    version = workshop.metadata()["delta/version"]
    assert workshop.found("cancel a run", k=1) == ["guides/cancel.md"]
    (workshop.folder / "guides" / "cancel.md").unlink()
    workshop.metadata()
    assert "guides/cancel.md" not in workshop.found("cancel a run", k=50)
    assert workshop.found("cancel a run", k=1, version=version) == ["guides/cancel.md"]


def test_a_changed_column_comment_changes_one_chunk(workshop: Workshop) -> None:
    import pyarrow as pa

    workshop.metadata()
    schema = workshop.tables.snapshot("flights.silver.planes").schema
    place = schema.names.index("seats")
    field = schema.field("seats").with_metadata({"comment": "How many people fit."})
    empty = pa.Table.from_batches([], schema.set(place, field))
    workshop.tables.overwrite("flights.silver.planes", empty, evolve_schema=True)
    assert workshop.metadata()["embedded"] == 1
    assert workshop.found("How many people fit", k=1) == ["flights.silver.planes"]


def test_labels_of_sources_filter_searches(workshop: Workshop) -> None:
    workshop.metadata()
    assert set(workshop.found("start", k=50, filter={"audience": "all"})) == set(PAGES)
    assert set(workshop.found("start", k=50, filter={"folder": "guides"})) == {"guides/cancel.md"}
    assert set(workshop.found("start", k=50, filter={"layer": "silver"})) == set(SOURCES[1]["assets"])


def test_lineage_names_every_file_and_table(workshop: Workshop) -> None:
    version = workshop.metadata()["data_version"]
    edges = Lineage(workshop.tables.ledger._database).provenance(INDEX, version)
    inputs = {edge.in_asset: edge.in_version for edge in edges}
    planes = workshop.tables.snapshot("flights.silver.planes")
    assert inputs["flights.silver.planes"] == planes.data_version
    assert {name for name in inputs if name.startswith("file:")} == {f"file:{page}" for page in PAGES}
    assert all(inputs[f"file:{page}"].startswith("sha256:") for page in PAGES)
    assert {edge.engine for edge in edges} == {"wordllama"}


def test_rows_of_a_table_become_documents(workshop: Workshop) -> None:
    rows = pl.DataFrame({"carrier": ["AA", "B6"], "name": ["American", None], "hub": ["Dallas", "New York"]})
    workshop.tables.overwrite("flights.silver.carriers", rows)
    source = {
        "kind": "table",
        "asset": "flights.silver.carriers",
        "key": ["carrier"],
        "title": "Airline {carrier}",
        "text": "{name} has its hub in {hub}.",
    }
    assert workshop.metadata(sources=[source])["documents"] == 2
    snapshot = workshop.tables.snapshot(INDEX)
    texts = dict(snapshot.scan().select("document", "text").collect().iter_rows())
    assert texts["flights.silver.carriers/AA"] == "American has its hub in Dallas."
    assert texts["flights.silver.carriers/B6"] == "has its hub in New York."
    with pytest.raises(UnknownColumn, match="nubs"):
        workshop.metadata(sources=[source | {"text": "{nubs}"}])
    workshop.tables.append("flights.silver.carriers", rows.head(1))
    with pytest.raises(InvalidPayload, match="Two rows"):
        workshop.metadata(sources=[source])


def test_secrets_and_what_lies_outside_are_never_read(workshop: Workshop, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("# Outside\n\nforbidden\n")
    (workshop.folder / "link.md").symlink_to(outside)
    workshop.write(".hidden/secret.md", "# Secret\n\nforbidden\n")
    workshop.write(".secret.md", "# Secret\n\nforbidden\n")
    workshop.write("key.pem", "forbidden")
    workshop.metadata(sources=[{"kind": "files", "glob": ["**/*", ".hidden/*.md", "*.md"]}])
    assert set(workshop.tables.snapshot(INDEX).to_arrow()["document"].to_pylist()) == set(PAGES)


def test_a_file_that_cannot_be_read_is_left_out_and_named(workshop: Workshop) -> None:
    (workshop.folder / "latin.md").write_bytes("# Caf\u00e9\n\nfa\u00e7ade\n".encode("latin-1"))
    workshop.write("blank.md", "# Only a heading\n")
    metadata = workshop.metadata()
    assert metadata["refused_files"] == {"latin.md": "is not UTF-8 (byte 5)"}
    assert metadata["blank_documents"] == ["blank.md"]
    assert metadata["documents"] == 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"kind": "files", "root": "nowhere", "glob": ["*.md"]}, "no folder nowhere"),
        ({"kind": "files", "glob": ["*.rst"]}, r"matches \*\.rst"),
        ({"kind": "dictionary", "assets": ["flights.silver.absent"]}, r"flights\.silver\.absent"),
    ],
)
def test_a_source_that_is_not_there_fails_and_writes_nothing(
    workshop: Workshop, source: dict[str, Any], message: str
) -> None:
    with pytest.raises(NotFound, match=message):
        workshop.run(sources=[source])
    assert not workshop.tables.exists(INDEX)


def test_checks_pass_on_a_whole_index_and_fail_on_a_broken_one(workshop: Workshop) -> None:
    golden = {"k": 3, "queries": [{"query": "cancel a run", "relevant": ["guides/cancel.md"]}]}
    assert checks(workshop.run(golden=golden)) == {
        "documents_present": True,
        "rows_indexed": True,
        "golden_recall": True,
    }
    from assets.indexes.checks import documents_present, rows_indexed

    index = Vectors().index(INDEX)
    index._open().delete("document = 'start.md'")
    index._open().tags.update("v1", index._open().version)
    broken = documents_present(KEY, index, workshop.tables)
    assert not broken.passed
    assert broken.metadata["wrong"].value == ["start.md"]
    shutil.rmtree(load_settings().effective_vectors_url)
    fresh = Vectors().index(INDEX)
    assert not documents_present(KEY, fresh, workshop.tables).passed
    assert not rows_indexed(KEY, fresh, workshop.tables).passed


def test_the_golden_check_fails_below_its_floor(workshop: Workshop) -> None:
    queries = [
        {"query": "cancel a run", "relevant": ["guides/cancel.md"]},
        {"query": "cancel a run", "relevant": ["absent.md"]},
    ]
    result = workshop.run(may_fail=True, golden={"k": 3, "floor": 0.6, "queries": queries})
    assert not result.success
    (evaluation,) = [item for item in result.get_asset_check_evaluations() if item.check_name == "golden_recall"]
    assert not evaluation.passed
    assert evaluation.blocking
    assert evaluation.metadata["recall"].value == 0.5


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"sources": []}, "/attributes/sources"),
        ({"sources": [{"kind": "files", "glob": ["../*.md"]}]}, "/attributes/sources/0/glob/0"),
        ({"sources": [{"kind": "web"}]}, "/attributes/sources/0"),
        ({"chunk_size": 1}, "/attributes/chunk_size"),
        ({"golden": {"queries": []}}, "/attributes/golden/queries"),
    ],
)
def test_bad_attributes_are_refused_by_field(attributes: dict[str, Any], pointer: str) -> None:
    with pytest.raises(HeadwaterError) as caught:
        component("RagIndexComponent", declared(**attributes))
    assert [fault["pointer"] for fault in caught.value.errors] == [pointer]


def test_code_version_follows_what_decides_the_content() -> None:
    def version(**attributes: Any) -> str:
        built = component("RagIndexComponent", declared(**attributes))
        assert isinstance(built, RagIndexComponent)
        return built.code_version()

    golden = {"queries": [{"query": "x", "relevant": ["y"]}]}
    assert version() == version(golden=golden) == version(keep_versions=3) == version(description="Other.")
    assert len({version(), version(chunk_size=400), version(sources=SOURCES[:1])}) == 3


def test_dependencies_are_the_tables_read() -> None:
    built = component("RagIndexComponent", declared())
    (asset,) = dg.build_defs_for_component(built).assets or ()
    assert isinstance(asset, dg.AssetsDefinition)
    (spec,) = asset.specs
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == {"flights/silver/planes", "flights/silver/weather"}
    assert spec.kinds == {"delta", "lancedb"}
