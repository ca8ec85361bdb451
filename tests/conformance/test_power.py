"""No principal obtains, directly or through another one, a right that they do not hold now.

The kind: an operation that lets its caller act as another principal, grants or restores a right, or removes a limit,
without asking whether the caller holds what it gives. `test_power_declared.py` finds which operations do so; here each
of them is called by callers of every strength.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.api.admin.tenants import made
from tests.api_process import running
from tests.conformance.power_cases import CASES
from tests.conformance.power_world import World, columns
from tests.orchestration import FakeOrchestrator, FakePublisher

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    orchestrator = FakeOrchestrator()
    publisher = FakePublisher(orchestrator)
    async with running(tmp_path_factory.mktemp("home"), orchestrator, publisher=publisher) as api:
        publisher.database = api.database
        yield await World.begin(api)


@pytest.mark.parametrize("operation", sorted(CASES))
async def test_a_caller_gives_just_what_they_hold(world: World, operation: str) -> None:
    one = CASES[operation]
    wrong = {}
    for relation, column in columns(world, one).items():
        _, caller = await world.caller(*column.rights, scopes=column.scopes)
        method, path, body = await one.prepare(world, column.gift)
        found = world.api.app.registry.find(f"/api/v1/{path}")
        assert found
        assert str(found.endpoint(method)) == operation, "the case calls another operation"
        reply = await caller(method, path, **({} if body is None else {"json": body}))
        if column.allowed != (reply.status < 300) or reply.status >= 500:
            wrong[relation] = reply.response.text or reply.status
        elif not column.allowed and reply.status not in one.refused:
            wrong[relation] = reply.response.text
    assert not wrong


async def test_a_limited_key_controls_no_more_of_its_owner_than_it_can_do(world: World) -> None:
    """The kind: an operation on one's own account, called with a key that is limited, opens all of the account."""
    owner, limited = await world.caller(("rol_admin", world.organization, "ALLOW"), scopes=("admin.*",))
    key = (await world.post("admin/api-keys", {"label": "whole", "principal_id": owner}))["id"]
    code = {"code": "123456"}
    for path, body in (
        (f"admin/api-keys/{key}:rotate", {}),
        (f"admin/users/{owner}:set-password", {"password": "another long password"}),
        (f"admin/users/{owner}:enroll-one-time-password", {}),
        (f"admin/users/{owner}:confirm-one-time-password", code),
        (f"admin/users/{owner}:disable-one-time-password", code),
        (f"admin/users/{owner}:renew-recovery-codes", code),
    ):
        reply = await limited.post(path, body)
        assert (reply.status, reply.reason) == (403, "EXCEEDS_RIGHTS"), path
    changed = await limited("PATCH", f"admin/users/{owner}", json={"spec": {"emails": ["mine@example.org"]}})
    assert (changed.status, changed.reason) == (403, "EXCEEDS_RIGHTS")
    assert (await limited.post("admin/api-keys", {"label": "wider", "scopes": ["*"]})).status == 403
    own = await made(limited.post("admin/api-keys", {"label": "the same"}))
    assert own["scopes"] == ["admin.*"]
    assert (await limited.post(f"admin/api-keys/{own['id']}:rotate", {})).status == 200
