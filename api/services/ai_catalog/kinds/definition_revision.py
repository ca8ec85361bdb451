"""Revisions of a definition that were published."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.definition import DEFINITION
from api.services.ai_catalog.logic import drafts
from core import definition_revisions


class DefinitionRevision(Model):
    """A revision of a definition that was published."""

    revision: int
    """Number of the revision."""

    component: str
    """Public component class."""

    attributes: dict[str, Any]
    """Attributes of the component."""

    code_versions: dict[str, str]
    """Code version of each asset that it produces, as the lineage of its versions has it. Empty if not recorded."""

    published_at: datetime
    """Time of its first publication."""

    published_by: str
    """Name of the principal that published it first."""


class DefinitionRevisions(Model):
    """Revisions of a definition that were published."""

    revisions: list[DefinitionRevision]
    """The revisions, newest first."""

    truncated: bool
    """Whether there are older ones. Pass the number of the oldest as `before` to get them."""


class DefinitionRevisionsQuery(Query):
    """Selection of revisions."""

    before: int | None = None
    """Number of a revision. Only earlier ones are returned."""


_PAGE = 20


@DEFINITION.part("revisions", query=DefinitionRevisionsQuery, result=DefinitionRevisions)
async def get_definition_revisions(
    ctx: Context, definition: str, query: DefinitionRevisionsQuery
) -> DefinitionRevisions:
    """Returns the revisions of a definition that were published. A branch can run each of them."""
    await ctx.query(drafts.get, definition)
    rows = await ctx.query(definition_revisions.newest, definition, query.before, _PAGE + 1)
    return DefinitionRevisions(
        revisions=[
            DefinitionRevision(
                revision=row.revision,
                component=row.component,
                attributes=row.attributes,
                code_versions={name: version for name, version in row.code_versions.items() if version},
                published_at=row.published_at,
                published_by=row.published_by,
            )
            for row in rows[:_PAGE]
        ],
        truncated=len(rows) > _PAGE,
    )
