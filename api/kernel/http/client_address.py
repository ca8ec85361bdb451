"""The address of the client: that of the peer or, behind a trusted proxy, the one that the proxy reports.

Any caller can send headers. `X-Forwarded-For` is therefore read from its end, where the last proxy appends, and only as
long as the writers are trusted. `Forwarded` and other headers are ignored, because a proxy that does not set them
passes on the value of the caller.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from starlette.types import Scope

from core.errors import InvalidArgument

_HEADER = b"x-forwarded-for"
_MAX_HOPS = 20
_WITH_PORT = re.compile(r"\[(?P<v6>[0-9a-fA-F:.]+)\](?::\d{1,5})?|(?P<v4>\d+\.\d+\.\d+\.\d+)(?::\d{1,5})?")


class ClientAddress:
    """A lookup of the client address of a request."""

    def __init__(self, trusted_proxies: str = "") -> None:
        """Parses the networks of trusted proxies, separated by commas.

        Raises:
            InvalidArgument: the text contains something other than networks.
        """
        names = [name.strip() for name in trusted_proxies.split(",") if name.strip()]
        try:
            self._trusted = tuple(ipaddress.ip_network(name) for name in names)
        except ValueError as error:
            raise InvalidArgument(f"HEADWATER_TRUSTED_PROXIES: {error}. Write networks like 10.0.0.0/8.") from None
        self._trusts = lru_cache(maxsize=1024)(self._is_trusted)

    def of(self, scope: Scope) -> str:
        """Returns the address, or an empty string if there is none."""
        peer = scope.get("client")
        address: str = peer[0] if peer else ""
        if not self._trusted or not self._trusts(address):
            return address
        forwarded = b",".join(value for name, value in scope["headers"] if name == _HEADER).decode("latin-1")
        for element in reversed(forwarded.split(",")[-_MAX_HOPS:]):
            hop = _parsed(element.strip())
            if not hop:
                return address  # a trusted proxy wrote this element, so earlier hops are unknown
            address = hop
            if not self._trusts(address):
                break
        return address

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        parsed = getattr(parsed, "ipv4_mapped", None) or parsed
        return any(parsed in network for network in self._trusted)


def _parsed(element: str) -> str:
    """Returns the address in an element of the header without its port, or an empty string if it is not valid."""
    with_port = _WITH_PORT.fullmatch(element)
    try:
        return str(ipaddress.ip_address((with_port["v6"] or with_port["v4"]) if with_port else element))
    except ValueError:
        return ""
