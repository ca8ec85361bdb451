"""Hostile but well-typed values in every field of every operation: none is answered with a 5xx.

The kind: a value passes the model and breaks what comes behind it (a column, a parser, a date, a library). One pass
over all operations puts one hostile value after the other into each place of a request that is otherwise right, on
things that exist, as the admin. Values are chosen by schema (see `hostile.py`): no operation or field is named here.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from api.kernel.documents.openapi import document
from api.kernel.kinds.endpoint import Answer, Endpoint
from api.main import SERVICES
from tests.api_process import Api, Caller, running
from tests.conformance.examples import DRAFTS
from tests.conformance.hostile import leaves, placed, pool
from tests.conformance.operations import ENDPOINTS, minimal, url
from tests.conformance.test_tenants import Estate, estate
from tests.orchestration import FakeOrchestrator

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENDS = ("admin_logout", "admin_delete_session", "admin_update_settings")
"""Would end the logins that the pass is made with."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Api, Estate]]:
    # No limit, and no address outside is asked for: the pass is one caller's flood.
    async with running(tmp_path_factory.mktemp("home"), FakeOrchestrator(), HEADWATER_RATE_LIMIT="") as api:
        yield api, await estate(api, "one", "hostile")


DOCUMENTS = {service.name: document(service) for service in SERVICES}


def right(endpoint: Endpoint) -> dict[str, Any]:
    """A body that fits the operation."""
    drafts = DRAFTS.get(endpoint.kind.full_name)
    if drafts and endpoint.verb == "create":
        return {"name": "hostile", "spec": drafts[0]}
    return minimal(endpoint)


def attacks(endpoint: Endpoint) -> list[tuple[str, dict[str, Any]]]:
    """Options of requests, each with one hostile value, and where it is."""
    made = DOCUMENTS[endpoint.service]
    described = made["paths"][endpoint.path][endpoint.method.lower()]
    found: list[tuple[str, dict[str, Any]]] = []
    body = right(endpoint)
    base = {"json": body} if endpoint.request is not None else {}
    for parameter in described.get("parameters", ()):
        if parameter["in"] == "query":
            name = parameter["name"]
            for _, schema in leaves(parameter["schema"], made):
                found += [(f"?{name}", {**base, "params": {name: str(value)}}) for value in pool(schema, name)]
    if endpoint.request is not None:
        (media,) = described["requestBody"]["content"].values()
        for path, leaf in leaves(media["schema"], made):
            place = "/".join(map(str, path))
            values = pool(leaf, str(path[-1]) if path else "")
            found += [(place, {"content": json.dumps(placed(body, path, value))}) for value in values]
    return found


async def status_of(caller: Caller, endpoint: Endpoint, address: str, options: dict[str, Any]) -> int:
    if "content" in options:
        options = options | {"headers": {"content-type": "application/json"}}
    if endpoint.answer is not Answer.STREAM:
        return (await caller(endpoint.method, address, **options)).status
    # A stream that begins has no end: its status is its first word, and its first pieces tell of a fault.
    status, first_bytes = await caller.begun(address, options.get("params", {}))
    return 500 if b"event: error" in first_bytes else status


KINDS = sorted({endpoint.kind.full_name for endpoint in ENDPOINTS})


@pytest.mark.parametrize("kind", KINDS)
async def test_no_value_breaks_an_operation(home: tuple[Api, Estate], kind: str) -> None:
    api, known = home
    faults: list[str] = []
    for endpoint in ENDPOINTS:
        if endpoint.kind.full_name != kind or endpoint.operation_id in ENDS:
            continue
        address = url(endpoint, known.ids.get(kind) if endpoint.shape.on_item else None)
        for place, options in attacks(endpoint):
            status = await status_of(api.admin, endpoint, address, dict(options))
            if status >= 500 and status not in (502, 503, 504):
                input_text = str(options.get("content") or options.get("params"))[:160]
                faults.append(f"{status} {endpoint} {place} {input_text}")
    assert not faults, "\n".join([f"{len(faults)} faults", *faults])


async def test_there_is_something_to_send() -> None:
    """So that the pass does not pass because a schema is no longer read."""
    found = {str(endpoint): len(attacks(endpoint)) for endpoint in ENDPOINTS}
    assert sum(found.values()) > 5 * len(ENDPOINTS)
    bodies = [str(endpoint) for endpoint in ENDPOINTS if endpoint.request and endpoint.request.model_fields]
    assert sum(found[name] > 0 for name in bodies) > 0.9 * len(bodies)
