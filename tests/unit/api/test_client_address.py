"""The kind of fault: what anybody can write in a header, or shares with others, decides who is counted.

Behind a proxy all callers have the proxy's address, so one of them could use up the tries of all; and a server that
believes every header lets each caller choose an address.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.kernel.http.client_address import ClientAddress
from core.errors import InvalidArgument

PROXIES = "10.0.0.0/8, ::1/128,fd00::/8"


def scope(peer: str, *forwarded: str, **others: str) -> Any:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [(name.replace("_", "-").encode(), value.encode()) for name, value in others.items()]
    return {"type": "http", "client": (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.7",), "203.0.113.7"),
        ("10.0.0.1", ("1.1.1.1, 203.0.113.7",), "203.0.113.7"),
        ("10.0.0.1", ("1.1.1.1", "203.0.113.7"), "203.0.113.7"),
        ("10.0.0.1", ("1.1.1.1, 203.0.113.7, 10.0.0.2",), "203.0.113.7"),
        ("10.0.0.1", ("10.9.9.9, 203.0.113.7",), "203.0.113.7"),
        ("10.0.0.1", ("10.9.9.9",), "10.9.9.9"),
        ("10.0.0.1", ("203.0.113.7:4711",), "203.0.113.7"),
        ("10.0.0.1", ("[2001:db8::7]:4711",), "2001:db8::7"),
        ("::1", ("2001:db8::7",), "2001:db8::7"),
        ("::ffff:10.0.0.1", ("203.0.113.7",), "203.0.113.7"),
        ("10.0.0.1", ("203.0.113.7, unknown",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.7, ",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.7, junk, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("for=1.1.1.1",), "10.0.0.1"),
        ("192.0.2.1", ("203.0.113.7",), "192.0.2.1"),
        ("", ("203.0.113.7",), ""),
    ],
)
def test_the_address_is_what_the_last_trusted_proxy_saw(peer: str, forwarded: tuple[str, ...], expected: str) -> None:
    assert ClientAddress(PROXIES).of(scope(peer, *forwarded)) == expected


@given(st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")), max_size=4))
def test_nothing_that_a_caller_writes_changes_their_address(written: list[str]) -> None:
    honest = ClientAddress(PROXIES)
    assert ClientAddress().of(scope("10.0.0.1", *written)) == "10.0.0.1", "without a trusted proxy none is believed"
    assert honest.of(scope("203.0.113.7", *written)) == "203.0.113.7", "nor one who is no proxy"
    # The proxy appends what it saw, in the same header or in a separate one.
    assert honest.of(scope("10.0.0.1", *written, "203.0.113.7")) == "203.0.113.7"
    assert honest.of(scope("10.0.0.1", ", ".join((*written, "203.0.113.7")))) == "203.0.113.7"


def test_no_other_header_is_read() -> None:
    others = {"forwarded": "for=1.1.1.1", "x_real_ip": "1.1.1.1", "x_client_ip": "1.1.1.1", "true_client_ip": "1.1.1.1"}
    assert ClientAddress(PROXIES).of(scope("10.0.0.1", "203.0.113.7", **others)) == "203.0.113.7"
    assert ClientAddress(PROXIES).of(scope("10.0.0.1", **others)) == "10.0.0.1"


@pytest.mark.parametrize("networks", ["10.0.0.0/33", "proxy", "10.0.0.1/8", "*", "10.0.0.0/8;::1"])
def test_what_is_no_network_is_refused(networks: str) -> None:
    with pytest.raises(InvalidArgument):
        ClientAddress(networks)
