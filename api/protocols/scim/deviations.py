"""What Microsoft Entra and Okta send otherwise than the standard says, put right before it is read.

The library itself accepts text for booleans, capital letters in `op`, members to remove in the `value`, and filters in
the path that nothing meets yet (see `POLICY`). Not covered there:

- Okta repeats the `id` inside a replacement without a path.
- Entra sends a manager as a bare id, and nobody sends the `$ref` that the schema asks for.
"""

from __future__ import annotations

import json
from typing import Any

from scim2_models import InvalidSyntaxException, ScimPolicy

POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_MANAGER = (f"{ENTERPRISE}:manager".lower(), f"{ENTERPRISE}.manager".lower())
_FIXED = ("id", "meta", "schemas")


def put_right(body: bytes) -> bytes:
    """The body as the standard has it. What is no JSON is left to who reads it.

    Raises:
        InvalidSyntaxException: there is a character in it that no database stores, such as NUL.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(document, dict):
        _request(document)
    text = json.dumps(document, ensure_ascii=False)
    try:
        if "\\u0000" not in text:
            return text.encode()
    except UnicodeEncodeError:
        pass  # half of a surrogate pair
    raise InvalidSyntaxException(detail="The body has characters in it that cannot be stored.")


def _request(document: dict[str, Any]) -> None:
    operations = _get(document, "operations")
    if not isinstance(operations, list):
        _resource(document)
        return
    for operation in operations:
        if not isinstance(operation, dict):
            continue
        if isinstance(data := _get(operation, "data"), dict):  # of a bulk request
            _request(data)
        else:
            _change(operation)


def _change(operation: dict[str, Any]) -> None:
    path = _get(operation, "path")
    value = next((key for key in operation if key.lower() == "value"), None)
    if value is None:
        return
    if isinstance(path, str) and path.lower() in _MANAGER:
        operation[value] = _manager(operation[value])
    elif not path and isinstance(operation[value], dict):
        for name in [name for name in operation[value] if name.lower() in _FIXED]:
            del operation[value][name]
        _resource(operation[value])


def _resource(resource: dict[str, Any]) -> None:
    for name in resource:
        if name.lower() in _MANAGER:
            resource[name] = _manager(resource[name])
        elif name.lower() == ENTERPRISE.lower() and isinstance(resource[name], dict):
            extension = resource[name]
            for field in [field for field in extension if field.lower() == "manager"]:
                extension[field] = _manager(extension[field])


def _manager(value: Any) -> Any:
    if isinstance(value, str):
        value = {"value": value}
    if isinstance(value, dict) and isinstance(value.get("value"), str):
        return {"$ref": f"Users/{value['value']}"} | value
    return value


def _get(document: dict[str, Any], name: str) -> Any:
    return next((value for key, value in document.items() if key.lower() == name), None)
