"""Fetching a source over HTTP without letting a definition reach into the private network."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from typing import Any

from core import egress
from core.errors import PayloadTooLarge, PermissionDenied, Unavailable

MAX_BYTES = 2_000_000_000
_TIMEOUT_SECONDS = 30


def download(url: str, *, private_hosts: bool = False, max_bytes: int = MAX_BYTES) -> bytes:
    """Reads a URL, following redirects.

    Args:
        url: `http` or `https`.
        private_hosts: whether private and loopback addresses may be reached.
        max_bytes: larger answers are refused.

    Raises:
        PermissionDenied: the address, or one that it redirects to, is private.
        PayloadTooLarge: the answer is larger than `max_bytes`.
        Unavailable: no answer, or one that is no success.
    """
    handlers = [] if private_hosts else [_PublicHttp(), _PublicHttps(context=ssl.create_default_context())]
    # Through a proxy the address reached would be the proxy's, so the guard would judge the wrong one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *handlers)
    try:
        with opener.open(url, timeout=_TIMEOUT_SECONDS) as answer:
            content = answer.read(max_bytes + 1)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{url} answered {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, PermissionError):
            raise PermissionDenied(str(error.reason)) from error
        raise Unavailable(f"{url} did not answer ({error}). Check the address and retry.") from error
    if len(content) > max_bytes:
        raise PayloadTooLarge(f"{url} is larger than {max_bytes} bytes.")
    return bytes(content)


def _require_public(host: str, addresses: Iterable[str]) -> None:
    for text in addresses:
        if not egress.is_public(text):
            raise PermissionError(
                f"{host} is a private address. Sources are fetched from public ones only, unless the operator sets "
                "HEADWATER_PRIVATE_SOURCES."
            )


def _connect_publicly(connection: http.client.HTTPConnection, connect: Callable[[], None]) -> None:
    """Judges the name before it is used, so that nothing is learnt of private ports, and then the address really
    connected to, before a byte is sent: a name may resolve anew at every look-up.
    """
    found = socket.getaddrinfo(connection.host, connection.port, type=socket.SOCK_STREAM)
    _require_public(connection.host, (str(item[4][0]) for item in found))
    connect()
    try:
        _require_public(connection.host, [connection.sock.getpeername()[0]])
    except PermissionError:
        connection.close()
        raise


class _PublicConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        _connect_publicly(self, super().connect)


class _PublicTlsConnection(http.client.HTTPSConnection):
    def connect(self) -> None:
        _connect_publicly(self, super().connect)


class _PublicHttp(urllib.request.HTTPHandler):
    def http_open(self, request: Any) -> Any:
        return self.do_open(_PublicConnection, request)


class _PublicHttps(urllib.request.HTTPSHandler):
    def https_open(self, request: Any) -> Any:
        return self.do_open(_PublicTlsConnection, request, context=self._context)  # type: ignore[attr-defined]
