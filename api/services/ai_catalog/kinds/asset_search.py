"""Search over assets with facets: words in the index, and states from the orchestrator's view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Name, Query
from api.kernel.search.feed import open_index
from api.kernel.search.query import Visible
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.search import FacetValue, query_words, search_words
from api.services.ai_catalog.logic.asset_facets import FACETS, Faceted, chosen
from api.services.ai_catalog.logic.health import Health, assess
from api.services.ai_catalog.logic.search_documents import ASSET_KINDS, open_feed
from api.services.ai_catalog.logic.search_pages import page_offset, page_token
from api.services.ai_catalog.logic.stated_facts import Facts, open_facts
from core.ports import AssetNode, GraphView, Staleness
from core.reports import CheckStatus

_MAX_RESULTS = 100_000
_MAX_VALUES = 200
_Text = Annotated[str, Field(max_length=500)]


class SortBy(StrEnum):
    """`relevance` falls back to ids if there are no words. `health` begins with what needs attention."""

    RELEVANCE = "relevance"
    NAME = "name"
    NEWEST = "newest"
    HEALTH = "health"


class AssetSearchQuery(Query):
    """What to search for. Repeat a parameter to accept any of several values; all parameters must match."""

    q: Annotated[str, Field(max_length=500)] = ""
    """Words, as in the search over the whole catalog. Leave it out to browse."""

    project: Annotated[list[Name], Field(max_length=100)] = []
    """Names of projects."""

    layer: Annotated[list[_Text], Field(max_length=100)] = []
    """Layers: the middle part of the id, such as `gold`."""

    kind: Annotated[list[_Text], Field(max_length=100)] = []
    """Technologies and data types, such as `polars`."""

    owner: Annotated[list[_Text], Field(max_length=100)] = []
    """Owners, as assets show them."""

    health: Annotated[list[Health], Field(max_length=10)] = []
    """States, such as DEGRADED."""

    staleness: Annotated[list[Staleness], Field(max_length=10)] = []
    """FRESH, STALE, or MISSING."""

    label: Annotated[list[_Text], Field(max_length=100)] = []
    """Labels and tags as `key=value`."""

    show_retired: bool = False
    """Whether to include assets whose definition is retired."""

    sort_by: SortBy = SortBy.RELEVANCE
    """Order of the items."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Maximum number of items on the page."""

    page_token: Annotated[str, Field(max_length=2000)] = ""
    """`next_page_token` of the previous page. Leave it out for the first page."""


class AssetMatch(Model):
    """An asset that matches, with its state in short."""

    id: str
    """Id of the asset: `<project>.<layer>.<name>`."""

    title: str
    """Display name. Empty if none is stated."""

    description: str
    """Description of the content."""

    kinds: list[str]
    """Technologies and data types."""

    owners: list[str]
    """Owners."""

    labels: list[str]
    """Labels and tags as `key=value`."""

    health: Health
    """State of the asset."""

    health_reasons: list[str]
    """Reasons why it is not HEALTHY."""

    staleness: Staleness
    """FRESH, STALE, or MISSING."""

    checks: dict[CheckStatus, int]
    """Number of checks by result for the latest version."""

    data_version: str | None
    """Latest data version. Null if it was never materialized."""

    materialized_at: datetime | None
    """Time of the latest materialization."""

    running: bool
    """Whether a run is producing it now."""


class AssetFacets(Model):
    """Counts by value. Those of a facet ignore what is chosen of the facet itself. Each has at most 200 values."""

    project: list[FacetValue]
    """Projects."""

    layer: list[FacetValue]
    """Layers."""

    kind: list[FacetValue]
    """Technologies and data types."""

    owner: list[FacetValue]
    """Owners."""

    health: list[FacetValue]
    """States."""

    staleness: list[FacetValue]
    """FRESH, STALE, and MISSING."""

    label: list[FacetValue]
    """Labels and tags."""


