"""One request at a time: two requests that start the same do not both start it."""

from __future__ import annotations

import sqlalchemy as sa

from api.kernel.kinds.unit import Unit
from api.kernel.operations.store import FINAL
from api.kernel.tables import OPERATION
from core.errors import Conflict
from core.pipelines import PUBLISHED_PIPELINE


def require_no_other(unit: Unit, pipeline: str, *, subject: str) -> None:
    """Refuses to start what an operation that has not ended has started. Requests for one pipeline wait for each other.

    Args:
        unit: the transaction that stores the operation.
        pipeline: id of the pipeline.
        subject: what is started: the pipeline, or a run that is retried.

    Raises:
        Conflict: such an operation has not ended.
    """
    unit.connection.execute(
        sa.select(PUBLISHED_PIPELINE.c.id).where(PUBLISHED_PIPELINE.c.id == pipeline).with_for_update()
    )
    open_ones = sa.select(OPERATION.c.id).where(
        OPERATION.c.subject == subject, OPERATION.c.state.not_in([state.value for state in FINAL])
    )
    if other := unit.connection.execute(open_ones.limit(1)).scalar():
        raise Conflict(f"The operation {other} is in progress. Wait until it ends, or cancel it.")
