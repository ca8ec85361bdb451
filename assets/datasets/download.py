"""Download of a source over HTTP that does not let a definition reach the private network."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from typing import Any

from core import egress
from core.errors import InvalidPayload, PayloadTooLarge, PermissionDenied, Unavailable

MAX_BYTES = 2_000_000_000
_TIMEOUT_SECONDS = 30


def download(url: str, *, private_hosts: bool = False, max_bytes: int = MAX_BYTES) -> bytes:
    """Reads a URL, following redirects.

    Args:
        url: `http` or `https`.
        private_hosts: whether private and loopback addresses are allowed.
        max_bytes: maximum size of the response.

    Raises:
        PermissionDenied: the address, or an address that it redirects to, is private.
        PayloadTooLarge: the response is larger than `max_bytes`.
        InvalidPayload: the URL, or a URL that it redirects to, is not valid.
        Unavailable: the host did not respond, or responded with an error.
    """
    try:
        with _opener(private_hosts).open(url, timeout=_TIMEOUT_SECONDS) as response:
            content = response.read(max_bytes + 1)
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{url} responded with {error.code} {error.reason}.") from error
    except ValueError as error:  # raised also for the URL of a redirect
        raise InvalidPayload(f"{url} is not a valid URL, or redirects to one that is not: {error}.") from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.URLError) and isinstance(error.reason, PermissionError):
            raise PermissionDenied(str(error.reason)) from error
        raise Unavailable(f"{url} did not respond ({error}). Check the address and retry.") from error
    if len(content) > max_bytes:
        raise PayloadTooLarge(f"{url} is larger than {max_bytes} bytes.")
    return bytes(content)


def _opener(private_hosts: bool) -> urllib.request.OpenerDirector:
    """Returns an opener for http and https only, also after redirects. The default opener also reads files and FTP.

    It uses no proxy, because the address check would then apply to the proxy.
    """
    context = ssl.create_default_context()
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler() if private_hosts else _PublicHttp(),
        urllib.request.HTTPSHandler(context=context) if private_hosts else _PublicHttps(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _connect(
    address: tuple[str, int], timeout: float | None = None, source_address: tuple[str, int] | None = None
) -> socket.socket:
    """Connects to the address that was checked, because each lookup of a name can return another address."""
    host, port = address
    try:
        resolved = egress.resolve(host, port, private=False)
    except PermissionError as error:
        raise PermissionError(
            f"{error} Sources are read from public addresses only, unless the operator sets HEADWATER_PRIVATE_SOURCES."
        ) from None
    return socket.create_connection((resolved, port), timeout, source_address)


class _PublicConnection(http.client.HTTPConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = _connect


class _PublicTlsConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._create_connection = _connect


class _PublicHttp(urllib.request.HTTPHandler):
    def http_open(self, request: Any) -> Any:
        return self.do_open(_PublicConnection, request)


class _PublicHttps(urllib.request.HTTPSHandler):
    def https_open(self, request: Any) -> Any:
        return self.do_open(_PublicTlsConnection, request, context=self._context)  # type: ignore[attr-defined]
