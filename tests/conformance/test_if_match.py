"""`If-Match` is checked or refused: no operation ignores it.

The kind: a client sends a precondition, the operation does not know it, and the change overwrites one that the client
did not see.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from api.services.ai_catalog.reproduction_tables import REPRODUCTION
from api.services.connections.connection_tables import SCHEMA_SNAPSHOT
from api.services.connections.storage_tables import CREDENTIAL_LEASE
from core import clock
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
        known.ids |= await _items_of_assets(api)
        known.ids["connections.lease"] = _lease(api, known)
        known.ids["connections.schema_snapshot"] = _snapshot(api, known)
        known.ids["ai_catalog.definition"] = (await made(api.admin.post("ai-catalog/definitions", definition)))["id"]
        yield api, known


def _lease(api: Api, known: Estate) -> str:
    """The record of a credential, which only a store can vend."""
    place = {"organization_id": known.tenant.organization, "project_id": known.tenant.project}
    of = {f"{name}_id": known.ids[f"connections.{name}"] for name in ("external_location", "storage_credential")}
    content = {"url": "s3://lake/raw/", "path": "", "access": "READ", "form": "KEYS", "key_id": "AKIA"}
    whose = {"principal_id": known.tenant.admin_id, "created_by": "admin", "created_at": clock.now()}
    values = {"id": "lea_1", "expires_at": clock.now(), **place, **of, **content, **whose}
    with api.database.write() as connection:
        connection.execute(CREDENTIAL_LEASE.insert().values(values))
    return "lea_1"


def _snapshot(api: Api, known: Estate) -> str:
    """The record of a schema, which only a database can have."""
    place = {"organization_id": known.tenant.organization, "project_id": known.tenant.project}
    of = {"connection_id": known.ids["connections.connection"], "state": "COMPLETE", "position": "", "tables": 0}
    values = {"id": "scs_1", "created_at": clock.now(), "created_by": "admin", **place, **of}
    with api.database.write() as connection:
        connection.execute(SCHEMA_SNAPSHOT.insert().values(values))
    return "scs_1"


async def _items_of_assets(api: Api) -> dict[str, str]:
    """Items that refer to an asset of the orchestrator, which is in no project of an estate."""
    asset, now = "flights.gold.daily", clock.now()
    contract = {"asset": asset, "contact": "Data", "terms": {"columns": [{"name": "n", "type": "int64"}]}}
    await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    release = {"asset": asset, "copies": "flights", "reason": "Public."}
    request = {"asset": asset, "copies": "flights", "purpose": "A report."}
    recorded: dict[str, Any] = {"inputs": {}}
    reproduction = {"id": "rep_1", "organization_id": "org_default", "asset": asset, "version": "abc@1"}
    with api.database.write() as connection:
        connection.execute(
            REPRODUCTION.insert().values(
                **reproduction, operation_id="opr_1", recorded=recorded, created_at=now, created_by="admin"
            )
        )
    dataset = {"asset": asset, "title": "Daily"}
    return {
        "admin.preferences": "current",
        "ai_catalog.access_request": (await made(api.admin.post("ai-catalog/access-requests", request)))["id"],
        "ai_catalog.dataset": (await made(api.admin.post("ai-catalog/datasets", dataset)))["id"],
        "ai_catalog.contract": (await made(api.admin.post("ai-catalog/contracts", contract)))["id"],
        "ai_catalog.release": (await made(api.admin.post("ai-catalog/releases", release)))["id"],
        "ai_catalog.subscription": (await made(api.admin.post("ai-catalog/subscriptions", {"asset": asset})))["id"],
        "ai_catalog.reproduction": "rep_1",
    }


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
