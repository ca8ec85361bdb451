"""Search for versions by what produced them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.lake.versions import Version
from api.kernel.models import ListQuery, Model, Page, Query, Timestamp
from api.kernel.permissions.graph import READ_ASSET, item_node, item_nodes, visible_assets
from api.kernel.permissions.projects import FORMER, Projects
from api.kernel.platform import open_lineage
from api.kernel.storage.listing import SqlListing
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.logic.visible_names import one_of
from core.errors import InvalidArgument
from core.ids import is_asset_id
from lakehouse.lineage import LINEAGE_EDGE

_EDGE = LINEAGE_EDGE.c
_LISTING = SqlListing(id=_EDGE.sequence, fields={}, newest_first=True)
_MAX = Field(max_length=200)


class ProvenanceSearchQuery(Query):
    """What produced the versions to find. All parameters that are set must match."""

    run: Annotated[str, _MAX] = ""
    """Id of the run."""

    code_version: Annotated[str, _MAX] = ""
    """Version of the code."""

    git_sha: Annotated[str, _MAX] = ""
    """Commit of the repository, complete."""

    engine: Annotated[str, _MAX] = ""
    """Engine with its version, as provenance shows it."""

    env_digest: Annotated[str, _MAX] = ""
    """Digest of the installed packages."""

    requested_by: Annotated[str, _MAX] = ""
    """Name of the principal that requested the run, as it was recorded."""

    after: Timestamp | None = None
    """Earliest time of the materialization."""

    before: Timestamp | None = None
    """Time before which it was materialized."""

    input: AssetId = ""
    """Id of an asset that was read directly."""

    input_version: Version = ""
    """Data version of `input` that was read. Requires `input`."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 50
    """Maximum number of versions on the page."""

    page_token: Annotated[str, Field(max_length=2000)] = ""
    """`next_page_token` of the previous page. Leave it out for the first page."""


class FoundVersion(Model):
    """A version, and the step that produced it."""

    asset: str
    """Id of the asset, or of another node of the lineage graph, such as `run:<project>:<run>`."""

    version: str
    """Data version, or the version of the node."""

    run: str
    """Id of the run."""

    step: str
    """Step of the run."""

    code_version: str
    """Version of the code."""

    git_sha: str
    """Commit of the repository. Empty if the run was outside of git."""

    env_digest: str
    """Digest of the installed packages."""

    engine: str
    """Engine that computed the version, with its version."""

    principal: str
    """Principal that requested the run. `former-organization` if the project belonged to another organization then."""

    at: datetime
    """Time of the materialization."""


@ASSET.collection_read("search-provenance", query=ProvenanceSearchQuery, result=Page[FoundVersion])
async def search_provenance_assets(ctx: Context, query: ProvenanceSearchQuery) -> Page[FoundVersion]:
    """Finds versions by run, code, commit, engine, packages, principal, time, or input, last recorded first.

    A version has one item for each step that produced it.
    """
    if query.input_version and not query.input:
        fault = {"pointer": "/input", "detail": "is required with input_version"}
        raise InvalidArgument("input_version requires input: the asset that the version belongs to.", errors=[fault])
    access = ctx.principal.access
    if query.input and not visible_assets(ctx.platform, access)(query.input):
        return Page[FoundVersion](items=[], next_page_token=None)
    names = None
    if not access.unrestricted(READ_ASSET):
        names = await ctx.compute(_visible, ctx)
    return await ctx.read(lambda unit: _page(unit, query, names))


def _visible(ctx: Context) -> set[str]:
    """Returns the assets and the items, such as runs and models, that the caller can see."""
    is_visible = visible_assets(ctx.platform, ctx.principal.access)
    nodes = ctx.platform.part(open_lineage).assets()
    return {node for node in nodes if (is_asset_id(node) or item_node(node)) and is_visible(node)}


def _page(unit: Unit, query: ProvenanceSearchQuery, names: set[str] | None) -> Page[FoundVersion]:
    projects = unit.platform.part(Projects)
    principal = _principal(projects)
    exact = [
        (_EDGE.run, query.run),
        (_EDGE.code_version, query.code_version),
        (_EDGE.git_sha, query.git_sha),
        (_EDGE.engine, query.engine),
        (_EDGE.env_digest, query.env_digest),
        (principal, query.requested_by),
    ]
    conditions = [column == value for column, value in exact if value]
    if query.after:
        conditions.append(_EDGE.at >= query.after)
    if query.before:
        conditions.append(_EDGE.at < query.before)
    if names is not None:
        conditions.append(one_of(_EDGE.out_asset, names, unit.connection.dialect.name))
    conditions += _first_of_step(query)
    select = sa.select(
        sa.cast(_EDGE.sequence, sa.String).label("id"),
        _EDGE.out_asset.label("asset"),
        _EDGE.out_version.label("version"),
        *(_EDGE[name] for name in ("run", "step", "code_version", "git_sha", "env_digest", "engine", "at")),
        principal.label("principal"),
    ).where(*conditions)
    page = ListQuery(page_size=query.page_size, page_token=query.page_token)
    rows, token = _LISTING.rows(unit.connection, select, page)
    items = [FoundVersion(**{name: row._mapping[name] for name in FoundVersion.model_fields}) for row in rows]
    return Page[FoundVersion](items=items, next_page_token=token)


def _first_of_step(query: ProvenanceSearchQuery) -> list[sa.ColumnElement[bool]]:
    """Returns the conditions for one edge of each step: its first, or its first to the input."""
    other = LINEAGE_EDGE.alias()
    read = {name: value for name, value in (("in_asset", query.input), ("in_version", query.input_version)) if value}
    same = [other.c[name] == _EDGE[name] for name in ("out_asset", "out_version", "run", "step")]
    # Without the function, SQLite finds the other edges of a step by their input, which thousands of steps share.
    same += [sa.func.coalesce(other.c[name], "") == value for name, value in read.items()]
    earlier = sa.exists().where(*same, other.c.sequence < _EDGE.sequence)
    return [*(_EDGE[name] == value for name, value in read.items()), ~earlier]


def _principal(projects: Projects) -> sa.ColumnElement[str]:
    """Returns the principal of an edge as the present organization of its project can see it."""
    moved = [
        sa.and_(_EDGE.out_asset.startswith(start, autoescape=True), _EDGE.at < moved_at)
        for name, moved_at in projects.moves()
        for start in (f"{name}.", *item_nodes(name))
    ]
    return sa.case((sa.or_(*moved), FORMER), else_=_EDGE.principal) if moved else _EDGE.principal
