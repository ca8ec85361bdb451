"""Rules for the addresses that connections lead to, also for libraries that know nothing of them."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from connectors.egress import Egress, Policy

GUARDED = """
import socket, urllib.request
from connectors.egress import Egress, Policy
Egress(private=True, denied=("127.0.0.2/32",), policies=(Policy("egp_1", ports=(9,)),)).guard()
try:
    {attempt}
except OSError as error:
    cause = getattr(error, "reason", error)  # urllib has another around it
    print("refused:" if isinstance(cause, PermissionError) else "connected:", cause)
"""


@pytest.mark.parametrize(
    ("rules", "address", "allowed"),
    [
        (Egress(), "93.184.215.14", True),
        (Egress(), "10.0.0.1", False),
        (Egress(), "127.0.0.1", False),
        (Egress(), "169.254.169.254", False),
        (Egress(), "::ffff:10.0.0.1", False),
        (Egress(private=True), "10.0.0.1", True),
        (Egress(private=True, denied=("10.0.0.0/8",)), "10.1.2.3", False),
        (Egress(private=True, denied=("10.0.0.0/8",)), "::ffff:10.1.2.3", False),
        (Egress(allowed=("10.0.0.0/8",)), "10.1.2.3", True),
        (Egress(allowed=("10.0.0.0/8",)), "93.184.215.14", False),
        (Egress(allowed=("10.0.0.0/8",), denied=("10.1.0.0/16",)), "10.1.2.3", False),
        (Egress(private=True), "db.example.org", False),
        (Egress(policies=(Policy("egp_1", ports=(5432,)),)), "93.184.215.14", True),
        (Egress(policies=(Policy("egp_1", ports=(443,)),)), "93.184.215.14", False),
        (Egress(policies=(Policy("egp_1", denied=("93.0.0.0/8",)),)), "::ffff:93.184.215.14", False),
        (Egress(policies=(Policy("egp_1", allowed=("10.0.0.0/8",)),)), "10.0.0.1", False),
        (Egress(private=True, policies=(Policy("egp_1", allowed=("10.0.0.0/8",)),)), "10.0.0.1", True),
        (
            Egress(private=True, policies=(Policy("a", allowed=("10.0.0.0/8",)), Policy("b", ports=(1,)))),
            "10.0.0.1",
            False,
        ),
    ],
)
def test_a_rule_decides_for_each_address(rules: Egress, address: str, allowed: bool) -> None:
    assert (rules.fault(address, 5432) == "") is allowed


def test_one_private_address_of_a_name_is_enough_to_refuse_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(PermissionError, match=r"10\.0\.0\.1 is a private address"):
        Egress().resolve("db.example.org", 5432)
    assert Egress(private=True).resolve("db.example.org", 5432) == "93.184.215.14"


@pytest.mark.parametrize(
    ("attempt", "outcome"),
    [
        ("socket.create_connection(('127.0.0.2', 9), 2)", "refused"),
        ("urllib.request.urlopen('http://127.0.0.2:9/', timeout=2)", "refused"),
        ("socket.socket().connect(('localhost', 9))", "refused"),
        ("socket.socket(socket.AF_UNIX).connect('/tmp/none')", "refused"),
        ("socket.create_connection(('127.0.0.1', 10), 2)", "refused"),
        ("socket.create_connection(('127.0.0.1', 9), 2)", "connected"),
    ],
)
def test_a_guarded_process_connects_nowhere_else(attempt: str, outcome: str) -> None:
    """A name that is given to a socket itself is refused: the system would resolve it after the check."""
    program = GUARDED.format(attempt=attempt)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(outcome), done.stdout
