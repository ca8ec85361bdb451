"""Which addresses a connection may go to, enforced on every connect of a process after names are resolved."""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.egress import is_disguised, is_public


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of an organization. It refuses more than the rules of the operator, never less."""

    id: str
    denied: tuple[str, ...] = ()
    """Networks in CIDR notation that are never reached."""
    allowed: tuple[str, ...] = ()
    """Networks in CIDR notation. If there are any, no other address is reached."""
    ports: tuple[int, ...] = ()
    """Ports. If there are any, no other port is reached."""

    def fault(self, address: str, port: int) -> str:
        """Returns why an address and port may not be reached, or an empty text if they may."""
        if self.ports and port not in self.ports:
            return f"Port {port} is not one that the egress policy {self.id} allows."
        ip = _parsed(address)
        if any(ip in ipaddress.ip_network(network) for network in self.denied):
            return f"{address} is in a network that the egress policy {self.id} denies."
        if self.allowed and not any(ip in ipaddress.ip_network(network) for network in self.allowed):
            return f"{address} is in no network that the egress policy {self.id} allows."
        return ""


@dataclass(frozen=True, slots=True)
class Egress:
    """Rules for outgoing connections. A denied network wins over everything else."""

    private: bool = False
    """Whether private and loopback addresses are allowed."""
    denied: tuple[str, ...] = ()
    """Networks in CIDR notation that are never reached."""
    allowed: tuple[str, ...] = ()
    """Networks in CIDR notation. If there are any, no other address is reached."""
    policies: tuple[Policy, ...] = ()
    """Policies of the organization. All of them apply."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Egress:
        """Returns the rules with these values, as `dataclasses.asdict` and JSON change them."""
        lists = {name: tuple(values[name]) for name in ("denied", "allowed")}
        policies = [
            Policy(one["id"], *(tuple(one[name]) for name in ("denied", "allowed", "ports")))
            for one in values["policies"]
        ]
        return cls(values["private"], **lists, policies=tuple(policies))

    def fault(self, address: str, port: int) -> str:
        """Returns why an IP address and port may not be reached, or an empty text if they may."""
        if fault := self.platform_fault(address):
            return fault
        return next((fault for policy in self.policies if (fault := policy.fault(address, port))), "")

    def platform_fault(self, address: str) -> str:
        """Returns why the operator lets no connection reach an IP address, or an empty text."""
        try:
            ip = _parsed(address)
        except ValueError:
            return f"{address} is not an IP address."
        if any(ip in ipaddress.ip_network(network) for network in self.denied):
            return f"{address} is in a network that connections may not reach."
        if self.allowed:
            if any(ip in ipaddress.ip_network(network) for network in self.allowed):
                return ""
            return f"{address} is not in a network that connections may reach."
        if not self.private and not is_public(address):
            return f"{address} is a private address. The operator can allow private addresses."
        return ""

    def disguises(self, host: str) -> bool:
        """Returns whether a host may encode a private address, which is not allowed."""
        return not self.private and is_disguised(host)

    def resolve(self, host: str, port: int) -> str:
        """Returns the address of a host to connect to.

        Connect to the address, not to the name, which may resolve to another address at the next lookup.

        Raises:
            PermissionError: an address of the host may not be reached.
            OSError: the name doesn't resolve.
        """
        if self.disguises(host):
            raise PermissionError(f"{host} is not a plain IP address or host name and may encode a private address.")
        addresses = [str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
        for address in addresses:
            if fault := self.fault(address, port):
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
            if fault := self.fault(str(address[0]), address[1]):
                raise PermissionError(fault)

        sys.addaudithook(refuse)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Returns an address. One of IPv4 that is written as IPv6 becomes one of IPv4."""
    ip = ipaddress.ip_address(address)
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip
