"""The capture of a schema: page by page, so that a process that ends loses at most one page."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.models import Request
from api.kernel.platform import Platform
from api.kernel.sagas.saga import ActivityStep, Output, Saga, StepContext, TransactionStep
from api.services.connections.connection_tables import SCHEMA_SNAPSHOT, SNAPSHOT_TABLE
from api.services.connections.logic.opened import opened_by_platform
from connectors import asking
from connectors.connector import Found, Listing, Page
from core import clock
from core.errors import NotFound
from core.ids import new_id

CAPTURING = "CAPTURING"
COMPLETE = "COMPLETE"
_PAGE = 5000
"""Tables that one process of the connector describes."""

_SECONDS = 1800.0


class SchemaCapture(Request):
    """A schema to capture."""

    connection_id: str
    """Id of the connection."""

    schema_name: str
    """Schema. Empty for all."""


def _begin(connection: Connection, step: StepContext[SchemaCapture]) -> Output:
    id = new_id("snp")
    connection.execute(
        SCHEMA_SNAPSHOT.insert().values(
            id=id,
            organization_id=step.organization_id,
            project_id=step.project_id,
            connection_id=step.input.connection_id,
            state=CAPTURING,
            position="",
            tables=0,
            created_at=clock.now(),
            created_by=step.principal,
        )
    )
    return {"schema_snapshot_id": id}


def _forget(connection: Connection, step: StepContext[SchemaCapture]) -> None:
    delete(connection, step.outputs["begin"]["schema_snapshot_id"])


async def _read(step: StepContext[SchemaCapture]) -> Output:
    """Stores page after page, and continues after the last stored one."""
    id = step.outputs["begin"]["schema_snapshot_id"]
    found = await opened_by_platform(step.platform, step.input.connection_id, "capture-schema", step.principal_id)
    below = (step.input.schema_name,) if step.input.schema_name else ()
    position, tables = await step.platform.reads.run(lambda session: _progress(session, id))
    ended = bool(tables and not position)
    while not ended:
        page = await asking.found(found.connector, found.config, found.egress, Listing(below, position, _PAGE))
        await step.platform.workers.write.run(_store, step.platform, id, tables, page)
        position, tables = page.next, tables + len(page.items)
        ended = not position
    return None


def _progress(session: Connection, id: str) -> tuple[str, int]:
    row = session.execute(sa.select(SCHEMA_SNAPSHOT).where(SCHEMA_SNAPSHOT.c.id == id)).first()
    if row is None:
        raise NotFound("The snapshot was deleted.")
    return row.position, row.tables


def _store(platform: Platform, id: str, tables: int, page: Page) -> None:
    """Stores the page after so many tables, unless another process did."""
    with platform.database.write() as session:
        table = SCHEMA_SNAPSHOT.c
        moved = session.execute(
            SCHEMA_SNAPSHOT.update()
            .where(table.id == id, table.tables == tables, table.completed_at.is_(None))
            .values(position=page.next, tables=tables + len(page.items))
        )
        if not moved.rowcount or not page.items:
            return
        place = session.execute(sa.select(table.organization_id, table.project_id).where(table.id == id)).one()
        session.execute(SNAPSHOT_TABLE.insert(), [_row(id, item) | place._asdict() for item in page.items])


def _row(id: str, item: Found) -> dict[str, Any]:
    schema, name = item.path
    content = {"kind": item.kind, "columns": [asdict(one) for one in item.columns], "key": list(item.key)}
    return {
        **content,
        "snapshot_id": id,
        "schema_name": schema,
        "table_name": name,
        "digest": hashlib.sha256(json.dumps(content).encode()).hexdigest(),
        "words": "\n".join([schema, name, *(one.name for one in item.columns)]).lower(),
    }


def _complete(connection: Connection, step: StepContext[SchemaCapture]) -> Output:
    id = step.outputs["begin"]["schema_snapshot_id"]
    values = {"state": COMPLETE, "completed_at": clock.now()}
    connection.execute(SCHEMA_SNAPSHOT.update().where(SCHEMA_SNAPSHOT.c.id == id).values(values))
    return {"schema_snapshot_id": id}


def delete(connection: Connection, id: str) -> None:
    """Removes a snapshot with its tables."""
    connection.execute(SNAPSHOT_TABLE.delete().where(SNAPSHOT_TABLE.c.snapshot_id == id))
    connection.execute(SCHEMA_SNAPSHOT.delete().where(SCHEMA_SNAPSHOT.c.id == id))


SAGA = Saga(
    "connections.connection.capture_schema",
    input=SchemaCapture,
    steps=[
        TransactionStep("begin", _begin, undo=_forget),
        ActivityStep("read", _read, timeout_seconds=_SECONDS),
        TransactionStep("complete", _complete),
    ],
)
