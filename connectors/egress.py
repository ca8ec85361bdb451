"""Which addresses a connection may go to, enforced on every connect of a process after names are resolved."""

from __future__ import annotations

import ipaddress
import socket
import sys
from dataclasses import dataclass
from typing import Any

from core.egress import is_disguised, is_public


@dataclass(frozen=True, slots=True)
class Egress:
    """Rules for outgoing connections. A denied network wins over everything else."""

    private: bool = False
    """Whether private and loopback addresses are allowed."""
    denied: tuple[str, ...] = ()
    """Networks in CIDR notation that are never reached."""
    allowed: tuple[str, ...] = ()
    """Networks in CIDR notation. If there are any, no other address is reached."""

    def fault(self, address: str) -> str:
        """Returns why an IP address may not be reached, or an empty text if it may."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return f"{address} is not an IP address."
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        if any(ip in ipaddress.ip_network(network) for network in self.denied):
            return f"{address} is in a network that connections may not reach."
        if self.allowed:
            if any(ip in ipaddress.ip_network(network) for network in self.allowed):
                return ""
            return f"{address} is not in a network that connections may reach."
        if not self.private and not is_public(address):
            return f"{address} is a private address. The operator can allow private addresses."
        return ""

    def resolve(self, host: str, port: int) -> str:
        """Returns the address of a host to connect to.

        Connect to the address, not to the name, which may resolve to another address at the next lookup.

        Raises:
            PermissionError: an address of the host may not be reached.
            OSError: the name doesn't resolve.
        """
        if not self.private and is_disguised(host):
            raise PermissionError(f"{host} is not a plain IP address or host name and may encode a private address.")
        addresses = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for address in addresses:
            if fault := self.fault(address):
                raise PermissionError(fault)
        return addresses[0]

    def guard(self) -> None:
        """Makes every socket of this process obey the rules permanently, whichever library opens it.

        Drivers in C don't open Python sockets: they get an address from `resolve`.
        """

        def refuse(event: str, arguments: tuple[Any, ...]) -> None:
            if event not in ("socket.connect", "socket.sendto"):
                return
            opened, address = arguments[0], arguments[-1]
            if opened.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
                raise PermissionError("Connections use TCP over IP only.")
            if opened.type == socket.SOCK_DGRAM:
                return  # a lookup of a name
            if fault := self.fault(str(address[0])):
                raise PermissionError(fault)

        sys.addaudithook(refuse)
