"""Schema snapshots: what a database had at some time."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.sagas.saga import SagaCall
from api.services.connections.connection_tables import SCHEMA_SNAPSHOT as SNAPSHOTS
from api.services.connections.connection_tables import SNAPSHOT_TABLE
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.logic import schema_capture
from api.services.connections.logic.configurations import require_connector
from api.services.connections.logic.opened import require_enabled
from api.services.connections.logic.schema_capture import SchemaCapture
from connectors.connector import Capability
from core.errors import Conflict, InvalidArgument

Text = Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")]
"""A part of a name."""

PageSize = Annotated[int, Field(ge=1, le=1000)]
"""Maximum number of items."""


class SnapshotState(StrEnum):
    """The state of a snapshot. A CAPTURING one is not complete yet."""

    CAPTURING = schema_capture.CAPTURING
    COMPLETE = schema_capture.COMPLETE


class SchemaSnapshot(Model):
    """What a database had at some time: its tables, with columns and keys."""

    id: str
    """Id of the snapshot."""

    project_id: str
    """Id of the project."""

    connection_id: str
    """Id of the connection."""

    state: SnapshotState
    """CAPTURING, or COMPLETE."""

    tables: int
    """Number of tables and views that are captured."""

    created_at: datetime
    """Time at which the capture began."""

    created_by: str
    """Name of the principal that started it."""

    completed_at: datetime | None
    """Time at which it was complete. Null until then."""

    accepted_at: datetime | None
    """Time at which it was accepted as what the database should look like. Null if it wasn't."""

    accepted_by: str | None
    """Name of the principal that accepted it. Null if it wasn't accepted."""


class CaptureSchema(Request):
    """What to capture."""

    schema_name: Text = ""
    """Schema. Empty for all schemas."""


class SnapshotTablesQuery(Query):
    """A page of tables."""

    contains: Text = ""
    """A part of the name of the schema, the table, or a column, in any case."""

    page_size: PageSize = 200
    """Maximum number of tables."""

    page_token: Annotated[str, Field(max_length=600, pattern=r"^[^\x00]*$")] = ""
    """`next_page_token` of the page before. Leave it out for the first page."""


class SnapshotSearch(Query):
    """A name to search for."""

    text: Text = ""
    """A part of the name of a schema, a table, or a column, in any case. By default everything."""

    page_size: PageSize = 100
    """Maximum number of tables."""


class SnapshotColumn(Model):
    """A column of a table."""

    name: str
    """Name."""

    type: str
    """Type, as the database writes it."""

    nullable: bool
    """Whether it can be null."""


class SnapshotTable(Model):
    """A table or view in a snapshot."""

    snapshot_id: str
    """Id of the snapshot."""

    schema_name: str
    """Schema."""

    table_name: str
    """Name."""

    kind: str
    """`table` or `view`."""

    columns: list[SnapshotColumn]
    """Columns."""

    key: list[str]
    """Columns of the primary key."""


