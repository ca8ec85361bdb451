"""JSON merge-patch, RFC 7396: absent stays, null removes."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from api.kernel import problems
from api.kernel.kinds.resource import Resource
from api.kernel.kinds.shape import read, written
from api.kernel.kinds.stored_kind import StoredKind
from core.errors import InvalidArgument, InvalidPayload


def patched(kind: StoredKind[Any], resource: Resource[Any, Any], patch: dict[str, Any]) -> Any:
    """Returns the spec of a resource after a merge-patch.

    Raises:
        InvalidPayload: the patch contains an immutable or unknown field, or the spec would not be valid.
        InvalidArgument: it is nested too deeply.
    """
    before = json.loads(resource.spec.model_dump_json(by_alias=True))
    faults = [
        {"pointer": f"/spec/{field}", "detail": "cannot be changed once it is set"}
        for field in kind.immutable
        if field in patch and patch[field] != before.get(field)
    ]
    if faults:
        raise InvalidPayload(f"{faults[0]['pointer'][1:]} {faults[0]['detail']}.", errors=faults)
    model, known = kind.model.spec_type(), {"by_alias": True, "by_name": False}
    try:
        spec = model.model_validate_json(json.dumps(merged(before, patch)), **known)
        # Fields that a newer release stored are unknown here. Callers cannot send them, but a change keeps them.
        stored = json.loads(written(resource.spec))
        return spec if stored == before else read(model, json.dumps(merged(stored, patch)))
    except ValidationError as error:
        raise problems.invalid_body(error, below="/spec") from None
    except RecursionError:
        raise InvalidArgument("The body is nested too deeply.") from None


def merged(target: Any, patch: Any) -> Any:
    """Returns a JSON document after a merge-patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
