"""Parsing of request bodies and query strings. Malformed input raises an error with a 4xx status."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Set
from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request as HttpRequest

from api.kernel import problems
from api.kernel.models import Query, Request
from core.errors import InvalidArgument, InvalidPayload, UnsupportedMediaType
from core.numbers import is_storable

Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Request)

_JSON = ("application/json", "application/merge-patch+json")
_WHITESPACE = b" \t\n\r"
"""The whitespace of JSON. Python's includes form feeds, which would make a malformed body an empty one."""

_MAY_BE_TOO_LARGE = re.compile(rb"\d{19}|\d[eE]\+?\d{3}|NaN|Infinity")


def query_of(params: QueryParams, model: type[Q]) -> Q:
    """Validates a query string.

    Raises:
        InvalidArgument: a parameter is unknown, repeated, or not valid.
    """
    values: dict[str, str | list[str]] = {}
    for name in params:
        texts = params.getlist(name)
        if any("\0" in text for text in texts):
            raise InvalidArgument(f"The parameter {name!r} contains a NUL character.")
        if _is_list(model, name):
            values[name] = texts
        elif len(texts) > 1:
            raise InvalidArgument(f"The parameter {name!r} is repeated {len(texts)} times. Send it once.")
        else:
            values[name] = texts[0]
    try:
        # By alias only: `from_` is the Python name of `from`, not another name for callers.
        query = model.model_validate(values, by_alias=True, by_name=False)
    except ValidationError as error:
        raise problems.invalid_query(error) from None
    for name, value in query:
        if type(value) is int and not is_storable(value):
            fault = {"parameter": model.model_fields[name].alias or name, "detail": "is not a number of 64 bits"}
            raise InvalidArgument(f"The query is not valid: {name}: {fault['detail']}.", errors=[fault])
    return query


def refuse_unknown(params: QueryParams, names: Set[str]) -> None:
    """Refuses unknown parameters, so that typing errors are noticed.

    Raises:
        InvalidArgument: there is a parameter other than these.
    """
    if unknown := sorted(params.keys() - names):
        errors = [{"parameter": name[:64], "detail": "is not a parameter of this operation"} for name in unknown]
        raise InvalidArgument(f"{errors[0]['parameter']} {errors[0]['detail']}.", errors=errors)


async def body_of(request: HttpRequest, model: type[B]) -> tuple[B, bytes]:
    """Parses and validates a JSON body. Returns the model and the raw bytes. An empty body counts as `{}`.

    Raises:
        UnsupportedMediaType: the content type is not JSON.
        InvalidArgument: the body is not JSON.
        InvalidPayload: the body is not valid for the model.
    """
    raw = await request.body()
    content = raw.strip(_WHITESPACE)
    if content:
        # The type is required, because a page of another site can send bodies without it, but not as JSON.
        media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if media_type not in _JSON:
            raise UnsupportedMediaType("Send the body as application/json.")
    refuse_unstorable(raw)
    try:
        parsed = model.model_validate_json(content or b"{}", by_alias=True, by_name=False)
    except ValidationError as error:
        raise _malformed(error) from None
    except RecursionError:
        raise InvalidArgument("The body is nested too deeply.") from None
    if b"u0000" in raw and _contains_nul(parsed.model_dump()):
        raise InvalidPayload("The body contains a NUL character (\\u0000). Remove it: texts must not contain it.")
    return parsed, raw


def refuse_unstorable(raw: bytes) -> None:
    """Refuses numbers that the database cannot store, anywhere in a JSON body.

    Raises:
        InvalidPayload: there is such a number. The error has its JSON pointer.
    """
    if not _MAY_BE_TOO_LARGE.search(raw):
        return
    try:
        document = json.loads(raw, parse_int=_storable, parse_float=_finite, parse_constant=_Unstorable)
    except (ValueError, RecursionError):
        return  # not JSON: the validation of the model raises the error
    faults = [{"pointer": pointer, "detail": detail} for pointer, detail in _unstorable(document, "")]
    if faults:
        raise InvalidPayload(f"The body is not valid: {faults[0]['pointer']}: {faults[0]['detail']}.", errors=faults)


class _Unstorable:
    """The replacement of a number that cannot be stored."""

    def __init__(self, text: str) -> None:
        self.detail = "is not a finite number of 64 bits"


def _storable(text: str) -> int | _Unstorable:
    # Python refuses to parse more than a few thousand digits.
    return int(text) if len(text) <= 20 and is_storable(int(text)) else _Unstorable(text)


def _finite(text: str) -> float | _Unstorable:
    return number if math.isfinite(number := float(text)) else _Unstorable(text)


def _unstorable(document: Any, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(document, _Unstorable):
        yield pointer, document.detail
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from _unstorable(value, f"{pointer}/{problems.escaped(key)}")
    elif isinstance(document, list):
        for n, value in enumerate(document):
            yield from _unstorable(value, f"{pointer}/{n}")


def _malformed(error: ValidationError) -> InvalidArgument | InvalidPayload:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return InvalidArgument(f"The body is not valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}.")
    return problems.invalid_body(error)


def _contains_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_contains_nul(key) or _contains_nul(item) for key, item in value.items())
    if isinstance(value, list | tuple | set):
        return any(_contains_nul(item) for item in value)
    return False


def _is_list(model: type[BaseModel], name: str) -> bool:
    for field_name, field in model.model_fields.items():
        if name == (field.alias or field_name):
            return get_origin(field.annotation) is list
    return False
