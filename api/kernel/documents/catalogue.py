"""The catalog of the kinds of a service. A console needs it for lists, forms, and buttons."""

from __future__ import annotations

from typing import Any

from api.kernel.kinds.endpoint import Endpoint, Shape
from api.kernel.kinds.service import Service

_GROUPS = {
    "methods": (Shape.LIST, Shape.GET, Shape.CREATE, Shape.UPDATE, Shape.DELETE),
    "reads": (Shape.COLLECTION_READ,),
    "parts": (Shape.PART, Shape.PART_ITEM),
    "actions": (Shape.ACTION, Shape.COLLECTION_ACTION),
}
"""The groups of shapes. `reads` are operations on the collection, `parts` are operations on the parts of an item."""


def catalogue(service: Service) -> dict[str, Any]:
    """Returns the kinds with their standard methods, reads, parts, and actions. OpenAPI documents have the schemas."""
    kinds = []
    for kind in service.kinds:
        endpoints = [endpoint for endpoint in service.endpoints if endpoint.kind is kind]
        kinds.append(
            {
                "name": kind.name,
                "plural": kind.plural,
                "title": kind.title,
                "description": kind.description,
                "example": kind.example,
                "path": f"/api/v1/{endpoints[0].base}" if endpoints else None,
                "filter_by": list(kind.filter_by),
                "order_by": list(kind.order_by),
                **{
                    group: [_describe(endpoint) for endpoint in endpoints if endpoint.shape in shapes]
                    for group, shapes in _GROUPS.items()
                },
            }
        )
    return {"service": service.slug, "title": service.title, "items": kinds}


def _describe(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "verb": endpoint.verb,
        "method": endpoint.method,
        "path": endpoint.path,
        "operation_id": endpoint.operation_id,
        "permission": endpoint.permission,
        "role": endpoint.role.value,
        "summary": endpoint.summary,
        "long": endpoint.status == 202,
        "query": endpoint.query.__name__ if endpoint.query else None,
        "request": endpoint.request.__name__ if endpoint.request else None,
        "result": endpoint.result.__name__ if endpoint.result else None,
    }
