"""Discovery: what a connection leads to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.logic.opened import opened
from connectors import asking
from connectors.connector import Capability, Listing, Page
from core.errors import Conflict

PathPart = Annotated[str, Field(min_length=1, max_length=1000)]


class Discover(Request):
    """What to list."""

    below: Annotated[list[PathPart], Field(max_length=50)] = []
    """A schema of a database, or the folders that lead to a prefix. Empty for everything."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 200
    """Maximum number of items."""

    page_token: Annotated[str, Field(max_length=4000)] = ""
    """`next_page_token` of the page before. Leave it out for the first page."""


class DiscoveredColumn(Model):
    """A column of a table."""

    name: str
    """Name."""

    type: str
    """Type, as the system writes it."""

    nullable: bool
    """Whether it can be null."""


class Discovered(Model):
    """A table, a view, a folder, or an object."""

    path: list[str]
    """Schema and name, or the parts of the path."""

    kind: str
    """`table`, `view`, `folder`, or `object`."""

    columns: list[DiscoveredColumn]
    """Columns of a table or view."""

    key: list[str]
    """Columns of the primary key."""

    size: int | None
    """Bytes of an object. Null for anything else."""

    version: str
    """What changes with the content, such as an ETag. Empty if the system has nothing of the sort."""


class DiscoveredPage(Model):
    """A page of what a connection leads to."""

    items: list[Discovered]
    """Items in the order of their paths."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


@CONNECTION.action(
    "discover", request=Discover, result=DiscoveredPage, reads=True, role=Role.EDITOR, timeout_seconds=90
)
async def discover_connection(ctx: Context, connection: str, request: Discover) -> DiscoveredPage:
    """Lists the tables of a database with their columns and keys, or the folders and objects of a store."""
    found = await opened(ctx, connection, "discover")
    if Capability.DISCOVER not in found.connector.capabilities:
        raise Conflict(f"{found.connector.title} can't list what it has.")
    listing = Listing(tuple(request.below), request.page_token, request.page_size)
    page = await asking.found(found.connector, found.config, found.egress, listing)
    return discovered(page)


def discovered(page: Page) -> DiscoveredPage:
    """Returns a page of what a system has as callers see it."""
    return DiscoveredPage(
        items=[
            Discovered(
                path=list(item.path),
                kind=item.kind,
                columns=[
                    DiscoveredColumn(name=column.name, type=column.type, nullable=column.nullable)
                    for column in item.columns
                ],
                key=list(item.key),
                size=item.size,
                version=item.version,
            )
            for item in page.items
        ],
        next_page_token=page.next or None,
    )
