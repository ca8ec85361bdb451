"""Outbound connections to user-supplied addresses: public addresses only, unless the operator allows private ones."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The allocated part of IPv6. It contains all public addresses; the rest is reserved, local or multicast."""

_RESERVED = (
    # Ranges inside the allocated space that have no public hosts, or that lead to another address.
    ipaddress.IPv6Network("2001::/23"),  # protocol assignments: Teredo, benchmarking, ORCHID
    ipaddress.IPv6Network("2001:db8::/32"),  # documentation
    ipaddress.IPv6Network("3ffe::/16"),  # the former test network
    ipaddress.IPv6Network("3fff::/20"),  # documentation
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments
    ipaddress.IPv4Network("192.88.99.0/24"),  # the former relays of 6to4
)

_EMBEDDING = (
    # A prefix, and the bit at which the embedded IPv4 address begins.
    (ipaddress.IPv6Network("::/96"), 96),
    (ipaddress.IPv6Network("::ffff:0:0/96"), 96),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 96),
    (ipaddress.IPv6Network("64:ff9b::/96"), 96),
    (ipaddress.IPv6Network("2002::/16"), 16),
)

_PLAIN_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}")
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


def is_public(address: str) -> bool:
    """Returns whether an IP address is public: not private, local, multicast or reserved.

    An IPv6 address that embeds an IPv4 address is public if the IPv4 address is. An address with a zone is not public.
    """
    try:
        return "%" not in address and _is_public(ipaddress.ip_address(address))
    except ValueError:
        return False


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        for network, bits in _EMBEDDING:
            if address in network:
                return _is_public(ipaddress.IPv4Address(int(address) >> (96 - bits) & 0xFFFFFFFF))
        if address not in _GLOBAL_UNICAST:
            return False
    reserved = any(address in network for network in _RESERVED if network.version == address.version)
    return address.is_global and not (reserved or address.is_multicast or address.is_reserved)


def resolve(host: str, port: int, *, private: bool) -> str:
    """Resolves a host to the address to connect to.

    Connect to the returned address, not to the name: the name may resolve to another address at the next lookup.

    Raises:
        PermissionError: `private` is not set, and the host has a private address or may encode one.
        OSError: the name doesn't resolve.
        UnicodeError: the name isn't valid.
    """
    if not private and is_disguised(host):
        raise PermissionError(f"{host} is not a plain IP address or host name and may encode a private address.")
    addresses = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not private and not all(is_public(address) for address in addresses):
        raise PermissionError(f"{host} has a private address.")
    return addresses[0]


def is_disguised(host: str) -> bool:
    """Returns whether a host is an IPv4 address in an unusual notation, or an IPv6 address with a zone.

    Resolvers also accept forms such as `0x7f.1`, `2130706433` and `0177.0.0.1`, and interpret them differently.
    """
    bare = host.strip("[]").rstrip(".")
    if ":" in bare or "%" in bare:
        return "%" in bare
    last = bare.rpartition(".")[2]
    return bool(_NUMBER.fullmatch(last)) and not (_PLAIN_IPV4.fullmatch(bare) and bare == host)


def no_cookies() -> CookieJar:
    """Returns a cookie jar that stores nothing, for an HTTP client that several callers share."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


@cache
def tls_context() -> ssl.SSLContext:
    """Returns the TLS context of this process. To load the certificates of all authorities takes 20 ms."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)
