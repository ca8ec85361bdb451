"""Calls of operations by other protocols: same function, permissions, and audit event, in another format."""

from __future__ import annotations

from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from api.kernel.application import Application
from api.kernel.http.state import state_of
from api.kernel.kinds.context import Context
from api.kernel.permissions.principal import ANONYMOUS, Principal
from core.errors import InvalidArgument, UnsupportedMediaType

FORM = "application/x-www-form-urlencoded"
_MAX_BYTES = 100_000
"""Maximum size of a form. It exceeds every token that fits in a header."""


class Calls:
    """Contexts of operations for requests to a mount."""

    def __init__(self, app: Application) -> None:
        self.platform = app.platform
        self._endpoints = {endpoint.operation_id: endpoint for endpoint in app.registry.endpoints}

    def context(self, scope: Scope, operation_id: str, principal: Principal = ANONYMOUS) -> Context:
        """Returns a context as if the operation had been called itself. The mount must declare the operation."""
        state = state_of(scope)
        mount = state.found.mount if state.found else None
        if mount is None or operation_id not in (*mount.acts_as, *mount.executes):
            raise RuntimeError(f"{state.route} acts as {operation_id}, which its mount does not declare")
        return Context(
            self.platform,
            self._endpoints[operation_id],
            principal,
            request_id=state.request_id,
            client=state.client,
            traceparent=state.trace.stored,
        )


async def form_of(scope: Scope, receive: Receive, send: Send) -> dict[str, str]:
    """Returns the fields of a form in the body.

    Raises:
        UnsupportedMediaType: The body is not a form.
        InvalidArgument: The form is malformed or too long, contains control characters, or repeats a field.
    """
    request = Request(scope, receive, send)
    types = request.headers.getlist("content-type")
    message = Message()
    message["content-type"] = types[0] if len(types) == 1 else ""
    if message.get_content_type() != FORM or message.get_content_charset("utf-8") != "utf-8":
        raise UnsupportedMediaType(f"Send the parameters as {FORM}, in UTF-8.")
    body = await request.body()
    if len(body) > _MAX_BYTES:
        raise InvalidArgument(f"The form is longer than {_MAX_BYTES:,} bytes.")
    try:
        pairs: list[tuple[str, Any]] = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=50, errors="strict"
        )
    except ValueError:
        raise InvalidArgument("The form is malformed.") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise InvalidArgument("A parameter is sent twice.")
    if any(not character.isprintable() for pair in pairs for text in pair for character in text):
        raise InvalidArgument("A parameter contains a control character.")
    return dict(pairs)
