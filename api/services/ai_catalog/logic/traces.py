"""Traces of an asset: whether it ever produced anything."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from api.kernel.platform import Platform, open_tables


def traces_of(platform: Platform, assets: Sequence[str]) -> list[str]:
    """Returns reasons to keep the definitions of these assets: runs, materializations, tables, versions, lineage, pins.

    An erased table leaves its lineage and the digests of its commits, so it counts. Call it in a worker thread.
    """
    from lakehouse.ledger import COMMIT_DIGEST
    from lakehouse.lineage import LINEAGE_EDGE
    from lakehouse.pins import PIN

    view, tables = platform.orchestrator.view(), platform.part(open_tables)
    traces = []
    for name in assets:
        state = view.states.get(name)
        if state and state.runs_in_progress:
            traces.append(f"run {state.runs_in_progress[0]} is going to produce {name}")
        if (state and state.materialization) or tables.exists(name):
            traces.append(f"{name} was materialized")
    recorded = (
        ("versions of {} are recorded", COMMIT_DIGEST.c.table_name),
        ("there is lineage of {}", LINEAGE_EDGE.c.out_asset),
        ("there is lineage from {}", LINEAGE_EDGE.c.in_asset),
        ("versions of {} are pinned", PIN.c.table_name),
    )
    with platform.database.read() as connection:
        for words, column in recorded:
            recorded_name = connection.execute(sa.select(column).where(column.in_(assets)).limit(1)).scalar()
            if recorded_name is not None:
                traces.append(words.format(recorded_name))
    return traces
