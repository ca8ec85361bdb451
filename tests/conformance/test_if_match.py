"""`If-Match` is checked or refused: no operation ignores it.

The kind: a client sends a precondition, the operation does not know it, and the change overwrites one that the client
did not see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.api.admin.tenants import made
from tests.api_process import Api, running
from tests.conformance.operations import ENDPOINTS, minimal, url
from tests.conformance.test_tenants import Estate, estate
from tests.orchestration import FakeOrchestrator

pytestmark = pytest.mark.asyncio(loop_scope="module")

STALE = {"if-match": '"0-stale"'}
CHANGES = [endpoint for endpoint in ENDPOINTS if endpoint.changes]
OF_DELETED = ("restore", "purge")
"""Verbs of deleted resources. Here they find a live one, which they refuse before they look at its version."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Api, Estate]]:
    async with running(tmp_path_factory.mktemp("home"), FakeOrchestrator(), HEADWATER_RATE_LIMIT="") as api:
        known = await estate(api, "one", "versions")
        definition = {"component": "SqlTransformComponent", "attributes": {"asset": "one_data.gold.sums", "sql": "1"}}
        known.ids["ai_catalog.definition"] = (await made(api.admin.post("ai-catalog/definitions", definition)))["id"]
        yield api, known


async def test_an_operation_that_does_not_check_it_refuses_it(home: tuple[Api, Estate]) -> None:
    api, _ = home
    others = [endpoint for endpoint in CHANGES if not endpoint.versioned]
    assert len(others) > 40
    for endpoint in others:
        before = api.last_sequence()
        options: dict[str, Any] = {} if endpoint.request is None else {"json": minimal(endpoint)}
        reply = await api.admin(endpoint.method, url(endpoint), headers=STALE, **options)
        assert (reply.status, "If-Match" in reply.json["detail"]) == (400, True), f"{endpoint}: {reply.response.text}"
        assert api.last_sequence() == before


async def test_an_operation_that_checks_it_refuses_a_stale_version(home: tuple[Api, Estate]) -> None:
    api, known = home
    versioned = [endpoint for endpoint in CHANGES if endpoint.versioned]
    assert len(versioned) > 40
    for endpoint in versioned:
        options: dict[str, Any] = {} if endpoint.request is None else {"json": minimal(endpoint)}
        address = url(endpoint, known.ids[endpoint.kind.full_name])
        reply = await api.admin(endpoint.method, address, headers=STALE, **options)
        expected = 409 if endpoint.verb in OF_DELETED else 412
        assert reply.status == expected, f"{endpoint}: {reply.response.text}"
