"""Tests of connections: named steps, each with a deadline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.placement import scope_of_new
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.references import Project
from api.kernel.roles import Role
from api.services.connections.connection_tables import CONNECTION_TEST
from api.services.connections.kinds.connection import CONNECTION, Connection, SecretReferences, require_use
from api.services.connections.kinds.secret import SecretValue
from api.services.connections.logic.configurations import FieldName, checked
from api.services.connections.logic.opened import note_use, opened, used_secrets
from connectors import asking
from connectors.egress_policies import egress_of
from core.ids import new_id

_MAX_TESTS = 100
"""Number of tests of a connection that are stored."""


class StepState(StrEnum):
    """The outcome of a step. SKIPPED: an earlier step failed."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


class StepResult(Model):
    """The outcome of a step."""

    name: str
    """Name of the step."""

    title: str
    """What it does."""

    state: StepState
    """PASSED, FAILED, or SKIPPED."""

    reason: str
    """Constant that says why it failed, such as `WRONG_CREDENTIAL`. Empty if it didn't fail."""

    detail: str
    """What it found, or what to do. It contains no secret."""

    milliseconds: int | None
    """Time that it took. Null if it did not end."""


class ConnectionTestResult(Model):
    """The outcome of a test."""

    passed: bool
    """Whether all steps passed."""

    steps: list[StepResult]
    """Steps in order."""


class StoredTest(Model):
    """The outcome of a former test."""

    id: str
    """Id of the test."""

    at: datetime
    """Time of the test."""

    by: str
    """Name of the principal that started it."""

    passed: bool
    """Whether all steps passed."""

    steps: list[StepResult]
    """Steps in order."""


class StoredTests(Model):
    """Former tests of a connection."""

    items: list[StoredTest]
    """Tests, last to first. At most the last 100."""


class DraftTest(Request):
    """A connection to test before it exists."""

    project_id: Project
    """Id of the project that it would belong to."""

    connector: Annotated[str, Field(max_length=64)]
    """Name of the connector type."""

    config: dict[str, Any] = {}
    """Configuration, without secrets."""

    secrets: SecretReferences = {}
    """Ids of secrets of the project, by the field of the configuration that they set."""

    values: Annotated[dict[FieldName, SecretValue], Field(max_length=20)] = {}
    """Values of further secrets, by field. They are not stored."""


@CONNECTION.action(
    "test", request=Request, result=ConnectionTestResult, outside=True, timeout_seconds=90, past="tested"
)
async def run_connection_test(ctx: Context, connection: str, request: Request) -> ConnectionTestResult:
    """Tests a connection step by step: name, port, login, and reading. The first step that fails ends the test."""
    found = await opened(ctx, connection, "test")
    result = test_result(await asking.test(found.connector, found.config, found.egress))

    def keep(unit: Unit) -> ConnectionTestResult:
        row = unit.row(CONNECTION, found.connection.id, permission=CONNECTION.permission("test"))
        unit.subject(row)
        unit.call.note(passed=result.passed)
        unit.connection.execute(
            CONNECTION_TEST.insert().values(
                id=new_id("cnt"),
                organization_id=row.organization_id,
                project_id=row.project_id,
                connection_id=row.id,
                at=unit.now,
                by=unit.principal.name,
                passed=result.passed,
                steps=[step.model_dump(mode="json") for step in result.steps],
            )
        )
        _forget_old(unit, row.id)
        return result

    return await ctx.write(keep)


@CONNECTION.collection_action(
    "test-draft", request=DraftTest, result=ConnectionTestResult, reads=True, role=Role.EDITOR
)
async def run_connection_draft_test(ctx: Context, request: DraftTest) -> ConnectionTestResult:
    """Tests a connection that does not exist yet. Nothing is stored, except that the secrets were used."""

    def read(unit: Unit) -> Any:
        scope = scope_of_new(unit, CONNECTION, None, request.project_id)
        unit.require(CONNECTION.permission("create"), scope)
        unit.require(CONNECTION.permission("test-draft"), scope)
        connector = checked(request.connector, request.config, [*request.secrets, *request.values], at="/config")
        require_use(unit, request.secrets, str(scope.project_id), at="/secrets")
        used = used_secrets(unit, request.secrets)
        values = {one.field: one.value for one in used} | request.values
        place = str(scope.organization_id), str(scope.project_id)
        rules = egress_of(unit.connection, unit.platform.settings, *place)
        return connector, connector.config.completed(request.config, values), rules, used

    connector, config, rules, used = await ctx.read(read)
    await note_use(ctx, used, "", "test-draft")
    return test_result(await asking.test(connector, config, rules))


@CONNECTION.view("tests", query=Query, result=StoredTests)
def get_connection_tests(unit: Unit, connection: Connection, query: Query) -> StoredTests:
    """Lists the former tests of a connection, last to first."""
    select = sa.select(CONNECTION_TEST).where(CONNECTION_TEST.c.connection_id == connection.id)
    rows = unit.connection.execute(select.order_by(CONNECTION_TEST.c.id.desc()).limit(_MAX_TESTS))
    return StoredTests(
        items=[
            StoredTest(
                id=row.id,
                at=row.at,
                by=row.by,
                passed=row.passed,
                steps=[StepResult.model_validate(step) for step in row.steps],
            )
            for row in rows
        ]
    )


def test_result(outcomes: Sequence[asking.StepOutcome]) -> ConnectionTestResult:
    """Returns the outcome of a test as callers see it."""
    steps = [
        StepResult(
            name=one.name,
            title=one.title,
            state=StepState(one.state),
            reason=one.reason,
            detail=one.detail,
            milliseconds=one.milliseconds,
        )
        for one in outcomes
    ]
    return ConnectionTestResult(passed=all(step.state is StepState.PASSED for step in steps), steps=steps)


def _forget_old(unit: Unit, connection_id: str) -> None:
    of_connection = CONNECTION_TEST.c.connection_id == connection_id
    newest = sa.select(CONNECTION_TEST.c.id).where(of_connection).order_by(CONNECTION_TEST.c.id.desc())
    oldest_kept = unit.connection.execute(newest.limit(1).offset(_MAX_TESTS - 1)).scalar()
    if oldest_kept is not None:
        unit.connection.execute(CONNECTION_TEST.delete().where(of_connection, CONNECTION_TEST.c.id < oldest_kept))
