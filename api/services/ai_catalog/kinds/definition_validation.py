"""Validation of definitions: whether they can be published, and what their next run changes."""

from __future__ import annotations

from typing import Any, Literal

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Request
from api.services.ai_catalog.kinds.definition import DEFINITION
from api.services.ai_catalog.logic import drafts
from api.services.ai_catalog.logic.publisher_access import publisher_of, readable_to_caller
from core.publisher import Candidate


class TableChange(Model):
    """A column of an existing table that differs from its declaration, and the effect of that."""

    table: str
    """Id of the table."""

    column: str
    """Name of the column."""

    effect: Literal["ADDED", "WIDENED", "KEPT", "UNUSED"]
    """ADDED: earlier rows get null. WIDENED: all rows are rewritten once. KEPT: the table has a wider type. UNUSED: the
    column stays, and new rows get null."""

    detail: str
    """The effect as a sentence."""

    pointer: str
    """JSON pointer to the declaration."""


class NotChecked(Model):
    """An attribute that could not be compared with existing tables."""

    pointer: str
    """JSON pointer to the attribute."""

    reason: str
    """Why it could not be compared."""


class Validation(Model):
    """Result of a validation."""

    publishable: bool
    """Whether the definition can be published."""

    errors: list[dict[str, Any]]
    """Faults, with JSON pointers and explanations."""

    assets: list[str]
    """Ids of the assets that it makes. Empty if there are faults."""

    reads: list[str]
    """Ids of the assets that it reads, and connections as `connection:<project>:<id or name>`. Empty if there are
    faults."""

    changes: list[TableChange]
    """Changes that its next run makes to columns of existing tables."""

    not_checked: list[NotChecked]
    """Attributes that can't be checked before a run: an input was never materialized, files are read by the run, or the
    Spark engine is not the embedded one. A run can fail on these although the definition is publishable."""


@DEFINITION.action("validate", request=Request, result=Validation, reads=True)
async def validate_definition(ctx: Context, definition: str, request: Request) -> Validation:
    """Builds a definition together with everything that is published, separately from the running platform."""
    draft = await ctx.query(drafts.get, definition)
    candidate = Candidate(draft.asset_id, draft.component, draft.attributes)
    verdict = await publisher_of(ctx).validate(candidate, readable=readable_to_caller(ctx))
    return Validation(
        publishable=not verdict.errors,
        errors=[dict(fault) for fault in verdict.errors],
        assets=sorted(verdict.code_versions),
        reads=sorted(verdict.reads),
        changes=[TableChange(**change) for change in verdict.changes],
        not_checked=[NotChecked(**item) for item in verdict.not_checked],
    )
