"""Groups IP addresses into callers, for limits per caller."""

from __future__ import annotations

import ipaddress


def caller_network(address: str) -> str:
    """Returns the network that counts as one caller.

    For IPv4, this is the address itself. For IPv6, it's the /64 network, because providers assign whole /64 networks.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))
