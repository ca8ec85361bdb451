"""Errors on the wire: RFC 9457 problem+json, whatever went wrong. Never a traceback, never the caller's own input."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from core import errors
from core.errors import HeadwaterError, InvalidArgument, InvalidPayload

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("headwater.api")
_BY_STATUS: Mapping[int, type[HeadwaterError]] = {
    400: errors.InvalidArgument,
    401: errors.Unauthenticated,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    422: errors.InvalidPayload,
}


def body(error: HeadwaterError, *, request_id: str, instance: str = "", service: str = "") -> dict[str, Any]:
    """The problem document of an error."""
    return {
        "type": f"urn:headwater:problem:{error.reason.lower().replace('_', '-')}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "reason": error.reason,
        "service": service,
        "metadata": error.metadata,
        "errors": error.errors,
        "request_id": request_id,
    }


def response(error: BaseException, *, request_id: str, instance: str = "", service: str = "") -> Response:
    """The answer to a failed request. What we did not raise on purpose is logged with its trace and told as a 500."""
    known = known_error(error, request_id)
    content = json.dumps(body(known, request_id=request_id, instance=instance, service=service), default=str)
    answer = Response(content, known.status, media_type=MEDIA_TYPE)
    if known.retry_after_seconds is not None:
        answer.headers["retry-after"] = str(known.retry_after_seconds)
    if known.status == 401:
        answer.headers["www-authenticate"] = 'Bearer realm="headwater"'
    if known.status == 405:
        answer.headers["allow"] = ", ".join(known.metadata.get("allow", ()))
    return answer


def known_error(error: BaseException, request_id: str) -> HeadwaterError:
    """The error as one of ours."""
    if isinstance(error, HeadwaterError):
        return error
    if isinstance(error, HTTPException):
        return _BY_STATUS.get(error.status_code, InvalidArgument)(str(error.detail))
    if isinstance(error, TimeoutError):
        return errors.DeadlineExceeded("The platform did not finish in time and gave up. Ask for less, or try again.")
    _log.error("request %s failed", request_id, exc_info=error)
    return HeadwaterError(f"Something broke on our side. It is logged as request {request_id}; report it with that id.")


def invalid_body(error: ValidationError, below: str = "") -> InvalidPayload:
    """Faults of a JSON body, each with the JSON pointer of its place; `below` is where the validated part stands."""
    faults = [{"pointer": below + _pointer(fault["loc"]), "detail": fault["msg"]} for fault in _faults(error)]
    return InvalidPayload(f"The body does not fit: {_first(faults, 'pointer')}", errors=faults)


def invalid_query(error: ValidationError) -> InvalidArgument:
    """Faults of a query string, each with the name of its parameter."""
    faults = [
        {"parameter": str(fault["loc"][0]) if fault["loc"] else "", "detail": fault["msg"]} for fault in _faults(error)
    ]
    return InvalidArgument(f"The query does not fit: {_first(faults, 'parameter')}", errors=faults)


def _faults(error: ValidationError) -> Iterable[Any]:
    # Input values stay out: a body may hold a password.
    return error.errors(include_url=False, include_context=False, include_input=False)


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def _first(faults: list[dict[str, str]], place: str) -> str:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    where = faults[0][place] or "the whole"
    return f"{where}: {faults[0]['detail']}{more}."
