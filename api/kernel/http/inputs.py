"""From bytes to validated models: every way a body or query can be malformed ends in a clear 4xx."""

from __future__ import annotations

from collections.abc import Set
from typing import TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request as HttpRequest

from api.kernel import problems
from api.kernel.models import Query, Request
from core.errors import InvalidArgument, InvalidPayload, UnsupportedMediaType

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Request)

_JSON = ("application/json", "application/merge-patch+json")


def query_of(params: QueryParams, model: type[Q]) -> Q:
    """Validates a query string.

    Raises:
        InvalidArgument: a parameter is unknown, given twice or does not fit.
    """
    values: dict[str, str | list[str]] = {}
    for name in params:
        found = params.getlist(name)
        if any("\0" in value for value in found):
            raise InvalidArgument(f"The parameter {name!r} holds a NUL character.")
        if _is_list(model, name):
            values[name] = found
        elif len(found) > 1:
            raise InvalidArgument(f"The parameter {name!r} is given {len(found)} times.")
        else:
            values[name] = found[0]
    try:
        # By alias only: `from_` is how Python spells `from`, not a second name for callers.
        return model.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        raise problems.invalid_query(error) from None


def refuse_unknown(params: QueryParams, known: Set[str]) -> None:
    """Refuses parameters of an operation that has no others than these: a typing error must not be ignored.

    Raises:
        InvalidArgument: there is another one.
    """
    if unknown := sorted(params.keys() - known):
        errors = [{"parameter": name[:64], "detail": "is no parameter of this operation"} for name in unknown]
        raise InvalidArgument(f"{errors[0]['parameter']} {errors[0]['detail']}.", errors=errors)


async def body_of(request: HttpRequest, model: type[B]) -> tuple[B, bytes]:
    """Reads and validates a JSON body; none at all counts as `{}`. Also returns the raw bytes.

    Raises:
        UnsupportedMediaType: the body is no JSON by its content type.
        InvalidArgument: it is no JSON by its content.
        InvalidPayload: it does not fit the model.
    """
    raw = await request.body()
    if raw.strip():
        # No default: a page of another site can send a body without a type, but never one that says JSON.
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type not in _JSON:
            raise UnsupportedMediaType("Send the body as application/json.")
    try:
        parsed = model.model_validate_json(raw if raw.strip() else b"{}", by_alias=True, by_name=False)
    except ValidationError as error:
        raise _malformed(error) from None
    except RecursionError:
        raise InvalidArgument("The body is nested too deeply.") from None
    if b"u0000" in raw and _holds_nul(parsed.model_dump()):
        raise InvalidPayload("The body holds a NUL character (\\u0000), which no text here may hold.")
    return parsed, raw


def _malformed(error: ValidationError) -> InvalidArgument | InvalidPayload:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return InvalidArgument(f"The body is no valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}.")
    return problems.invalid_body(error)


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(item) for key, item in value.items())
    if isinstance(value, list | tuple | set):
        return any(_holds_nul(item) for item in value)
    return False


def _is_list(model: type[BaseModel], name: str) -> bool:
    for field_name, field in model.model_fields.items():
        if name == (field.alias or field_name):
            return get_origin(field.annotation) is list
    return False
