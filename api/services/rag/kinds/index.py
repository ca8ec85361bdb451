"""Indexes: assets that can be searched."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.lake import versions
from api.kernel.lake.provenance import Provenance, ProvenanceQuery, explain
from api.kernel.lake.versions import Version
from api.kernel.models import ListQuery, Model, Page, Request
from api.kernel.permissions.graph import AssetLocator
from api.kernel.platform import Platform
from api.kernel.storage.listing import Listing
from api.services.rag.logic.searching import open_retriever
from core.ports import AssetNode, GraphView

if TYPE_CHECKING:
    from rag.filters import FilterValue
    from rag.retrieval import SearchResult

_KIND = "lancedb"
"""Assets of this kind can be searched."""

_LISTING = Listing[AssetNode](
    id=lambda node: node.id,
    fields={"project": filters.Field(filters.FieldType.STRING, read=lambda node: node.id.partition(".")[0])},
)

_INDEXES = AssetLocator("rag.index", "index", lambda node: _KIND in node.kinds)

INDEX = Kind(
    "index",
    plural="indexes",
    title="Index",
    description="Documents made searchable. Its id is its asset's.",
    example="flights.index.handbook",
    locate=_INDEXES,
    filter_by=tuple(_LISTING.fields),
)

Text = Annotated[str, Field(max_length=500)]
Texts = Annotated[list[Text], Field(max_length=500)]


class Index(Model):
    """An index."""

    id: str
    """Id of the index: its asset's."""

    description: str
    """What can be found in it."""

    owners: list[str]
    """Addresses or `team:` names."""

    sources: list[str]
    """Assets it is made from, besides files."""

    data_version: str | None
    """Latest version; null before the first."""

    chunk_count: int | None
    """Chunks in the latest version, as its maker reported."""

    materialized_at: datetime | None
    """When the latest version was made."""


class Prefix(Request):
    """Whatever begins so."""

    prefix: Text
    """The beginning, such as `docs/`."""


class Search(Request):
    """What to look for."""

    query: Annotated[str, Field(min_length=1, max_length=2000, examples=["which airports are crowded"])]
    """Words or a question."""

    k: Annotated[int, Field(ge=1, le=100)] = 10
    """Most hits."""

    filter: dict[str, Text | Texts | Prefix] = {}
    """What to narrow to before searching: a column or label, and its value, a list of values, or a prefix."""

    version: Version | None = None
    """Version of the index to search; by default the newest."""

    mode: Literal["hybrid", "vector", "text"] = "hybrid"
    """Vectors and full text together, or one of them alone."""


class Citation(Model):
    """Where a hit comes from: enough to read the very passage again."""

    document: str
    """The document."""

    heading: str
    """The headings above the passage."""

    chunk: str
    """Id of the chunk."""

    start: int
    """First character of the passage in the document."""

    end: int
    """Character after the last."""

    index: str
    """The index, which is a table."""

    version: str
    """Data version of the table."""

    text: str
    """All of it in one line."""


class Hit(Model):
    """A passage that answers."""

    title: str
    """Title of the document."""

    text: str
    """The passage."""

    score: float
    """Fused score; comparable within one answer only."""

    vector_score: float | None
    """Cosine of query and passage; null if the vectors did not find it."""

    vector_rank: int | None
    """Rank by vectors, from 1."""

    text_score: float | None
    """BM25 score; null if full text did not find it."""

    text_rank: int | None
    """Rank by full text, from 1."""

    citation: Citation
    """Where it comes from."""


class Hits(Model):
    """The answer to a search."""

    index: str
    """Id of the index."""

    version: str
    """Data version that answered."""

    behind: int
    """Table versions newer than that; above 0 only while a writer is at work."""

    took_ms: float
    """Milliseconds the search took."""

    hits: list[Hit]
    """Best first."""


@INDEX.list(query=ListQuery, item=Index)
async def list_indexes(ctx: Context, query: ListQuery) -> Page[Index]:
    """Lists indexes by id."""
    view = ctx.view()
    nodes, token = _LISTING.page(list(_INDEXES.nodes(view).values()), query)
    return Page[Index](items=[_index(node, view) for node in nodes], next_page_token=token)


@INDEX.get(result=Index)
async def get_index(ctx: Context, index: str) -> Index:
    """Returns an index with its latest version."""
    view = ctx.view()
    return _index(_INDEXES.find(view, index), view)


@INDEX.part("provenance", query=ProvenanceQuery, result=Provenance)
async def get_index_provenance(ctx: Context, index: str, query: ProvenanceQuery) -> Provenance:
    """Tells which documents, code, run and principal stand behind a version of the index, and so behind its hits."""
    _INDEXES.find(ctx.view(), index)
    return await ctx.work(explain, ctx, index, query.version)


@INDEX.action("search", request=Search, result=Hits, reads=True)
async def search_index(ctx: Context, index: str, request: Search) -> Hits:
    """Finds passages by meaning and by words. Every hit carries its citation."""
    _INDEXES.find(ctx.view(), index)
    return _hits(await ctx.work(_search, ctx.platform, index, request))


def _search(platform: Platform, index: str, request: Search) -> SearchResult:
    version = None if request.version is None else versions.number(request.version)
    # pydantic has checked the forms; the filter knows which names the index has.
    wanted: dict[str, FilterValue] = {
        name: {"prefix": value.prefix} if isinstance(value, Prefix) else value for name, value in request.filter.items()
    }
    return platform.part(open_retriever).search(index, request.query, request.k, wanted, version, mode=request.mode)


def _hits(found: SearchResult) -> Hits:
    return Hits(
        index=found.index,
        version=found.version,
        behind=found.behind,
        took_ms=found.took_ms,
        hits=[
            Hit(
                title=hit.title,
                text=hit.text,
                score=hit.score,
                vector_score=hit.vector_score,
                vector_rank=hit.vector_rank,
                text_score=hit.text_score,
                text_rank=hit.text_rank,
                citation=Citation(
                    document=hit.document,
                    heading=hit.heading,
                    chunk=hit.chunk,
                    start=hit.start,
                    end=hit.end,
                    index=hit.index,
                    version=hit.version,
                    text=hit.citation,
                ),
            )
            for hit in found.hits
        ],
    )


def _index(node: AssetNode, view: GraphView) -> Index:
    state = view.states.get(node.id)
    made = state.materialization if state else None
    rows = made.metadata.get("dagster/row_count") if made else None
    return Index(
        id=node.id,
        description=node.description,
        owners=list(node.owners),
        sources=list(node.upstream),
        data_version=made.data_version if made else None,
        chunk_count=rows if isinstance(rows, int) else None,
        materialized_at=made.at if made else None,
    )
