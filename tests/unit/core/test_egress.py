"""Fault kind: a private address passes as public, because the check knows fewer address forms than the network.

Transition addresses embed private addresses, registries reserve networks, and resolvers read numbers as addresses.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import egress

PUBLIC = (
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
)
PRIVATE_V4 = (
    *("0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.0.1", "169.254.169.254", "172.16.0.1"),
    *("192.0.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
)
PRIVATE_V6 = (
    *(
        "::",
        "::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "5f00::1",
        "4000::1",
    ),
    *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1"),
    *(
        "64:ff9b:1::1",
        "64:ff9b:1::808:808",
        "3fff::1",
        "3ffe::1",
        "fe80::1%eth0",
        "2606:4700:4700::1111%eth0",
        "e000::1",
    ),
)


def embedding_addresses(v4: str) -> list[str]:
    """Returns the IPv6 addresses that embed an IPv4 address."""
    number = int(ipaddress.IPv4Address(v4))
    prefixes = ("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::")
    addresses = [str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | number)) for prefix in prefixes]
    return [*addresses, str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1))]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert egress.is_public(address)


@pytest.mark.parametrize("address", [*PRIVATE_V4, *PRIVATE_V6, "", "localhost", "127.1", "0x7f000001"])
def test_no_other_address_is_public(address: str) -> None:
    assert not egress.is_public(address)


@given(st.sampled_from((*PRIVATE_V4, *PUBLIC[:2])))
def test_a_transition_address_is_public_if_its_embedded_address_is(v4: str) -> None:
    for address in embedding_addresses(v4):
        assert egress.is_public(address) == egress.is_public(v4), address


@given(st.ip_addresses(v=6))
def test_public_ipv6_addresses_are_in_the_allocated_range(address: ipaddress.IPv6Address) -> None:
    if egress.is_public(str(address)):
        assert address in ipaddress.IPv6Network("2000::/3") or int(address) >> 32 in (
            *(0, 0xFFFF, 0xFFFF0000),
            0x0064FF9B << 64,
        )


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "017700000001", "127.0.0.1.", "0"),
        *("0x7f.0.0.0x1", "0X7F.0.0.1", "127.0.0.01", "010.0.0.1", "256.0.0.1", "1.2.3.4.5", "8.8.8.8.", "134744072"),
        *("fe80::1%eth0", "[fe80::1%25eth0]", "evil.0x7f", "::1%1"),
    ],
)
def test_a_number_that_resolvers_read_as_an_address_is_refused(host: str) -> None:
    with pytest.raises(PermissionError):
        egress.resolve(host, 80, private=False)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "example.org", "example.org.", "1e100.net", "2606:4700::1", "xn--bcher-kva.ch"]
)
def test_plain_addresses_and_names_are_not_disguised(host: str) -> None:
    assert not egress.is_disguised(host)


@pytest.mark.parametrize(
    "host", [*PRIVATE_V4[2:9], "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "\uff11\uff12\uff17.0.0.1", "localhost"]
)
def test_private_addresses_are_refused_unless_allowed(host: str) -> None:
    with pytest.raises(PermissionError):
        egress.resolve(host, 80, private=False)


def test_a_name_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(PermissionError):
        egress.resolve("two.test", 80, private=False)
    assert egress.resolve("two.test", 80, private=True) == "8.8.8.8"
