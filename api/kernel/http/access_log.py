"""The access log: one JSON line per request, with nothing in it that a caller could have hidden a secret in.

No header, no query, and no path but the templates of what is served; of an unknown path only a short, harmless form.
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
    from api.kernel.http.stack import Served
    from api.kernel.http.state import RequestState

LOGGER = "headwater.access"
LONGEST_PATH = 200
_UNUSUAL = re.compile(r"[^A-Za-z0-9/_.~:-]")
_log = logging.getLogger(LOGGER)


class AccessLog:
    """Writes a line when a request has ended. An observer of the envelope."""

    def began(self, scope: Scope, state: RequestState) -> None:
        """Nothing is written before the end."""

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
            line["path"] = harmless(scope["path"])
        if not served.complete:
            line["aborted"] = True
        text = msgspec.json.encode(line).decode()
        # Without the walk up the stack for file and line, which costs more than all the rest.
        _log.handle(_log.makeRecord(LOGGER, logging.INFO, __name__, 0, text, (), None))


def harmless(path: str) -> str:
    """An unknown path for the log: short, printable, and no markup."""
    return _UNUSUAL.sub("?", path[:LONGEST_PATH])


def write_to(stream: TextIO | None = None) -> logging.Handler:
    """Sends the lines bare to `stream`, standard error by default, and not to the text log as well."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _log.addHandler(handler)
    _log.propagate = False
    return handler


def _method(scope: Scope) -> str:
    return harmless(scope.get("method", "WEBSOCKET"))[:16]
