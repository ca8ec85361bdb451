"""The kind of fault: what one principal does is counted for all who share an address.

Behind a proxy, and behind the one address of a company, a caller who fails or asks too often must not stop others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.admin.tenants import made
from tests.api_process import PASSWORD, Api, Caller, Reply, running
from tests.orchestration import FakeOrchestrator

PROXY = "10.0.0.1"
LIMITS = {"HEADWATER_RATE_LIMIT_ANONYMOUS": "60/minute", "HEADWATER_RATE_LIMIT": "60/minute"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A platform that trusts one network of proxies."""
    async with running(tmp_path, FakeOrchestrator(), HEADWATER_TRUSTED_PROXIES="10.0.0.0/8") as started:
        yield started


async def log_in(caller: Caller, password: str, address: str, name: str = "viewer") -> Reply:
    headers = {"x-forwarded-for": address}
    return await caller.post("admin/sessions:login", {"name": name, "password": password}, headers=headers)


async def test_failed_logins_of_one_address_behind_a_proxy_stop_no_other(api: Api) -> None:
    behind = Caller(api.app, None, client=PROXY)
    statuses = [(await log_in(behind, "wrong", "203.0.113.7", f"absent{n}")).status for n in range(33)]
    assert statuses[-1] == 429
    assert (await log_in(behind, PASSWORD, "203.0.113.7")).status == 429
    assert (await log_in(behind, PASSWORD, "203.0.113.8")).status == 200
    session = (await made(api.admin.get("admin/audit-events?filter=type == 'admin.session.logged_in'")))["items"][-1]
    assert "10.0.0.1" not in str(session)


async def test_a_caller_does_not_choose_an_address(api: Api) -> None:
    """Neither one who is no proxy, nor one behind a proxy by what they write before it."""
    direct, behind = Caller(api.app, None, client="203.0.113.7"), Caller(api.app, None, client=PROXY)
    for n in range(33):
        last = await log_in(direct, "wrong", f"198.51.100.{n}", f"absent{n}")
        other = await log_in(behind, "wrong", f"198.51.100.{n}, 203.0.113.9", f"other{n}")
    assert (last.status, other.status) == (429, 429)


async def test_a_network_of_one_customer_is_one_address(api: Api) -> None:
    """The owner of an IPv6 network has 2^64 addresses."""
    statuses = [
        (await log_in(Caller(api.app, None, client=f"2001:db8::{n}"), "wrong", "", f"absent{n}")).status
        for n in range(1, 34)
    ]
    assert statuses[-1] == 429


async def test_requests_of_a_principal_are_their_own(tmp_path: Path) -> None:
    async with running(tmp_path, FakeOrchestrator(), HEADWATER_TRUSTED_PROXIES="10.0.0.0/8", **LIMITS) as api:
        viewer, editor = api.caller("viewer", client=PROXY), api.caller("editor", client=PROXY)
        statuses = [(await viewer.get("admin/sessions/current")).status for _ in range(61)]
        assert statuses[-1] == 429
        assert (await editor.get("admin/sessions/current")).status != 429
        unknown = Caller(api.app, "wrong", client=PROXY)
        for address, expected in (("203.0.113.7", 429), ("203.0.113.8", 401)):
            count = 61 if expected == 429 else 1
            headers = {"x-forwarded-for": address}
            statuses = [(await unknown.get("admin/users", headers=headers)).status for _ in range(count)]
            assert statuses[-1] == expected
        assert (await editor.get("admin/sessions/current", headers={"x-forwarded-for": "203.0.113.7"})).status != 429
