"""Problem documents (RFC 9457) for all errors. They contain neither tracebacks nor values from the request."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.kernel.securable import PLATFORM
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


def body(error: HeadwaterError, *, request_id: str, instance: str = "", service: str = PLATFORM) -> dict[str, Any]:
    """Returns the problem document of an error."""
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


def response(error: BaseException, *, request_id: str, instance: str = "", service: str = PLATFORM) -> Response:
    """Returns the response to a failed request. Unexpected errors are logged with a traceback and become a 500."""
    converted = headwater_error(error, request_id)
    content = json.dumps(body(converted, request_id=request_id, instance=instance, service=service), default=str)
    answer = Response(content, converted.status, media_type=MEDIA_TYPE)
    if converted.retry_after_seconds is not None:
        answer.headers["retry-after"] = str(converted.retry_after_seconds)
    if converted.status == 401:
        answer.headers["www-authenticate"] = 'Bearer realm="headwater"'
    if converted.status == 405:
        answer.headers["allow"] = ", ".join(converted.metadata.get("allow", ()))
    return answer


def headwater_error(error: BaseException, request_id: str) -> HeadwaterError:
    """Returns the error itself if it is a `HeadwaterError`, or else the one that describes it to callers."""
    if isinstance(error, HeadwaterError):
        return error
    if isinstance(error, HTTPException):
        return _BY_STATUS.get(error.status_code, InvalidArgument)(str(error.detail))
    if isinstance(error, TimeoutError):
        return errors.DeadlineExceeded(
            "The request took longer than its time limit and was stopped. Request less, or try again."
        )
    _log.error("request %s failed", request_id, exc_info=error)
    return HeadwaterError(
        f"An unexpected error occurred in the platform. It is logged as request {request_id}. Report it with that id."
    )


def invalid_body(error: ValidationError, below: str = "") -> InvalidPayload:
    """Returns the error for an invalid JSON body, with the JSON pointer of each fault.

    Args:
        error: what the validation of the body, or of a part of it, raised.
        below: JSON pointer of the validated part.
    """
    faults = [{"pointer": below + _pointer(fault["loc"]), "detail": fault["msg"]} for fault in _faults(error)]
    return InvalidPayload(f"The body is not valid: {_first(faults, 'pointer')}", errors=faults)


def invalid_query(error: ValidationError) -> InvalidArgument:
    """Returns the error for an invalid query string, with the parameter of each fault."""
    faults = [
        {"parameter": str(fault["loc"][0]) if fault["loc"] else "", "detail": fault["msg"]} for fault in _faults(error)
    ]
    return InvalidArgument(f"The query is not valid: {_first(faults, 'parameter')}", errors=faults)


def _faults(error: ValidationError) -> Iterable[Any]:
    # Without input values: a body may contain a password.
    return error.errors(include_url=False, include_context=False, include_input=False)


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join(f"/{escaped(str(part))}" for part in location)


def escaped(step: str) -> str:
    """Returns a key as a step of a JSON pointer."""
    return step.replace("~", "~0").replace("/", "~1")


def _first(faults: list[dict[str, str]], key: str) -> str:
    others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0][key] or 'the whole'}: {faults[0]['detail']}{others}."