class AssetMatches(Model):
    """One page of matching assets."""

    items: list[AssetMatch]
    """Assets of the page."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""

    total: int
    """Number of assets that match."""

    facets: AssetFacets
    """Counts by value."""

    typos: bool
    """Whether the assets match only with typos."""


@ASSET.collection_read("search", query=AssetSearchQuery, result=AssetMatches)
async def search_assets(ctx: Context, query: AssetSearchQuery) -> AssetMatches:
    """Finds assets by words and facets, with the counts of what further choices leave.

    States are those of the moment. Items and counts include only what the caller can see.
    """
    return await ctx.compute(_searched, ctx, ctx.view(), query)


def _searched(ctx: Context, view: GraphView, query: AssetSearchQuery) -> AssetMatches:
    parameters = query.model_dump_json(exclude={"page_token", "page_size"})
    offset = page_offset(query.page_token, parameters, _MAX_RESULTS)
    facts = ctx.platform.part(open_facts).current(ctx.platform)
    ids, typos = _found(ctx, query.q) if query.q.strip() else (sorted(view.nodes), False)
    nodes = [node for id in ids if (node := view.nodes.get(id)) and (query.show_retired or not node.retired)]
    found, counts = chosen(
        (_faceted(node, view, facts.get(node.id)) for node in nodes),
        {facet: getattr(query, facet) for facet in FACETS},
    )
    found = _ordered(found, view, query.sort_by)
    after = offset + query.page_size
    return AssetMatches(
        items=[_match(view.nodes[id], view, facts.get(id)) for id in found[offset:after]],
        next_page_token=page_token(parameters, after) if after < min(len(found), _MAX_RESULTS) else None,
        total=len(found),
        facets=AssetFacets(**{facet: _most(values) for facet, values in counts.items()}),
        typos=typos,
    )


def _found(ctx: Context, text: str) -> tuple[list[str], bool]:
    """Returns the ids of the assets whose texts match, the best first, and whether they match only with typos."""
    index, feed = ctx.platform.part(open_index), ctx.platform.part(open_feed)
    feed.follow()
    words = query_words(index, text)
    with ctx.platform.database.read() as connection:
        visible = Visible(ctx.platform, connection, index.schema, ctx.principal.access, index.scopes())
        conditions = [visible.of([], ASSET_KINDS)]
        found, typos = search_words(index, words, conditions, limit=_MAX_RESULTS, offset=0, facets=(), excerpts=False)
    return [document.id for document in found.documents], typos


def _faceted(node: AssetNode, view: GraphView, facts: Facts | None) -> Faceted:
    state = view.states.get(node.id)
    project, layer, *_ = [*node.id.split("."), ""]
    return Faceted(
        node.id,
        {
            "project": (project,),
            "layer": (layer,),
            "kind": node.kinds,
            "owner": node.owners,
            "health": (assess(node, state)[0].value,),
            "staleness": ((state.staleness if state else Staleness.MISSING).value,),
            "label": sorted(facts.labels) if facts else (),
        },
    )


_URGENCY: Sequence[Health] = (
    *(Health.DEGRADED, Health.WARNING, Health.STALE, Health.UNCHECKED, Health.RUNNING, Health.UNKNOWN),
    Health.HEALTHY,
)


def _ordered(ids: list[str], view: GraphView, order: SortBy) -> list[str]:
    def at(id: str) -> float:
        state = view.states.get(id)
        return -state.materialization.at.timestamp() if state and state.materialization else 0.0

    match order:
        case SortBy.RELEVANCE:
            return ids
        case SortBy.NAME:
            return sorted(ids)
        case SortBy.NEWEST:
            return sorted(ids, key=lambda id: (at(id), id))
        case SortBy.HEALTH:
            return sorted(ids, key=lambda id: (_URGENCY.index(assess(view.nodes[id], view.states.get(id))[0]), id))


def _match(node: AssetNode, view: GraphView, facts: Facts | None) -> AssetMatch:
    state = view.states.get(node.id)
    health, reasons = assess(node, state)
    checks: dict[CheckStatus, int] = {}
    for check in state.checks if state else ():
        checks[check.status] = checks.get(check.status, 0) + 1
    made = state.materialization if state else None
    return AssetMatch(
        id=node.id,
        title=facts.title if facts else "",
        description=node.description,
        kinds=list(node.kinds),
        owners=list(node.owners),
        labels=sorted(facts.labels) if facts else [],
        health=health,
        health_reasons=reasons,
        staleness=state.staleness if state else Staleness.MISSING,
        checks=checks,
        data_version=made.data_version if made else None,
        materialized_at=made.at if made else None,
        running=bool(state and state.runs_in_progress),
    )


def _most(counts: Mapping[str, int]) -> list[FacetValue]:
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [FacetValue(value=value, count=count) for value, count in ordered[:_MAX_VALUES]]
