"""Deviations of Microsoft Entra and Okta from the standard, corrected before a request is parsed.

The library itself accepts text for booleans, capital letters in `op`, members to remove in the `value`, and filters in
a path that match nothing yet (see `POLICY`). It does not cover:

- Okta repeats the `id` inside a replacement without a path.
- Entra sends a manager as an id only, and no client sends the `$ref` that the schema requires.
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
_MANAGER_PATHS = (f"{ENTERPRISE}:manager".lower(), f"{ENTERPRISE}.manager".lower())
_FIXED = ("id", "meta", "schemas")


def correct_deviations(body: bytes) -> bytes:
    """Returns the body as the standard requires it. A body that is not JSON is returned unchanged.

    Raises:
        InvalidSyntaxException: The body contains a character that no database stores, such as NUL.
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
        pass  # Half of a surrogate pair.
    raise InvalidSyntaxException(detail="The body contains characters that can't be stored.")


def _request(document: dict[str, Any]) -> None:
    operations = _get(document, "operations")
    if not isinstance(operations, list):
        _resource(document)
        return
    for operation in operations:
        if not isinstance(operation, dict):
            continue
        if isinstance(data := _get(operation, "data"), dict):  # An operation of a bulk request.
            _request(data)
        else:
            _change(operation)


def _change(operation: dict[str, Any]) -> None:
    path = _get(operation, "path")
    value = next((key for key in operation if key.lower() == "value"), None)
    if value is None:
        return
    if isinstance(path, str) and path.lower() in _MANAGER_PATHS:
        operation[value] = _with_reference(operation[value])
    elif not path and isinstance(operation[value], dict):
        for name in [name for name in operation[value] if name.lower() in _FIXED]:
            del operation[value][name]
        _resource(operation[value])


def _resource(resource: dict[str, Any]) -> None:
    for name in resource:
        if name.lower() in _MANAGER_PATHS:
            resource[name] = _with_reference(resource[name])
        elif name.lower() == ENTERPRISE.lower() and isinstance(resource[name], dict):
            extension = resource[name]
            for field in [field for field in extension if field.lower() == "manager"]:
                extension[field] = _with_reference(extension[field])


def _with_reference(value: Any) -> Any:
    if isinstance(value, str):
        value = {"value": value}
    if isinstance(value, dict) and isinstance(value.get("value"), str):
        return {"$ref": f"Users/{value['value']}"} | value
    return value


def _get(document: dict[str, Any], name: str) -> Any:
    return next((value for key, value in document.items() if key.lower() == name), None)
