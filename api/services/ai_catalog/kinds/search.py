"""Full-text search over everything in the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from pydantic import Field
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.kind import Kind
from api.kernel.models import KindName, Model, Name, Query
from api.kernel.permissions.projects import Projects
from api.kernel.platform import Platform
from api.kernel.search.document import Document, asset_scope, key_of
from api.kernel.search.feed import SearchFeed, open_index
from api.kernel.search.index import FACETS, Found, SearchIndex
from api.kernel.search.query import Visible, one_of, words_query
from api.services.ai_catalog.logic.search_documents import ASSET_KINDS, open_feed
from api.services.ai_catalog.logic.search_pages import ProjectNames, page_offset, page_token
from core.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    import tantivy

_MAX_RESULTS = 10_000
"""Number of items that pages reach. A narrower search finds the others."""

_MAX_WORDS = 16
"""Number of words of a search. Each scans the terms of all fields."""

SEARCH = Kind(
    "search",
    plural="search",
    title="Search",
    description="Full-text search over everything in the catalog that the caller can see.",
    example="none",
)


class SearchQuery(Query):
    """What to search for. All parameters that are set must match."""

    q: Annotated[str, Field(max_length=500)] = ""
    """Words. An item must contain each of them, or a word that begins with it. If no item does, words with one or two
    typos match as well. At most 16 words. Leave it out to browse."""

    kind: KindName = ""
    """Full name of a kind, such as `ai_catalog.asset`."""

    project: Name = ""
    """Name or id of a project."""

    owner: Annotated[str, Field(max_length=200)] = ""
    """Owner, as items show it."""

    label: Annotated[str, Field(max_length=500)] = ""
    """Label or tag, as `key=value`."""

    page_size: Annotated[int, Field(ge=1, le=100)] = 20
    """Maximum number of items on the page."""

    page_token: Annotated[str, Field(max_length=2000)] = ""
    """`next_page_token` of the previous page. Leave it out for the first page."""


class Match(Model):
    """A range of characters that matches."""

    start: int
    """First character, from 0."""

    end: int
    """Character after the last one."""


class FoundItem(Model):
    """An item of the catalog that matches."""

    kind: str
    """Full name of its kind."""

    id: str
    """Id of the item."""

    project: str
    """Name of its project, or its id if the caller can't see the project. Empty for an item of an organization."""

    name: str
    """Name of the item."""

    title: str
    """Display name. Empty if it has none."""

    owner: str
    """Owner. Empty if it has none."""

    labels: list[str]
    """Labels and tags as `key=value`."""

    excerpt: str
    """Part of the description that matches, or its beginning."""

    matches: list[Match]
    """Matching ranges of the excerpt."""


class FacetValue(Model):
    """A value of a facet."""

    value: str
    """The value, as the parameter of the same name takes it."""

    count: int
    """Number of items with the value."""


class Facets(Model):
    """Counts of the items that match, by kind, project, owner, and label. Each has at most 50 values."""

    kind: list[FacetValue]
    """Kinds."""

    project: list[FacetValue]
    """Projects."""

    owner: list[FacetValue]
    """Owners."""

    label: list[FacetValue]
    """Labels and tags."""


