"""Operations called by a protocol face: the same function, rights and audit row, in another wire format."""

from __future__ import annotations

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


class Calls:
    """Makes the context of an operation for a request that came to a mount."""

    def __init__(self, app: Application) -> None:
        self.platform = app.platform
        self._endpoints = {endpoint.operation_id: endpoint for endpoint in app.registry.endpoints}

    def context(self, scope: Scope, operation_id: str, principal: Principal = ANONYMOUS) -> Context:
        """The context, as if the operation itself had been called. The mount must say that it does so."""
        state = state_of(scope)
        mount = state.found.mount if state.found else None
        if mount is None or operation_id not in (*mount.acts_as, *mount.carries_out):
            raise RuntimeError(f"{state.route} acts as {operation_id}, which its mount does not declare")
        return Context(
            self.platform,
            self._endpoints[operation_id],
            principal,
            request_id=state.request_id,
            client=state.client,
            traceparent=state.trace.told,
        )


async def form_of(scope: Scope, receive: Receive, send: Send) -> dict[str, str]:
    """The fields of a form in the body.

    Raises:
        UnsupportedMediaType: it is no form.
        InvalidArgument: it is malformed, or a field comes twice.
    """
    request = Request(scope, receive, send)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise UnsupportedMediaType(f"Send the parameters as {FORM}.")
    try:
        pairs: list[tuple[str, Any]] = parse_qsl(
            (await request.body()).decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=50
        )
    except ValueError:
        raise InvalidArgument("The form is malformed.") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise InvalidArgument("A parameter comes twice.")
    return dict(pairs)
