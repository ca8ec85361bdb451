"""Search indexes declared in YAML or published over REST."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import dagster as dg
from dagster_shared.check import CheckError
from pydantic import Field

from assets.datasets.checks import asset_checks
from assets.declaration import TableComponent
from assets.indexes.checks import Golden, index_checks
from assets.indexes.sources import Gathered, Places, Source, gather, upstream
from core.ids import asset_key
from rag.chunking import Chunker
from resources.delta import Delta, materialized
from resources.vectors import Vectors

if TYPE_CHECKING:
    from lakehouse.step import Step
    from lakehouse.tables import Snapshot

_FILES_NAMED = 500
"""Files up to which each is an input of its own in the lineage; more count as one."""


class RagIndexComponent(TableComponent):
    """A search index: documents cut into chunks, embedded, and kept ready for hybrid search with citations.

    The chunks are the asset's Delta table; the LanceDB index mirrors exactly one version of it. A run embeds only
    chunks it has not seen, and commits nothing where no document changed.
    """

    sources: Annotated[list[Source], Field(min_length=1, description="Where the documents come from.")]
    chunk_size: int = Field(900, ge=200, le=4_000, description="Most characters of a chunk.")
    keep_versions: int = Field(8, ge=1, le=100, description="How many versions stay searchable.")
    golden: Golden | None = Field(None, description="Queries whose answers are known.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset and its checks."""
        key = dg.AssetKey(asset_key(self.asset))
        project = context.project_root if self.folder is not None else None

        @dg.multi_asset(name=self.op_name, specs=[self._spec()])
        def search_index(
            context: dg.AssetExecutionContext, delta: Delta, vectors: Vectors
        ) -> dg.MaterializeResult[Any]:
            return self._materialize(context, delta, vectors, project)

        checks = [*index_checks(key, self.golden), *asset_checks(self.asset, self.checks)]
        return dg.Definitions(assets=[search_index], asset_checks=checks)

    def _spec(self) -> dg.AssetSpec:
        return self.spec(kinds={"lancedb"}, deps=upstream(self.sources))

    def code_version(self, *more: str) -> str:
        """As for every component, apart from what judges or keeps the content without deciding it."""
        deciding = self.model_copy(update={"golden": None, "keep_versions": 1})
        return super(RagIndexComponent, deciding).code_version(Chunker(self.chunk_size).version, *more)

    def _materialize(
        self, context: dg.AssetExecutionContext, delta: Delta, vectors: Vectors, project: Path | None
    ) -> dg.MaterializeResult[Any]:
        from assets.indexes.report import index_metadata
        from rag.corpus import build, write
        from rag.embedding import WordLlamaEmbedder
        from rag.layout import Policy

        embedder = WordLlamaEmbedder()
        chunker = Chunker(self.chunk_size, embedder.digest)
        step = delta.step(context, engine="wordllama", params={"chunker": chunker.version, "embedder": embedder.digest})
        settings = delta.settings()
        gathered = gather(
            self.sources,
            Places(
                folder=project or Path(settings.effective_landing_url),
                forbidden=settings.home if project else None,
                read=lambda table, columns: step.read(table, columns=columns),
                describe=_descriptions(context),
            ),
        )
        _use_files(step, gathered)
        for address, reason in gathered.refused.items():
            context.log.warning("%s is left out: it %s", address, reason)
        index = vectors.index(self.asset, Policy(keep_versions=self.keep_versions))
        with index.writing():
            corpus = build(gathered.documents, chunker, embedder, _previous(step))
            snapshot = write(step, corpus)
            report = index.sync(snapshot)
        context.log.info("%d chunks of %d documents, %d embedded", len(corpus.rows), corpus.documents, corpus.embedded)
        metadata = index_metadata(corpus, gathered, report, index.status(), snapshot)
        return materialized(context, snapshot, metadata=metadata)


def _previous(step: "Step") -> "Snapshot | None":
    # Not through the step: what a version takes over from the one before is no input of another asset.
    return step.tables.snapshot(step.asset) if step.tables.exists(step.asset) else None


def _use_files(step: "Step", gathered: Gathered) -> None:
    from lakehouse.environment import params_digest

    if len(gathered.files) > _FILES_NAMED:
        step.use("file:*", f"sha256:{params_digest(gathered.files)}")
        return
    for address, version in gathered.files.items():
        step.use(f"file:{address}"[:200], version)


def _descriptions(context: dg.AssetExecutionContext) -> Callable[[str], str]:
    try:
        definitions = context.repository_def.assets_defs_by_key
    except CheckError:  # a run without a code location, as in a notebook, knows only the assets it was given
        definitions = {}

    def describe(asset: str) -> str:
        key = dg.AssetKey(asset_key(asset))
        found = definitions.get(key)
        return (found.descriptions_by_key.get(key) or "") if found else ""

    return describe
