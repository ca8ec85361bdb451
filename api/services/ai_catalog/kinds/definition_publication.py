"""Publication of definitions: a definition becomes an asset of Dagster, is retired, and is published again."""

from __future__ import annotations

from api.kernel.kinds import standard
from api.kernel.kinds.context import Context
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.services.ai_catalog.kinds.definition import DEFINITION, Definition, definition_of, matching
from api.services.ai_catalog.kinds.pipeline import PIPELINE
from api.services.ai_catalog.logic import drafts
from api.services.ai_catalog.logic.publisher_access import publisher_of, readable_to_caller
from core.publisher import PublishRequest, RetireRequest


class ReinstateDefinition(Request):
    """How to reinstate a definition."""

    edited: bool = False
    """Whether to publish the attributes with later changes, instead of those that ran before it was retired."""


@DEFINITION.action(
    "publish",
    request=Request,
    result=Definition,
    past="published",
    timeout_seconds=180,
    outside=True,
    versioned=True,
)
async def publish_definition(ctx: Context, definition: str, request: Request) -> Definition:
    """Makes a definition an asset, and returns when the asset is visible. If that fails, nothing changes."""
    draft = await matching(ctx, definition)
    await publisher_of(ctx).publish(_publish_request(ctx, draft))
    return definition_of(await ctx.query(drafts.get, definition))


@DEFINITION.action("retire", request=Request, result=Definition, timeout_seconds=180, outside=True, versioned=True)
async def retire_definition(ctx: Context, definition: str, request: Request) -> Definition:
    """Removes the assets of a definition from automation and lists. Their versions, lineage, and history stay readable.

    Refused while something published needs one of the assets, such as a pipeline. The error names what the caller can
    see of that, and counts the others. Runs that are planned already continue.
    """
    await matching(ctx, definition)
    view, pipelines = ctx.view(), await ctx.read(_visible_pipelines)

    def visible(name: str) -> bool:
        return name in view.nodes or name in view.schedules or name in view.sensors or name in pipelines

    await publisher_of(ctx).retire(RetireRequest(definition, ctx.principal.name, ctx.request_id, visible))
    return definition_of(await ctx.query(drafts.get, definition))


@DEFINITION.action(
    "reinstate", request=ReinstateDefinition, result=Definition, timeout_seconds=180, outside=True, versioned=True
)
async def reinstate_definition(ctx: Context, definition: str, request: ReinstateDefinition) -> Definition:
    """Publishes a retired definition again, with the checks of `:publish` and under the caller's rights.

    Its assets continue the versions of their tables. From then on, the caller is their publisher.
    """
    draft = await matching(ctx, definition)
    await publisher_of(ctx).reinstate(_publish_request(ctx, draft), edited=request.edited)
    return definition_of(await ctx.query(drafts.get, definition))


def _visible_pipelines(unit: Unit) -> set[str]:
    return {row.id for row in unit.connection.execute(standard.visible(unit, PIPELINE))}


def _publish_request(ctx: Context, draft: drafts.Draft) -> PublishRequest:
    return PublishRequest(
        draft.asset_id,
        ctx.principal.name,
        ctx.principal.id,
        ctx.request_id,
        readable_to_caller(ctx),
        # The publisher waits for its lease, and the definition can change in the meantime.
        revision=draft.revision if ctx.if_match else None,
    )
