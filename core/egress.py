"""Where the platform may connect on a user's word: public addresses only, unless the operator says otherwise."""

from __future__ import annotations

import ipaddress
import socket


def is_public(address: str) -> bool:
    """Whether an IP address is reachable from anywhere: not private, loopback, link-local or reserved."""
    parsed = ipaddress.ip_address(address.split("%")[0])
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_global


def resolve(host: str, port: int, *, private: bool) -> str:
    """The address to connect to. Connect to it and not to the name, which may resolve anew at every look-up.

    Raises:
        PermissionError: the name has a private address and `private` is not set.
        OSError: the name does not resolve.
    """
    found = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not private and not all(is_public(address) for address in found):
        raise PermissionError(f"{host} is a private address.")
    return found[0]
