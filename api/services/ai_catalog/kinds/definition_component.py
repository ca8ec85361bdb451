"""The components that definitions can name, with the schemas of their attributes."""

from __future__ import annotations

from typing import Any

from api.kernel.kinds.context import Context
from api.kernel.models import Model, Query
from api.services.ai_catalog.kinds.definition import DEFINITION
from api.services.ai_catalog.logic.publisher_access import publisher_of


class DefinitionComponent(Model):
    """A component that a definition can name."""

    name: str
    """Name, which is the `component` of a definition."""

    description: str
    """What it makes."""

    attributes: dict[str, Any]
    """JSON Schema of the attributes of a definition. Validation also compares the attributes with existing tables."""


class DefinitionComponents(Model):
    """The components that definitions can name."""

    items: list[DefinitionComponent]
    """The components."""


@DEFINITION.collection_read("components", query=Query, result=DefinitionComponents)
async def read_definition_components(ctx: Context, query: Query) -> DefinitionComponents:
    """Returns the components that a definition can name, each with the JSON Schema of its attributes."""
    return DefinitionComponents(
        items=[
            DefinitionComponent(name=one.name, description=one.description, attributes=dict(one.schema))
            for one in await publisher_of(ctx).components()
        ]
    )
