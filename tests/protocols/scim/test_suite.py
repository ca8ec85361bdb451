"""scim2-tester, the public compliance suite, over HTTP."""

from __future__ import annotations

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from tests.api_server import Server


def test_the_public_compliance_suite_finds_nothing(server: Server) -> None:
    headers = {"authorization": f"Bearer {server.tokens['acme']}"}
    with Client(base_url=f"{server.url}/scim/v2", headers=headers) as http:
        results = check_server(SyncSCIMClient(http))
    faults = [f"{one.title}: {one.reason}" for one in results if one.status in (Status.ERROR, Status.CRITICAL)]
    assert faults == [], "\n".join(faults)
    passed = [one.title for one in results if one.status is Status.SUCCESS]
    assert len(passed) > 100
