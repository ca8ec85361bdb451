"""The traces that a request of MLflow names. Its ids are unique in a project only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.protocols.mlflow.call import MlflowCall, project_of
from api.services.ai_catalog.kinds.trace import TRACE
from api.services.ai_catalog.trace_tables import TRACE as TABLE
from core.errors import InvalidArgument, NotFound

_PREFIX = "tr-"
_MAX_IDS = 1000


def uri_of(otel_id: str) -> str:
    """Returns MLflow's id of a trace."""
    return f"{_PREFIX}{otel_id}"


def trace_row(unit: Unit, call: MlflowCall, id: str) -> Row:
    """Returns the trace with this id of MLflow in the workspace, or the only one that the caller can see.

    Raises:
        NotFound: there is none that the caller can see.
        InvalidArgument: the client chose no workspace, and several projects have such a trace.
    """
    rows = found(unit, call, [id])
    if not rows:
        raise NotFound(f"Trace with ID {id[:64]!r} not found.")
    return rows[0]


def found(unit: Unit, call: MlflowCall, ids: Sequence[Any]) -> Sequence[Row]:
    """Returns the traces with these ids of MLflow that the caller can see, in the order of the ids.

    Raises:
        InvalidArgument: there are too many ids, or several projects have a trace with one of them.
    """
    if len(ids) > _MAX_IDS:
        raise InvalidArgument(f"A request names at most {_MAX_IDS:,} traces.")
    wanted = [id.removeprefix(_PREFIX) for id in ids if isinstance(id, str)]
    select = sa.select(TABLE).where(TABLE.c.otel_id.in_(wanted), TRACE.visible(unit), TRACE.present())
    if call.workspace:
        select = select.where(TABLE.c.project_id == project_of(unit, call.workspace))
    rows: dict[str, Row] = {}
    for row in unit.connection.execute(select):
        if row.otel_id in rows:
            raise InvalidArgument(
                f"Several projects have a trace {uri_of(row.otel_id)}. Choose one: set MLFLOW_WORKSPACE."
            )
        rows[row.otel_id] = row
    return [rows[id] for id in dict.fromkeys(wanted) if id in rows]
