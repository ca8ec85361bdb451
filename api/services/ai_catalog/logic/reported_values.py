"""What runs and checks report of an asset, as far as a caller can read the rows that it may come from."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from api.kernel.kinds.context import Context
from api.kernel.models import Model
from api.services.ai_catalog.logic.asset_resource import is_without_values
from api.services.ai_catalog.logic.readable_tables import readable_names
from core.ports import AssetNode
from core.reports import ReportedValue, ValueForm


class Reported(Model):
    """A value that a run or a check reported."""

    name: str
    """Name of the value."""

    form: ValueForm
    """TEXT, NUMBER, BOOLEAN, URL, MARKDOWN, TABLE, or JSON. MARKDOWN can contain images as data URLs."""

    value: JsonValue
    """The value. A TABLE is a list of objects."""


async def reads_values(ctx: Context, node: AssetNode) -> bool:
    """Returns whether the caller can read all rows of an asset, and of those that its checks compare it with."""
    needed = {node.id, *node.compared_with}
    return needed <= await ctx.compute(readable_names, ctx.platform, ctx.principal.access, needed)


def visible(values: Sequence[ReportedValue], *, readable: bool) -> list[Reported]:
    """Returns the values that a caller gets. Without the right to the rows, those that contain none of them."""
    return [
        Reported(name=one.name, form=one.form, value=one.value)
        for one in values
        if readable or is_without_values(one.name)
    ]
