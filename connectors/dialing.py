"""The first steps of every test: the name resolves to an address that may be reached, and its port answers."""

from __future__ import annotations

import socket

from connectors.connector import Detail, Failed, Link

CONNECT_SECONDS = 8.0


def dial(step: str, link: Link, host: str, port: int) -> Detail:
    """Resolves a host, or connects to it, and leaves the address in `link.opened`."""
    if step == "resolve":
        link.opened["address"] = address_of(link, host, port)
        return f"{host} has the address {link.opened['address']}."
    address = link.opened["address"]
    try:
        socket.create_connection((address, port), CONNECT_SECONDS).close()
    except TimeoutError as error:
        raise Failed("HOST_TIMEOUT", f"{host} ({address}) did not answer on port {port}. Check firewalls.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise Failed("HOST_REFUSED", f"{host} ({address}) refused a connection on port {port}: {reason}.") from error
    return f"Port {port} answers."


def address_of(link: Link, host: str, port: int) -> str:
    """Returns the address to connect to.

    Raises:
        Failed: the name doesn't resolve, or its address may not be reached.
    """
    try:
        return link.egress.resolve(host, port)
    except PermissionError as error:
        raise Failed("EGRESS_DENIED", f"{error} Ask an administrator of the network rules.") from error
    except (OSError, UnicodeError) as error:
        raise Failed("UNKNOWN_HOST", f"The name {host!r} doesn't resolve. Check its spelling.") from error
