"""The difference between two schema snapshots, and which assets it breaks."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.permissions.projects import Projects
from api.services.ai_catalog.logic.impact import Certainty
from api.services.connections.connection_tables import SCHEMA_SNAPSHOT as SNAPSHOTS
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.schema_snapshot import SCHEMA_SNAPSHOT, SnapshotState, require_complete
from api.services.connections.logic.affected_assets import Affected, Origin, affected, declared_readers
from api.services.connections.logic.schema_changes import Change, ChangeKind, changes
from core.errors import Conflict

_MAX_CHANGES = 5000


class DiffQuery(Query):
    """What to compare with."""

    against: Annotated[str, Field(max_length=64)] = ""
    """Id of an earlier snapshot of the same connection. By default the last accepted one, or else the one before."""


class SchemaChange(Model):
    """A difference."""

    schema_name: str
    """Schema."""

    table_name: str
    """Table or view."""

    kind: ChangeKind
    """What changed."""

    column: str
    """Column. Empty if the table changed as a whole."""

    before: str
    """Type, kind, or key before. Empty if there was none."""

    after: str
    """Type, kind, or key after. Empty if there is none."""

    breaking: bool
    """Whether it can break what reads the table."""


class ChangedAsset(Model):
    """An asset that a change can break."""

    asset: str
    """Id of the asset."""

    schema_name: str
    """Schema of the table that changed."""

    table_name: str
    """Table that changed."""

    column: str
    """Column that changed. Empty if the table was removed."""

    kind: ChangeKind
    """What changed."""

    certainty: Certainty
    """EXACT if it's known that the asset reads what changed. ASSUMED if it isn't recorded what it reads."""

    distance: int
    """Number of reads from the remote table."""

    lost_columns: list[str] | None
    """Columns of the asset that are computed from the column. Null if they are unknown, or if the table was removed."""


class SchemaDiff(Model):
    """What changed between two snapshots, and what it breaks."""

    before_id: str
    """Id of the earlier snapshot."""

    after_id: str
    """Id of the later snapshot."""

    changes: list[SchemaChange]
    """Differences, by table. At most 5,000."""

    assets: list[ChangedAsset]
    """Assets that the caller can see and that the changes can break, nearest first for each change."""

    truncated: bool
    """Whether something was left out."""


@SCHEMA_SNAPSHOT.part("diff", query=DiffQuery, result=SchemaDiff)
async def get_schema_snapshot_diff(ctx: Context, schema_snapshot: str, query: DiffQuery) -> SchemaDiff:
    """Returns what changed since an earlier snapshot, and which assets and columns of the platform that breaks."""

    def compare(unit: Unit) -> tuple[str, str, list[Change], Origin | None, dict[tuple[str, str] | None, list[str]]]:
        after = SCHEMA_SNAPSHOT.row(unit, schema_snapshot, "diff")
        require_complete(after)
        before = SCHEMA_SNAPSHOT.row(unit, query.against or _baseline(unit, after), "diff")
        require_complete(before)
        if before.connection_id != after.connection_id:
            raise Conflict("The snapshots are of different connections. Compare two of the same connection.")
        row = unit.find(CONNECTION, after.connection_id)
        project = unit.platform.part(Projects).name_of(after.project_id)
        origin = Origin(project, row.id, row.name) if row and project else None
        readers = declared_readers(unit.connection, origin) if origin else {}
        return before.id, after.id, changes(unit.connection, before.id, after.id), origin, readers

    before, after, found, origin, readers = await ctx.read(compare)
    assets: list[Affected] = []
    truncated = False
    if origin:
        assets, truncated = await ctx.compute(affected, ctx, ctx.view(), origin, readers, found)
    return SchemaDiff(
        before_id=before,
        after_id=after,
        changes=[
            SchemaChange(
                schema_name=one.table[0],
                table_name=one.table[1],
                kind=one.kind,
                column=one.column,
                before=one.before,
                after=one.after,
                breaking=one.breaking,
            )
            for one in found[:_MAX_CHANGES]
        ],
        assets=[_asset(one) for one in assets],
        truncated=truncated or len(found) > _MAX_CHANGES,
    )


def _asset(one: Affected) -> ChangedAsset:
    schema, table = one.change.table
    return ChangedAsset(
        asset=one.reach.asset,
        schema_name=schema,
        table_name=table,
        column=one.change.column,
        kind=one.change.kind,
        certainty=one.reach.certainty,
        distance=len(one.reach.path) - 1,
        lost_columns=None if one.reach.columns is None else sorted(one.reach.columns),
    )


def _baseline(unit: Unit, after: Row) -> str:
    """Returns the last accepted snapshot before this one, or else the one before.

    Raises:
        Conflict: there is none.
    """
    table = SNAPSHOTS.c
    earlier = sa.select(table.id).where(
        table.connection_id == after.connection_id, table.id < after.id, table.state == SnapshotState.COMPLETE
    )
    accepted = earlier.where(table.accepted_at.is_not(None))
    for select in (accepted, earlier):
        id = unit.connection.execute(select.order_by(table.id.desc()).limit(1)).scalar()
        if id is not None:
            return str(id)
    raise Conflict("There is no earlier snapshot of this connection to compare with. Capture another one later.")
