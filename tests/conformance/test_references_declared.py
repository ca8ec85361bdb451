"""Kind of fault: a field refers to something and does not say so, or no test sends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from api.kernel.kinds import slots
from api.kernel.kinds.endpoint import Shape
from api.kernel.kinds.resource_kind import ResourceKind
from tests.conformance.examples import BODIES_WITH_REFERENCES, SPECS_WITH_REFERENCES
from tests.conformance.named_home import REFERRING
from tests.conformance.operations import ENDPOINTS, STORED

NO_REFERENCES = {
    "external_id": "how an identity provider calls a user",
    "client_id": "how an identity provider calls the platform",
    "client_request_id": "how an application calls a request",
    "source_id": "how a client calls a person, a model, or a program",
    **dict.fromkeys(("otel_id", "span_id", "parent_id"), "how OpenTelemetry calls a trace or a span"),
}

TEXTS = {
    **dict.fromkeys(("SearchQuery.owner", "AssetSearchQuery.owner"), "what items show: also an address or a team"),
    "PromptMessage.role": "the role of an author in a conversation",
}
"""Fields that are named like references and hold any text."""

INSTEAD = {
    "ai_catalog_create_subscription": {"pipeline_id"},
    "connections_revoke_all_leases": {"storage_credential_id"},
}
"""References that exclude the one that is tried."""

STANDARD = (Shape.CREATE, Shape.UPDATE)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for one in annotation.model_fields.values():
            yield from models(one.annotation)
    for part in get_args(annotation):
        yield from models(part)


def is_text(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return any(is_text(part) for part in get_args(annotation))
    return annotation is str or any(is_text(part) for part in get_args(annotation))


def test_every_reference_is_marked_and_tried() -> None:
    every = {model for one in ENDPOINTS for ask in (one.request, one.query) if ask for model in models(ask)}
    unmarked = {
        f"{model.__name__}.{name}"
        for model in every
        for name, one in model.model_fields.items()
        if (name.endswith("_id") or name in ("owner", "members", "principal", "user", "role", "organization"))
        and is_text(one.annotation)
        and f"{model.__name__}.{name}" not in TEXTS
        and name not in NO_REFERENCES
        and name not in slots.referring(model)
    }
    assert unmarked == set()
    untried = [
        str(one)
        for one in REFERRING
        if one.operation_id not in BODIES_WITH_REFERENCES
        and not (isinstance(one.kind, ResourceKind) and one.shape in STANDARD)
    ]
    assert untried == []
    referring = {kind.full_name for kind in STORED if slots.referring(kind.model.spec_type())}
    assert referring == set(SPECS_WITH_REFERENCES)
    for operation, body in BODIES_WITH_REFERENCES.items():
        endpoint = next(one for one in REFERRING if one.operation_id == operation)
        assert endpoint.request is not None
        tried = {slot.pointer for slot in slots.slots(endpoint.request.model_validate_json(json.dumps(body)))}
        assert all(
            any(pointer.endswith(f"/{name}") or f"/{name}/" in pointer for pointer in tried)
            for name in flat(endpoint.request) - INSTEAD.get(operation, set())
        ), operation


def flat(model: type[BaseModel]) -> set[str]:
    """Names of the fields of a request that hold references themselves, wherever they are in it."""
    return {
        name
        for one in models(model)
        for name in slots.referring(one)
        if not any(slots.referring(below) for below in models(one.model_fields[name].annotation))
    }
