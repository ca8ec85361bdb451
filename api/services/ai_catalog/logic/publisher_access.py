"""The publisher as a request uses it: with the rights of its caller."""

from __future__ import annotations

from collections.abc import Callable

from api.kernel.kinds.context import Context
from api.services.ai_catalog.logic.readable_connections import may_read_through
from api.services.ai_catalog.logic.readable_tables import may_read
from core.connection_sources import is_connection_source
from core.errors import Unavailable
from core.publisher import Publisher


def readable_to_caller(ctx: Context) -> Callable[[str], bool]:
    """Returns a predicate: whether the caller can read the rows of an asset that they see, or through a connection.

    A definition would disclose these rows.
    """
    nodes = ctx.view().nodes

    def readable(asset: str) -> bool:
        if is_connection_source(asset):
            return may_read_through(ctx.platform, ctx.principal.access, asset)
        return asset in nodes and may_read(ctx.platform, ctx.principal.access, asset)

    return readable


def publisher_of(ctx: Context) -> Publisher:
    """Returns the publisher of this process.

    Raises:
        Unavailable: This process can't publish definitions.
    """
    if ctx.platform.publisher is None:
        raise Unavailable("This process can't publish definitions.")
    return ctx.platform.publisher