class SnapshotTables(Model):
    """Tables of a snapshot."""

    items: list[SnapshotTable]
    """Tables and views, by schema and name."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class FoundTables(Model):
    """Tables of the newest snapshots of connections."""

    items: list[SnapshotTable]
    """Tables and views. `columns` has only the columns that match, or all if the table or schema does."""

    complete: bool
    """Whether these are all."""


SCHEMA_SNAPSHOT = TableKind(
    SchemaSnapshot,
    SNAPSHOTS,
    plural="schema-snapshots",
    prefix="snp",
    filter_by=("connection_id", "state", "accepted_at", "completed_at"),
)


@CONNECTION.action("capture-schema", request=CaptureSchema, long=True)
async def capture_connection_schema(ctx: Context, connection: str, request: CaptureSchema) -> SagaCall[SchemaCapture]:
    """Captures the tables of a database with their columns and keys as a schema snapshot.

    An interrupted capture goes on after the last page. A failed one leaves nothing.
    """

    def plan(unit: Unit) -> SchemaCapture:
        row = unit.row(CONNECTION, connection, permission=CONNECTION.permission("capture-schema"))
        found = require_enabled(CONNECTION.resource(row))
        connector = require_connector(found.spec.connector)
        if Capability.INSPECT not in connector.capabilities:
            raise Conflict(f"{connector.title} has no schema. Use `:discover` to list what it has.")
        ctx.subject, ctx.securable = row.id, row.securable
        return SchemaCapture(connection_id=row.id, schema_name=request.schema_name)

    return schema_capture.SAGA.of(await ctx.read(plan))


@SCHEMA_SNAPSHOT.view("tables", query=SnapshotTablesQuery, result=SnapshotTables)
def get_snapshot_tables(unit: Unit, snapshot: Row, query: SnapshotTablesQuery) -> SnapshotTables:
    """Lists the tables of a snapshot by schema and name."""
    table = SNAPSHOT_TABLE.c
    select = sa.select(SNAPSHOT_TABLE).where(table.snapshot_id == snapshot.id, _matches(query.contains))
    if query.page_token:
        schema, separator, name = query.page_token.partition("\n")
        if not separator:
            raise InvalidArgument("No page had this token. Begin with the first page.")
        select = select.where(sa.tuple_(table.schema_name, table.table_name) > sa.tuple_(schema, name))
    ordered = select.order_by(table.schema_name, table.table_name).limit(query.page_size + 1)
    rows = unit.connection.execute(ordered).all()
    page = rows[: query.page_size]
    token = f"{page[-1].schema_name}\n{page[-1].table_name}" if len(rows) > len(page) else None
    return SnapshotTables(items=[_table(row) for row in page], next_page_token=token)


@SCHEMA_SNAPSHOT.command("accept", request=Request, result=SchemaSnapshot, past="accepted")
def accept_schema_snapshot(unit: Unit, snapshot: Row, request: Request) -> SchemaSnapshot:
    """Accepts a snapshot as what the database should look like. Later snapshots are compared with it."""
    require_complete(snapshot)
    return SCHEMA_SNAPSHOT.change(unit, snapshot, accepted_at=unit.now, accepted_by=unit.principal.name)


@SCHEMA_SNAPSHOT.deletion()
def delete_schema_snapshot(unit: Unit, snapshot: Row) -> None:
    """Deletes a snapshot permanently. Cancel the operation of one that is not complete."""
    require_complete(snapshot)
    schema_capture.delete(unit.connection, snapshot.id)


@SCHEMA_SNAPSHOT.collection_read("search", query=SnapshotSearch, result=FoundTables)
async def search_schema_snapshots(ctx: Context, query: SnapshotSearch) -> FoundTables:
    """Searches the newest complete snapshot of each connection for tables and columns by name."""
    return await ctx.read(lambda unit: _found(unit, query))


def require_complete(snapshot: Row) -> None:
    """Requires a snapshot that has all tables.

    Raises:
        Conflict: it is not complete.
    """
    if snapshot.state != SnapshotState.COMPLETE:
        raise Conflict(f"The snapshot {snapshot.id} is not complete yet. Wait for its operation.")


def _found(unit: Unit, query: SnapshotSearch) -> FoundTables:
    newest = (
        sa.select(sa.func.max(SNAPSHOTS.c.id))
        .where(SCHEMA_SNAPSHOT.visible(unit), SNAPSHOTS.c.state == SnapshotState.COMPLETE)
        .group_by(SNAPSHOTS.c.connection_id)
    )
    table = SNAPSHOT_TABLE.c
    select = sa.select(SNAPSHOT_TABLE).where(table.snapshot_id.in_(newest), _matches(query.text))
    ordered = select.order_by(table.snapshot_id, table.schema_name, table.table_name).limit(query.page_size + 1)
    rows = unit.connection.execute(ordered).all()
    text = query.text.lower()
    items = [_table(row) for row in rows[: query.page_size]]
    for item in items:
        if text not in item.schema_name.lower() and text not in item.table_name.lower():
            item.columns = [one for one in item.columns if text in one.name.lower()]
    return FoundTables(items=items, complete=len(rows) == len(items))


def _matches(text: str) -> Any:
    return SNAPSHOT_TABLE.c.words.contains(text.lower(), autoescape=True) if text else sa.true()


def _table(row: Row) -> SnapshotTable:
    return SnapshotTable(
        snapshot_id=row.snapshot_id,
        schema_name=row.schema_name,
        table_name=row.table_name,
        kind=row.kind,
        columns=[SnapshotColumn.model_validate(one) for one in row.columns],
        key=row.key,
    )
