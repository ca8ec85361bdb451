"""The component for search indexes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import dagster as dg
from dagster_shared.check import CheckError
from pydantic import Field

from assets.datasets.checks import asset_checks, step_checks
from assets.declaration import TableComponent
from assets.indexes.binding import bind
from assets.indexes.checks import Golden, index_checks
from assets.indexes.report import index_metadata
from assets.indexes.sources import Access, Gathered, Source, gather, upstream
from assets.step_checks import checked_asset
from core.ids import asset_key
from lakehouse.environment import params_digest
from lakehouse.landing_areas import project_area, repository_area
from rag.chunking import Chunker
from rag.corpus import build, write
from rag.embedding import WordLlamaEmbedder
from rag.layout import Policy, chunk_schema
from resources.delta import Delta, materialized
from resources.vectors import Vectors

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.findings import Findings
    from lakehouse.step import Step
    from lakehouse.tables import Snapshot

_MAX_FILE_INPUTS = 500
"""Number of files up to which each is a separate input in the lineage. More files are one input."""


class RagIndexComponent(TableComponent):
    """A search index: documents split into chunks and embedded, for hybrid search with citations.

    The chunks are the Delta table of the asset. The LanceDB index mirrors one version of it. A run embeds only new
    chunks, and commits nothing if no document changed.
    """

    sources: Annotated[list[Source], Field(min_length=1, description="Sources of the documents.")]
    chunk_size: int = Field(900, ge=200, le=4_000, description="Maximum number of characters of a chunk.")
    keep_versions: int = Field(8, ge=1, le=100, description="Number of versions that stay searchable.")
    golden: Golden | None = Field(None, description="Queries with known relevant documents.")

    def appended(self) -> "Mapping[str, pa.Schema]":
        """Returns the schema of the table of chunks, in which a run replaces the chunks of changed documents."""
        schema = chunk_schema()
        # Every chunk has the first column, so a table that lacks it is not a table of chunks.
        return {self.asset: schema.set(0, schema.field(0).with_nullable(False))}

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds keys and templates to the columns of the tables."""
        bind(self.sources, self.golden, findings)
        return self.appended()[self.asset]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset and its checks."""
        key = dg.AssetKey(asset_key(self.asset))
        repository = context.project_root if self.folder is not None else None

        checks = [*index_checks(key, self.golden), *step_checks(self.asset, self.checks)]

        @checked_asset(name=self.op_name, specs=[self._spec()], checks=checks)
        def search_index(
            context: dg.AssetExecutionContext, delta: Delta, vectors: Vectors
        ) -> dg.MaterializeResult[Any]:
            return self._materialize(context, delta, vectors, repository)

        return dg.Definitions(assets=[search_index], asset_checks=asset_checks(self.asset, self.checks))

    def _spec(self) -> dg.AssetSpec:
        return self.spec(kinds={"lancedb"}, deps=upstream(self.sources))

    def code_version(self, *code: str) -> str:
        """Returns the digest without the attributes that do not affect the content of the index."""
        deciding = self.model_copy(update={"golden": None, "keep_versions": 1})
        return super(RagIndexComponent, deciding).code_version(Chunker(self.chunk_size).version, *code)

    def _materialize(
        self, context: dg.AssetExecutionContext, delta: Delta, vectors: Vectors, repository: Path | None
    ) -> dg.MaterializeResult[Any]:

        embedder = WordLlamaEmbedder()
        chunker = Chunker(self.chunk_size, embedder.digest)
        step = delta.step(context, engine="wordllama", params={"chunker": chunker.version, "embedder": embedder.digest})
        settings = delta.settings()
        gathered = gather(
            self.sources,
            Access(
                area=repository_area(repository, settings)
                if repository
                else project_area(settings.effective_landing_url, asset_key(self.asset)[0]),
                read=lambda table, columns: step.read(table, columns=columns),
                describe=_descriptions(context),
            ),
        )
        _use_files(step, gathered)
        for address, reason in gathered.refused.items():
            context.log.warning("%s is skipped: it %s", address, reason)
        index = vectors.index(self.asset, Policy(keep_versions=self.keep_versions))
        with index.write_lock():
            corpus = build(gathered.documents, chunker, embedder, _previous(step))
            snapshot = write(step, corpus)
            report = index.sync(snapshot)
        context.log.info("%d chunks of %d documents, %d embedded", len(corpus.rows), corpus.documents, corpus.embedded)
        metadata = index_metadata(corpus, gathered, report, index.status(), snapshot)
        return materialized(context, snapshot, metadata=metadata)


def _previous(step: "Step") -> "Snapshot | None":
    # Not read through the step, because the previous version of the asset is not an input.
    return step.tables.snapshot(step.asset) if step.tables.exists(step.asset) else None


def _use_files(step: "Step", gathered: Gathered) -> None:

    if len(gathered.files) > _MAX_FILE_INPUTS:
        step.use("file:*", f"sha256:{params_digest(gathered.files)}")
        return
    for address, version in gathered.files.items():
        step.use(f"file:{address}"[:200], version)


def _descriptions(context: dg.AssetExecutionContext) -> Callable[[str], str]:
    try:
        definitions = context.repository_def.assets_defs_by_key
    except CheckError:  # a run without a code location, as in a notebook, has no other assets
        definitions = {}

    def describe(asset: str) -> str:
        key = dg.AssetKey(asset_key(asset))
        definition = definitions.get(key)
        return (definition.descriptions_by_key.get(key) or "") if definition else ""

    return describe
