"""The sensitivity of assets: their own level, or a higher one of anything that they were produced from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.services.ai_catalog.dataset_tables import DATASET as TABLE
from api.services.ai_catalog.logic.lineage_rows import chunks


class Sensitivity(StrEnum):
    """How much harm a disclosure does, from none to the most."""

    PUBLIC = "PUBLIC"
    INTERNAL = "INTERNAL"
    CONFIDENTIAL = "CONFIDENTIAL"
    RESTRICTED = "RESTRICTED"


_LEVELS = list(Sensitivity)


def highest(levels: Iterable[Sensitivity | None]) -> Sensitivity | None:
    """Returns the highest of these levels. None if there are none."""
    known = [level for level in levels if level is not None]
    return max(known, key=_LEVELS.index) if known else None


def effective_sensitivity(
    connection: Connection, organization_id: str, assets: Sequence[str]
) -> dict[str, Sensitivity | None]:
    """Returns the effective level of each asset. None if neither it nor anything that it was produced from has one.

    As for tags, all recorded versions count. An asset that was declassified has its own level.
    """
    inputs = _inputs(connection, assets)
    own: dict[str, tuple[Sensitivity, bool]] = {}
    select = sa.select(TABLE.c.asset, TABLE.c.sensitivity, TABLE.c.declassified_because)
    for some in chunks(sorted(inputs)):
        stated = select.where(TABLE.c.organization_id == organization_id, TABLE.c.asset.in_(some))
        for asset, level, reason in connection.execute(stated):
            own[asset] = Sensitivity(level), reason is not None
    found: dict[str, Sensitivity | None] = {asset: own[asset][0] if asset in own else None for asset in inputs}
    changed = True
    while changed:  # until nothing rises, because versions of two assets can be produced from one another
        changed = False
        for asset, sources in inputs.items():
            level, declassified = own.get(asset, (None, False))
            level = level if declassified else highest([found[asset], *(found[source] for source in sources)])
            changed |= level != found[asset]
            found[asset] = level
    return {asset: found[asset] for asset in assets}


def _inputs(connection: Connection, assets: Iterable[str]) -> dict[str, set[str]]:
    """Returns the inputs of these assets and of everything that they were produced from."""
    from lakehouse.lineage import LINEAGE_EDGE

    edge = LINEAGE_EDGE.c
    found: dict[str, set[str]] = {}
    level = set(assets)
    while level:
        found |= {id: set() for id in level}
        for some in chunks(sorted(level)):
            read = sa.select(edge.out_asset, edge.in_asset).where(edge.out_asset.in_(some), edge.in_asset != "")
            for out, source in connection.execute(read.distinct()):
                found[out].add(source)
        level = {source for id in level for source in found[id]} - found.keys()
    return found
