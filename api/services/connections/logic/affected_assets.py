"""The assets that a change of a remote table reaches: those that read it, and what reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.kinds.context import Context
from api.kernel.platform import open_lineage
from api.services.ai_catalog.logic.impact import Certainty, ImpactWalk, Reach
from api.services.connections.logic.schema_changes import Change, ChangeKind
from core.definitions import DEFINITION
from core.ports import GraphView

_DEPTH = 10
_MAX_ASSETS = 1000


@dataclass(frozen=True, slots=True)
class Origin:
    """A connection, as definitions and lineage name it."""

    project: str
    id: str
    name: str

    def node(self, schema: str, table: str) -> str:
        """Returns the name of a remote table in lineage."""
        return f"connection:{self.project}:{self.id}:{schema}.{table}"


@dataclass(frozen=True, slots=True)
class Affected:
    """An asset that a change reaches."""

    change: Change
    reach: Reach


def declared_readers(connection: Connection, origin: Origin) -> dict[tuple[str, str] | None, list[str]]:
    """Returns the assets whose published definition reads a table through a connection.

    The key is schema and name of the table, or None for definitions that read by a query.
    """
    columns = DEFINITION.c
    rows = connection.execute(
        sa.select(columns.asset_id, columns.published_attributes).where(
            columns.project == origin.project,
            columns.retired_at.is_(None),
            columns.published_at.is_not(None),
        )
    )
    readers: dict[tuple[str, str] | None, list[str]] = {}
    for row in rows:
        source = (row.published_attributes or {}).get("source")
        if not isinstance(source, dict) or source.get("connection") not in (origin.id, origin.name):
            continue
        schema, separator, table = str(source.get("table") or "").partition(".")
        readers.setdefault((schema, table) if separator else None, []).append(row.asset_id)
    return readers


def affected(
    ctx: Context,
    view: GraphView,
    origin: Origin,
    readers: dict[tuple[str, str] | None, list[str]],
    changes: Sequence[Change],
) -> tuple[list[Affected], bool]:
    """Returns the assets that breaking changes reach, and whether there are more. Runs in a worker thread.

    An asset counts if the newest version recorded that it read the table, or if its definition says so. Assets that the
    caller can't see are left out and not followed.
    """
    found: list[Affected] = []
    truncated = False
    for change in changes:
        if not change.breaking:
            continue
        walk = ImpactWalk(ctx, view, depth=_DEPTH, max_nodes=_MAX_ASSETS)
        reached = {one.asset: one for one in walk.reached(origin.node(*change.table), change.column)}
        for asset in (*readers.get(change.table, ()), *readers.get(None, ())):
            if asset in reached or asset not in view.nodes:
                continue
            by_query = asset not in readers.get(change.table, ())
            certain = change.kind is ChangeKind.TABLE_REMOVED and not by_query
            certainty = Certainty.EXACT if certain else Certainty.ASSUMED
            reached[asset] = Reach(asset, (origin.node(*change.table), asset), certainty, None, recorded=False)
            for further in walk.reached(asset, change.column):
                path = (origin.node(*change.table), *further.path)
                reached.setdefault(
                    further.asset, Reach(further.asset, path, certainty, further.columns, further.recorded)
                )
        truncated |= walk.truncated or len(found) + len(reached) > _MAX_ASSETS
        found += [Affected(change, one) for one in sorted(reached.values(), key=lambda one: (len(one.path), one.asset))]
        if truncated:
            break
    return found[:_MAX_ASSETS], truncated


def readers_of(ctx: Context, view: GraphView, origin: Origin, declared: Sequence[str]) -> list[str]:
    """Returns the assets that read from a connection, directly or through others. Runs in a worker thread."""
    prefix = origin.node("", "").removesuffix(".")
    walk = ImpactWalk(ctx, view, depth=_DEPTH, max_nodes=_MAX_ASSETS)
    tables = [name for name in ctx.platform.part(open_lineage).assets() if name.startswith(prefix)]
    starts = [*(id for id in declared if id in view.nodes), *tables]
    found = {id for id in starts if id in view.nodes}
    found |= {one.asset for start in starts for one in walk.reached(start, "")}
    return sorted(found)
