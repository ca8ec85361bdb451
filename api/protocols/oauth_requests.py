"""Requests to OAuth endpoints: the form and the client (RFC 6749 sections 2.3 and 3.2)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import unquote_plus

from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from api.protocols import calls
from core.errors import InvalidArgument


class OAuthError(Exception):
    """An error response of RFC 6749 section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


async def form_of(scope: Scope, receive: Receive, send: Send) -> dict[str, str]:
    """Returns the parameters of a request, each sent once.

    Raises:
        UnsupportedMediaType: The body is not a form.
        OAuthError: The form is malformed.
    """
    try:
        return await calls.form_of(scope, receive, send)
    except InvalidArgument as error:
        raise OAuthError("invalid_request", error.detail) from None


def required(form: Mapping[str, str], name: str) -> str:
    """Returns a required parameter."""
    if not form.get(name):
        raise OAuthError("invalid_request", f"{name} is missing.")
    return form[name]


def client_of(scope: Scope, form: Mapping[str, str]) -> tuple[str, str]:
    """Returns id and secret of the client, from the header or the form, but not from both."""
    headers = HTTPConnection(scope).headers.getlist("authorization")
    if not headers:
        return required(form, "client_id"), required(form, "client_secret")
    if len(headers) > 1 or "client_secret" in form:
        raise OAuthError("invalid_request", "Send the client secret once.")
    scheme, _, value = headers[0].partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        id, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
        id, secret = unquote_plus(id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, ValueError):
        raise OAuthError("invalid_client", "Authenticate the client with HTTP Basic.", 401) from None
    if form.get("client_id", id) != id:
        raise OAuthError("invalid_request", "The form names another client than the header.")
    return id, secret
