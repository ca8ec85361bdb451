"""Ports for servers that are told where to listen."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Below the ports of outgoing connections: one of them may be taken before a server has started.
_RANGE = (10_000, 32_000)


def free_ports(count: int) -> int:
    """Returns the first of some neighbouring free ports on loopback, chosen at random, since others choose, too."""
    while True:
        first = random.randrange(_RANGE[0], _RANGE[1] - count)
        with ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first


def free_port() -> int:
    """Returns a free port on loopback."""
    return free_ports(1)
