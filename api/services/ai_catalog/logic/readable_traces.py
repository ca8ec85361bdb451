"""The right to read what traces contain: a trace that read a table is open only to those who may read its rows."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.services.ai_catalog.logic.readable_tables import readable_names, reads_everything
from api.services.ai_catalog.logic.trace_rows import ASSET
from api.services.ai_catalog.trace_tables import TRACE, TRACE_LINK


def open_traces(unit: Unit) -> sa.ColumnElement[bool]:
    """Returns the condition for the traces that read no asset whose rows the caller may not read."""
    if reads_everything(unit.principal.access):
        return sa.true()
    select = sa.select(TRACE_LINK.c.target).where(TRACE_LINK.c.type == ASSET).distinct()
    closed = _closed(unit, unit.connection.execute(select).scalars().all())
    return sa.not_(sa.exists().where(TRACE_LINK.c.trace_id == TRACE.c.id, _reads(closed))) if closed else sa.true()


def closed_traces(unit: Unit, traces: Collection[str]) -> set[str]:
    """Returns the ids of those of some traces that read an asset whose rows the caller may not read."""
    if reads_everything(unit.principal.access):
        return set()
    of_traces = TRACE_LINK.c.trace_id.in_(traces)
    select = sa.select(TRACE_LINK.c.target).where(TRACE_LINK.c.type == ASSET, of_traces).distinct()
    closed = _closed(unit, unit.connection.execute(select).scalars().all())
    if not closed:
        return set()
    return set(unit.connection.execute(sa.select(TRACE_LINK.c.trace_id).where(of_traces, _reads(closed))).scalars())


def _closed(unit: Unit, assets: Collection[str]) -> set[str]:
    return set(assets) - readable_names(unit.platform, unit.principal.access, assets)


def _reads(assets: Collection[str]) -> sa.ColumnElement[bool]:
    return sa.and_(TRACE_LINK.c.type == ASSET, TRACE_LINK.c.target.in_(sorted(assets)))
