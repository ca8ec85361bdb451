"""Indexes: assets that can be searched."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.lake import versions
from api.kernel.lake.asset_lists import AssetListQuery
from api.kernel.lake.copies import require_copy
from api.kernel.lake.provenance import Provenance, ProvenanceQuery, explain
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Page, Request
from api.kernel.permissions.graph import AssetLocator
from api.kernel.storage.listing import Listing
from api.services.rag.logic.searching import open_retriever
from core.ports import AssetNode, GraphView

if TYPE_CHECKING:
    from rag.filters import FilterValue
    from rag.retrieval import SearchResult

_KIND = "lancedb"
"""Kind of the assets that can be searched."""

_LISTING = Listing[AssetNode](
    id=lambda node: node.id,
    fields={"project": filters.Field(filters.FieldType.STRING, read=lambda node: node.id.partition(".")[0])},
)

_INDEXES = AssetLocator("rag.index", "index", lambda node: _KIND in node.kinds)

INDEX = Kind(
    "index",
    plural="indexes",
    title="Index",
    description="A searchable copy of documents. Its id is that of its asset.",
    example="flights.index.handbook",
    locate=_INDEXES,
    filter_by=tuple(_LISTING.fields),
)

Text = Annotated[str, Field(max_length=500)]
Texts = Annotated[list[Text], Field(max_length=500)]


class Index(Model):
    """An index."""

    id: str
    """Id of the index, which is that of its asset."""

    description: str
    """Description of the content."""

    owners: list[str]
    """Owners: addresses, or names with `team:`."""

    sources: list[str]
    """Ids of assets that it is produced from, in addition to files."""

    data_version: str | None
    """Latest data version. Null before the first one."""

    chunk_count: int | None
    """Number of chunks in the latest version, as its run reported it."""

    materialized_at: datetime | None
    """Time of the latest materialization."""


class Prefix(Request):
    """A condition that a value starts with a prefix."""

    prefix: Text
    """The prefix, such as `docs/`."""


class Search(Request):
    """A search."""

    query: Annotated[str, Field(min_length=1, max_length=2000, examples=["which airports are crowded"])]
    """Words or a question."""

    k: Annotated[int, Field(ge=1, le=100)] = 10
    """Maximum number of hits."""

    filter: dict[str, Text | Texts | Prefix] = {}
    """Conditions that chunks must meet, by column or label: a value, a list of values, or a prefix."""

    version: Version | None = None
    """Version of the index to search. By default the newest."""

    mode: Literal["hybrid", "vector", "text"] = "hybrid"
    """Search by vectors, full text, or both."""


class Citation(Model):
    """The source of a hit, which identifies the exact passage."""

    document: str
    """Name of the document."""

    heading: str
    """Headings above the passage."""

    chunk: str
    """Id of the chunk."""

    start: int
    """Index of the first character of the passage in the document."""

    end: int
    """Index after the last character of the passage."""

    index: str
    """Id of the index."""

    version: str
    """Data version of the index."""

    text: str
    """The citation in one line."""


class Hit(Model):
    """A passage that matches the search."""

    title: str
    """Title of the document."""

    text: str
    """Text of the passage."""

    score: float
    """Fused score, comparable only within one response."""

    vector_score: float | None
    """Cosine similarity of query and passage. Null if the vector search did not find it."""

    vector_rank: int | None
    """Rank in the vector search, from 1."""

    text_score: float | None
    """BM25 score. Null if the full-text search did not find it."""

    text_rank: int | None
    """Rank in the full-text search, from 1."""

    citation: Citation
    """Source of the passage."""


class Hits(Model):
    """Result of a search."""

    index: str
    """Id of the index."""

    version: str
    """Data version that was searched."""

    behind: int
    """Number of newer table versions. Greater than 0 only while a version is being written."""

    took_ms: float
    """Duration of the search in milliseconds."""

    hits: list[Hit]
    """Hits, best first."""


@INDEX.list(query=AssetListQuery, item=Index)
async def list_indexes(ctx: Context, query: AssetListQuery) -> Page[Index]:
    """Lists indexes by id."""
    view = ctx.view()
    nodes, token = _LISTING.page(query.included(_INDEXES.nodes(view).values()), query)
    return Page[Index](items=[_index(node, view) for node in nodes], next_page_token=token)


@INDEX.get(result=Index)
async def get_index(ctx: Context, index: str) -> Index:
    """Returns an index with its latest version."""
    view = ctx.view()
    return _index(_INDEXES.find(view, index), view)


@INDEX.part("provenance", query=ProvenanceQuery, result=Provenance)
async def get_index_provenance(ctx: Context, index: str, query: ProvenanceQuery) -> Provenance:
    """Returns the documents, code, run, and principal that produced a version of the index."""
    _INDEXES.find(ctx.view(), index)
    return await ctx.compute(explain, ctx, index, query.version)


@INDEX.action("search", request=Search, result=Hits, reads=True)
async def search_index(ctx: Context, index: str, request: Search) -> Hits:
    """Finds passages by meaning and by words. Every hit contains its citation.

    The caller must be able to read the tables that the version was made from, unless their owners released the index.
    """
    _INDEXES.find(ctx.view(), index)
    return _hits(await ctx.compute(_search, ctx, index, request))


def _search(ctx: Context, index: str, request: Search) -> SearchResult:
    version = None if request.version is None else versions.number(request.version)
    # pydantic has validated the types. The filter checks that the index has the columns.
    conditions: dict[str, FilterValue] = {
        name: {"prefix": value.prefix} if isinstance(value, Prefix) else value for name, value in request.filter.items()
    }
    retriever = ctx.platform.part(open_retriever)
    result = retriever.search(index, request.query, request.k, conditions, version, mode=request.mode)
    require_copy(ctx.platform, ctx.principal.access, index, result.version)
    return result


def _hits(result: SearchResult) -> Hits:
    return Hits(
        index=result.index,
        version=result.version,
        behind=result.behind,
        took_ms=result.took_ms,
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
            for hit in result.hits
        ],
    )


def _index(node: AssetNode, view: GraphView) -> Index:
    state = view.states.get(node.id)
    materialization = state.materialization if state else None
    rows = materialization.metadata.get("dagster/row_count") if materialization else None
    return Index(
        id=node.id,
        description=node.description,
        owners=list(node.owners),
        sources=list(node.upstream),
        data_version=materialization.data_version if materialization else None,
        chunk_count=rows if isinstance(rows, int) else None,
        materialized_at=materialization.at if materialization else None,
    )