class SearchPage(Model):
    """One page of matching items, the best first."""

    items: list[FoundItem]
    """Items of the page."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""

    total: int
    """Number of items that match."""

    facets: Facets
    """Counts of the items that match."""

    typos: bool
    """Whether the items match only with typos."""

    events_behind: int
    """Number of changes on the platform that the index does not contain yet."""

    seconds_behind: float
    """Age of the first of these changes, in seconds."""


async def list_search(ctx: Context, query: SearchQuery) -> SearchPage:
    """Finds items by words, tolerant of typos, with counts by kind, project, owner, and label. The best come first.

    Counts and items include only what the caller can see. `events_behind` tells whether the index is up to date.
    """
    return await ctx.compute(_searched, ctx, query)


SEARCH.register(Shape.LIST, "list", query=SearchQuery, result=SearchPage, own=True)(list_search)


def _searched(ctx: Context, query: SearchQuery) -> SearchPage:
    feed = ctx.platform.part(open_feed)
    feed.follow()
    with ctx.platform.database.read() as connection:
        page = _page(ctx, connection, query, feed)
    lag = feed.lag()
    return page.model_copy(update={"events_behind": lag.events, "seconds_behind": lag.seconds})


def _page(ctx: Context, connection: Connection, query: SearchQuery, feed: SearchFeed) -> SearchPage:
    index, access = ctx.platform.part(open_index), ctx.principal.access
    offset = page_offset(query.page_token, _parameters(query), _MAX_RESULTS)
    words = query_words(index, query.q)
    visible = Visible(ctx.platform, connection, index.schema, access, index.scopes())
    conditions = [visible.of(feed.sources, ASSET_KINDS), *_conditions(ctx.platform, index, query)]
    found, typos = search_words(index, words, conditions, limit=query.page_size, offset=offset, facets=FACETS)
    present = _present(ctx, connection, feed, found.documents)
    after = offset + len(found.documents)
    projects = ProjectNames(ctx.platform, access)
    return SearchPage(
        items=[
            _item(document, excerpt, projects)
            for document, excerpt in zip(found.documents, found.excerpts, strict=True)
            if document.key in present
        ],
        next_page_token=page_token(_parameters(query), after) if after < min(found.total, _MAX_RESULTS) else None,
        total=found.total,
        facets=_facets(found, projects),
        typos=typos,
        events_behind=0,
        seconds_behind=0.0,
    )


def query_words(index: SearchIndex, text: str) -> list[str]:
    """Returns the words to search for.

    Raises:
        InvalidArgument: the text contains none, or too many.
    """
    words = index.words(text)
    if text.strip() and not words:
        raise InvalidArgument("q contains no word. Write letters or digits.")
    if len(words) > _MAX_WORDS:
        raise InvalidArgument(f"q contains {len(words)} words. Search for at most {_MAX_WORDS}.")
    return words


def search_words(
    index: SearchIndex,
    words: Sequence[str],
    conditions: Sequence[tantivy.Query],
    *,
    limit: int,
    offset: int,
    facets: Sequence[str],
    excerpts: bool = True,
) -> tuple[Found, bool]:
    """Returns the matching documents, and whether they match only with typos.

    Typos are tried when the caller sees no document without. Whether hidden documents match doesn't matter.
    """
    from tantivy import Occur, Query

    found = None
    for typos in (False, True) if words else (False,):
        text = words_query(index.schema, index.searcher(), words, typos=typos)
        query = Query.boolean_query([(Occur.Must, part) for part in (text, *conditions)])
        found = index.search(query, text if excerpts else None, limit=limit, offset=offset, facets=facets)
        if found.total:
            return found, typos
    assert found is not None
    return found, False


def _conditions(platform: Platform, index: SearchIndex, query: SearchQuery) -> list[tantivy.Query]:
    conditions = []
    for field, value in (("kind", query.kind), ("owner", query.owner), ("label", query.label)):
        if value:
            conditions.append(one_of(index.schema, field, [value]))
    if query.project:
        projects = platform.part(Projects)
        name = projects.name_of(query.project) or query.project
        scopes = [asset_scope(name), query.project, projects.of(name).project_id or ""]
        conditions.append(one_of(index.schema, "scope", scopes))
    return conditions


def _present(ctx: Context, connection: Connection, feed: SearchFeed, documents: Sequence[Document]) -> set[str]:
    """Returns the keys of the documents whose items still exist and that the caller can see now."""
    found: dict[str, list[str]] = {}
    for document in documents:
        found.setdefault(document.kind, []).append(document.id)
    keys = set()
    for source in feed.sources:
        if ids := found.get(source.kind):
            visible = source.visible(ctx.platform, connection, ctx.principal.access, ids)
            keys |= {key_of(source.kind, id) for id in visible}
    if any(kind in ASSET_KINDS for kind in found):
        with suppress(Unavailable):  # the graph is not known yet
            nodes = ctx.view().nodes
            keys |= {key_of(kind, id) for kind in ASSET_KINDS for id in found.get(kind, ()) if id in nodes}
    return keys


def _item(document: Document, excerpt: tuple[str, list[tuple[int, int]]], projects: ProjectNames) -> FoundItem:
    text, ranges = excerpt
    return FoundItem(
        kind=document.kind,
        id=document.id,
        project=projects.of(document.scope),
        name=document.name,
        title=document.title,
        owner=document.owner,
        labels=list(document.labels),
        excerpt=text or document.description[:200],
        matches=[Match(start=start, end=end) for start, end in ranges],
    )


def _facets(found: Found, projects: ProjectNames) -> Facets:
    values = {field: dict(found.facets[field]) for field in FACETS}
    named: dict[str, int] = {}
    for scope, count in values.pop("scope").items():
        if name := projects.of(scope):
            named[name] = named.get(name, 0) + count
    counts = {**values, "project": named}
    return Facets(
        **{
            field: [FacetValue(value=value, count=count) for value, count in sorted(by.items(), key=_by_count)]
            for field, by in counts.items()
        }
    )


def _by_count(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]


def _parameters(query: SearchQuery) -> str:
    return query.model_dump_json(exclude={"page_token", "page_size"})
