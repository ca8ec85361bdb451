"""What the suite knows of every operation: how to address it, and a body that it accepts."""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import BaseModel

from api.kernel.kinds.endpoint import Endpoint
from api.kernel.kinds.noun import Noun
from api.kernel.kinds.registry import Registry
from api.kernel.kinds.resource_kind import ResourceKind
from api.main import SERVICES
from tests.conformance.examples import BODIES, ROWS

REGISTRY = Registry(SERVICES)
ENDPOINTS = REGISTRY.endpoints
GUARDED = [endpoint for endpoint in ENDPOINTS if not endpoint.public]
_KINDS = {endpoint.kind.full_name: endpoint.kind for endpoint in ENDPOINTS}
STORED: list[ResourceKind[Any]] = [kind for kind in _KINDS.values() if isinstance(kind, ResourceKind)]
"""Every kind whose things the platform stores."""


def _complete(annotation: Any, seen: set[Any]) -> None:
    """Completes a model and the models in it: until then, a field whose type is declared below it has none."""
    if annotation in seen:
        return
    seen.add(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        annotation.model_rebuild()
        for field in annotation.model_fields.values():
            _complete(field.annotation, seen)
    for part in get_args(annotation):
        if not isinstance(part, str | int):
            _complete(part, seen)


_SEEN: set[Any] = set()
for _endpoint in ENDPOINTS:
    for _model in (_endpoint.query, _endpoint.request, _endpoint.result):
        _complete(_model, _SEEN)


def url(endpoint: Endpoint, id: str | None = None, part: str = "1") -> str:
    """Its path, on this item or on one that there is not."""
    path = endpoint.path.replace(f"{{{endpoint.kind.name}}}", id or endpoint.kind.example)
    return path.replace(f"{{{endpoint.part}}}", part)


def collection(kind: Noun) -> str:
    """Path of a kind's collection below `/api/v1/`."""
    return f"{kind.service.replace('_', '-')}/{kind.plural}"


def minimal(endpoint: Endpoint) -> dict[str, Any]:
    """A body that fits, so that what is wrong with the request is something else."""
    return BODIES.get(endpoint.operation_id, {})


async def add_rows(admin: Any, ids: dict[str, str]) -> None:
    """Creates an item of every such kind, and adds its id to those of the resources."""
    for kind, body in ROWS.items():
        text = json.dumps(body)
        for known, id in ids.items():
            text = text.replace(f"[{known}]", id)
        reply = await admin.post(collection(_KINDS[kind]), json.loads(text))
        assert reply.status == 201, reply.response.text
        ids[kind] = reply.json["id"]
