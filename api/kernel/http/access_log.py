"""The access log: one JSON line per request, without values in which a caller could send a secret.

It contains no headers, no query, and the template instead of the path. An unknown path is shortened and sanitized.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC
from typing import TYPE_CHECKING, TextIO

import msgspec
from starlette.types import Scope

from core import clock

if TYPE_CHECKING:
    from api.kernel.http.served import Served
    from api.kernel.http.state import RequestState

LOGGER = "headwater.access"
MAX_PATH_LENGTH = 200
_UNUSUAL = re.compile(r"[^A-Za-z0-9/_.~:-]")
_log = logging.getLogger(LOGGER)


class AccessLog:
    """An observer that writes a line when a request has ended."""

    def began(self, scope: Scope, state: RequestState) -> None:
        """Does nothing: the line is written at the end."""

    def ended(self, scope: Scope, state: RequestState, served: Served) -> None:
        """Writes the line."""
        if not _log.isEnabledFor(logging.INFO):
            return
        principal = state.principal
        line: dict[str, object] = {
            "time": clock.now().astimezone(UTC).isoformat(timespec="milliseconds"),
            "request_id": state.request_id,
            "trace_id": state.trace.trace_id,
            "method": _method(scope),
            "route": state.route,
            "status": served.status,
            "duration_ms": round(served.seconds * 1000, 2),
            "bytes": served.size_bytes,
            "principal": principal.id if principal else "",
            "client": state.client,
        }
        if not state.route:
            line["path"] = sanitized(scope["path"])
        if not served.complete:
            line["aborted"] = True
        text = msgspec.json.encode(line).decode()
        # Not with `_log.info`, which walks up the stack for the file and line and so dominates the cost.
        _log.handle(_log.makeRecord(LOGGER, logging.INFO, __name__, 0, text, (), None))


def sanitized(path: str) -> str:
    """Returns an unknown path for the log: short, printable, and without markup."""
    return _UNUSUAL.sub("?", path[:MAX_PATH_LENGTH])


def write_to(stream: TextIO | None = None) -> logging.Handler:
    """Writes the lines to a stream, by default standard error, instead of the text log."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _log.addHandler(handler)
    _log.propagate = False
    return handler


def _method(scope: Scope) -> str:
    return sanitized(scope.get("method", "WEBSOCKET"))[:16]
