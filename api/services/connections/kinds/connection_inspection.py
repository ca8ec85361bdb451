"""Inspection: what the database behind a connection has, and what its tables look like. No operation returns rows."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.logic.opened import opened
from connectors import asking
from connectors.connector import Capability
from core.errors import Conflict

TIMEOUT_SECONDS = 90

ObjectName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]+$")]
"""Name of a schema, table, or column, as the database writes it."""

M = TypeVar("M", bound=Model)


class TablesRequest(Request):
    """Tables to list."""

    schema_name: ObjectName
    """Schema."""

    page_size: Annotated[int, Field(ge=1, le=5000)] = 200
    """Maximum number of tables."""

    page_token: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")] = ""
    """`next_page_token` of the page before. Leave it out for the first page."""


class TableRequest(Request):
    """A table or view."""

    schema_name: ObjectName
    """Schema."""

    table_name: ObjectName
    """Name."""


class RemoteDatabase(Model):
    """A database of a server."""

    name: str
    """Name."""

    current: bool
    """Whether the connection leads to it."""


class RemoteDatabases(Model):
    """Databases of a server."""

    items: list[RemoteDatabase]
    """Databases that the login may connect to, by name."""


class RemoteSchema(Model):
    """A schema."""

    name: str
    """Name."""


class RemoteSchemas(Model):
    """Schemas of a database."""

    items: list[RemoteSchema]
    """Schemas, by name, without those of the database system."""


class RemoteTable(Model):
    """A table or view."""

    schema_name: str
    """Schema."""

    table_name: str
    """Name."""

    kind: str
    """`table` or `view`."""


class RemoteTables(Model):
    """A page of tables."""

    items: list[RemoteTable]
    """Tables and views, by name."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class RemoteColumn(Model):
    """A column of a table."""

    name: str
    """Name."""

    type: str
    """Type, as the database writes it."""

    nullable: bool
    """Whether it can be null."""

    default: str
    """Expression of its default. Empty if it has none."""

    comment: str
    """Its comment in the database. Empty if it has none."""


class RemoteColumns(Model):
    """Columns of a table."""

    items: list[RemoteColumn]
    """Columns in their order."""


class ForeignKey(Model):
    """Columns that refer to another table."""

    name: str
    """Name of the constraint."""

    columns: list[str]
    """Columns."""

    schema_name: str
    """Schema of the other table."""

    table_name: str
    """Name of the other table."""

    referred_columns: list[str]
    """Columns of the other table."""


class UniqueColumns(Model):
    """Columns whose values are unique together."""

    name: str
    """Name of the constraint."""

    columns: list[str]
    """Columns."""


class CheckConstraint(Model):
    """A condition that each row meets."""

    name: str
    """Name of the constraint."""

    condition: str
    """Condition in SQL."""


class TableIndex(Model):
    """An index."""

    name: str
    """Name."""

    columns: list[str]
    """Columns. Empty texts stand for expressions."""

    unique: bool
    """Whether it refuses equal rows."""


class TableDescription(Model):
    """Keys, constraints, and indexes of a table."""

    kind: str
    """`table` or `view`."""

    comment: str
    """Its comment in the database. Empty if it has none."""

    primary_key: list[str]
    """Columns of the primary key."""

    foreign_keys: list[ForeignKey]
    """Foreign keys."""

    unique: list[UniqueColumns]
    """Unique constraints."""

    checks: list[CheckConstraint]
    """Check constraints."""

    indexes: list[TableIndex]
    """Indexes."""


@CONNECTION.action(
    "databases", request=Request, result=RemoteDatabases, reads=True, role=Role.EDITOR, timeout_seconds=TIMEOUT_SECONDS
)
async def list_remote_databases(ctx: Context, connection: str, request: Request) -> RemoteDatabases:
    """Lists the databases of the server that the login of a connection may connect to."""
    return await asked(ctx, connection, "databases", RemoteDatabases)


@CONNECTION.action(
    "schemas", request=Request, result=RemoteSchemas, reads=True, role=Role.EDITOR, timeout_seconds=TIMEOUT_SECONDS
)
async def list_remote_schemas(ctx: Context, connection: str, request: Request) -> RemoteSchemas:
    """Lists the schemas of a database, without those of the database system."""
    return await asked(ctx, connection, "schemas", RemoteSchemas)


@CONNECTION.action(
    "tables", request=TablesRequest, result=RemoteTables, reads=True, role=Role.EDITOR, timeout_seconds=TIMEOUT_SECONDS
)
async def list_remote_tables(ctx: Context, connection: str, request: TablesRequest) -> RemoteTables:
    """Lists the tables and views of a schema by name."""
    page = {"after": request.page_token, "limit": request.page_size}
    return await asked(ctx, connection, "tables", RemoteTables, schema=request.schema_name, **page)


@CONNECTION.action(
    "columns",
    request=TableRequest,
    result=RemoteColumns,
    reads=True,
    role=Role.EDITOR,
    timeout_seconds=TIMEOUT_SECONDS,
)
async def list_remote_columns(ctx: Context, connection: str, request: TableRequest) -> RemoteColumns:
    """Lists the columns of a table or view with their types, defaults, and comments."""
    return await asked(ctx, connection, "columns", RemoteColumns, **table_of(request))


@CONNECTION.action(
    "describe",
    request=TableRequest,
    result=TableDescription,
    reads=True,
    role=Role.EDITOR,
    timeout_seconds=TIMEOUT_SECONDS,
)
async def describe_remote_table(ctx: Context, connection: str, request: TableRequest) -> TableDescription:
    """Returns the keys, constraints, and indexes of a table or view."""
    return await asked(ctx, connection, "describe", TableDescription, **table_of(request))


def table_of(request: TableRequest) -> dict[str, str]:
    """Returns the arguments of a question about a table."""
    return {"schema": request.schema_name, "table": request.table_name}


async def asked(ctx: Context, connection: str, question: str, result: type[M], **arguments: Any) -> M:
    """Returns the answer to a question that has the name of its permission.

    Raises:
        Conflict: the system refused, or its connector answers no questions.
    """
    found = await opened(ctx, connection, question)
    if Capability.INSPECT not in found.connector.capabilities:
        raise Conflict(f"{found.connector.title} can't be asked this. Use `:discover` to list what it has.")
    answer = await asking.inspected(found.connector, found.config, found.egress, question, arguments)
    return result.model_validate(answer)
