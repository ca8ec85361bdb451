"""Reproductions: versions that were made again from their recorded inputs, with the verdict of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model
from api.kernel.operations.store import FINAL, OperationState
from api.kernel.platform import open_tables
from api.kernel.tables import OPERATION
from api.services.ai_catalog.logic.readable_tables import readable_names, reads_everything
from api.services.ai_catalog.logic.visible_names import one_of
from api.services.ai_catalog.reproduction_tables import REPRODUCED_ASSET
from api.services.ai_catalog.reproduction_tables import REPRODUCTION as TABLE
from core.errors import Conflict
from lakehouse.pins import PIN
from lakehouse.reproductions import Verdict


class FileDigests(Model):
    """Digests of the binary values of a column, such as the ONNX artifact of a model."""

    column: str
    """Name of the column."""

    recorded: list[str]
    """SHA-256 digests in the recorded version."""

    reproduced: list[str]
    """SHA-256 digests in the reproduced version."""


class ReproductionComparison(Model):
    """Figures of the comparison of both versions."""

    recorded_digest: str | None
    """Digest of the compared rows of the recorded version. Null if they can't be digested."""

    reproduced_digest: str | None
    """Digest of the compared rows of the reproduced version."""

    recorded_rows: int
    """Number of compared rows of the recorded version."""

    reproduced_rows: int
    """Number of compared rows of the reproduced version."""

    columns: list[str]
    """Columns in which the versions differ."""

    only_recorded: int | None
    """Number of rows that only the recorded version has. Null if they can't be counted."""

    only_reproduced: int | None
    """Number of rows that only the reproduced version has."""

    files: list[FileDigests]
    """Digests of binary values, if few rows are compared."""


class ReproductionCondition(Model):
    """A condition under which a version is made."""

    recorded: str
    """Value that was recorded with the version."""

    reproduced: str
    """Value when it was made again."""


class Reproduction(Model):
    """A version that was made again in a branch, and the verdict whether both are equal."""

    id: str
    """Id of the reproduction."""

    asset: str
    """Id of the asset."""

    version: str
    """Data version that was made again."""

    operation_id: str
    """Id of the operation that makes it again."""

    state: OperationState
    """State of the operation. SUCCEEDED if there is a verdict. FAILED if its run failed or was lost."""

    verdict: Verdict | None
    """EQUAL, DIFFERENT, or NOT_REPRODUCIBLE. Null until there is one."""

    reason: str | None
    """Explanation of the verdict, or of the failure."""

    comparison: ReproductionComparison | None
    """Figures of the comparison. Null if nothing was compared."""

    conditions: dict[str, ReproductionCondition]
    """Code, commit, packages, engine, and parameters, recorded and reproduced. Empty if no step ran."""

    inputs: dict[str, str]
    """Data version of each input table, and digest of each input file."""

    created_at: datetime
    """Time of the request."""

    created_by: str
    """Principal that requested it. `former-organization` if the project belonged to another organization then."""

    finished_at: datetime | None
    """Time of the verdict."""


class ReproductionKind(TableKind[Reproduction]):
    """Reproductions, visible to those who can read the rows of the asset and of all inputs."""

    def visible(self, unit: Unit) -> sa.ColumnElement[bool]:
        """Returns the condition for the rows that the caller can see."""
        granted = super().visible(unit)
        access = unit.principal.access
        if reads_everything(access):
            return granted
        named = unit.connection.execute(sa.select(REPRODUCED_ASSET.c.asset).distinct()).scalars()
        names = readable_names(unit.platform, access, named)
        readable = one_of(REPRODUCED_ASSET.c.asset, names, unit.connection.dialect.name)
        hidden = sa.exists().where(REPRODUCED_ASSET.c.reproduction_id == TABLE.c.id, ~readable)
        return sa.and_(granted, ~hidden)


def _items(unit: Unit, rows: Sequence[Row]) -> list[Reproduction]:
    ids = [row.operation_id for row in rows]
    found = unit.connection.execute(
        sa.select(OPERATION.c.id, OPERATION.c.state, OPERATION.c.error).where(OPERATION.c.id.in_(ids))
    )
    operations = {row.id: row for row in found}
    return [_item(row, operations.get(row.operation_id)) for row in rows]


def _item(row: Row, operation: Any) -> Reproduction:
    state = OperationState.FAILED if operation is None else OperationState(operation.state)
    if row.verdict is not None:
        state = OperationState.SUCCEEDED
    elif state is OperationState.SUCCEEDED:  # the run ended before its verdict was stored
        state = OperationState.FAILED
    result = row.result or {}
    return Reproduction(
        id=row.id,
        asset=row.asset,
        version=row.version,
        operation_id=row.operation_id,
        state=state,
        verdict=row.verdict,
        reason=row.reason or (operation.error if operation else None),
        comparison=result.get("comparison"),
        conditions=result.get("conditions", {}),
        inputs=row.recorded["inputs"],
        created_at=row.created_at,
        created_by=row.created_by,
        finished_at=row.finished_at,
    )


REPRODUCTION = ReproductionKind(
    Reproduction,
    TABLE,
    plural="reproductions",
    prefix="rep",
    filter_by=("asset", "version", "verdict", "operation_id"),
    items=_items,
)


@REPRODUCTION.deletion()
def delete_reproduction(unit: Unit, reproduction: Row) -> None:
    """Deletes a reproduction, with what a killed run left of it. The asset doesn't change.

    Refused while the reproduction is in progress. Cancel its operation first.
    """
    from lakehouse.branches import remove_area

    state = unit.connection.execute(
        sa.select(OPERATION.c.state).where(OPERATION.c.id == reproduction.operation_id)
    ).scalar()
    if reproduction.verdict is None and state is not None and OperationState(state) not in FINAL:
        raise Conflict(f"{reproduction.id} is in progress. Cancel the operation {reproduction.operation_id} first.")
    storage = unit.platform.part(open_tables).storage
    unit.deferred.append(lambda: remove_area(storage, reproduction.id))
    unit.connection.execute(PIN.delete().where(PIN.c.holder == reproduction.id))
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == reproduction.id))
