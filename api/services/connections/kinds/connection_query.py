"""Rows of the database behind a connection: a sample of a table, and the result of a statement that only reads."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.services.connections.kinds.connection import CONNECTION
from api.services.connections.kinds.connection_inspection import TIMEOUT_SECONDS, TableRequest, asked, table_of

_MAX_ROWS = 1000
_SAMPLE_SECONDS = 20

Statement = Annotated[str, Field(min_length=1, max_length=50_000, pattern=r"^[^\x00]+$", examples=["SELECT 1"])]
"""One statement that only reads, in the dialect of the database."""

Rows = Annotated[int, Field(ge=1, le=_MAX_ROWS)]
"""Maximum number of rows."""

Seconds = Annotated[int, Field(ge=1, le=30)]
"""Seconds after which the database ends the statement."""


class SampleRequest(TableRequest):
    """Rows to read."""

    rows: Rows = 20
    """Maximum number of rows."""


class QueryRequest(Request):
    """A statement to run."""

    sql: Statement
    """One `SELECT`, `VALUES`, or `TABLE` statement. Functions with side effects are refused."""

    rows: Rows = 100
    """Maximum number of rows."""

    timeout_seconds: Seconds = 10
    """Seconds after which the database ends the statement."""


class ExplainRequest(Request):
    """A statement to plan."""

    sql: Statement
    """One `SELECT`, `VALUES`, or `TABLE` statement. It does not run."""


class ResultColumn(Model):
    """A column of a result."""

    name: str
    """Name."""

    type: str
    """Type, as the database writes it."""


class RemoteRows(Model):
    """Rows of another system."""

    columns: list[ResultColumn]
    """Columns."""

    rows: list[list[str | None]]
    """Rows. Each value is the text that the database writes for it, so that none loses precision."""

    complete: bool
    """Whether these are all rows. False if there are more, or they have more than 4 MiB."""


class QueryPlan(Model):
    """Plan of a statement."""

    plan: str
    """Plan, as the database writes it."""


@CONNECTION.action(
    "sample", request=SampleRequest, result=RemoteRows, reads=True, role=Role.EDITOR, timeout_seconds=TIMEOUT_SECONDS
)
async def sample_remote_table(ctx: Context, connection: str, request: SampleRequest) -> RemoteRows:
    """Returns the rows of a table that the database reads first."""
    limits = {"rows": request.rows, "seconds": _SAMPLE_SECONDS}
    return await asked(ctx, connection, "sample", RemoteRows, **table_of(request), **limits)


@CONNECTION.action(
    "query", request=QueryRequest, result=RemoteRows, reads=True, role=Role.EDITOR, timeout_seconds=TIMEOUT_SECONDS
)
async def query_remote_database(ctx: Context, connection: str, request: QueryRequest) -> RemoteRows:
    """Returns the rows of one statement, which runs in a transaction that only reads.

    Changes, several statements, comments, and functions with side effects are refused.
    """
    limits = {"rows": request.rows, "seconds": request.timeout_seconds}
    return await asked(ctx, connection, "query", RemoteRows, sql=request.sql, **limits)


@CONNECTION.action(
    "explain", request=ExplainRequest, result=QueryPlan, reads=True, role=Role.EDITOR, timeout_seconds=TIMEOUT_SECONDS
)
async def explain_remote_statement(ctx: Context, connection: str, request: ExplainRequest) -> QueryPlan:
    """Returns how the database would run a statement, without running it."""
    return await asked(ctx, connection, "explain", QueryPlan, sql=request.sql)
