"""What says that it gives nothing gives nothing.

The kind: an operation declares `Power.NOTHING`, and a principal holds more after it than before, or gets in where they
did not. Each such operation is called by the platform's admin on what could give most: things that deny something, or
whose holders hold everything. Before and after, the rights, credentials and ways in of all principals are read from
the database and compared by the function that judges power itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from api.kernel.credentials import accounts
from api.kernel.permissions.access import Access
from api.kernel.permissions.grants import access_of
from api.kernel.permissions.power import Power, excess
from api.kernel.tables import PRINCIPAL, TOKEN
from core import clock
from tests.api_process import running
from tests.conformance import powerless_catalog, powerless_places, powerless_principals  # noqa: F401 - register cases
from tests.conformance.operations import ENDPOINTS
from tests.conformance.power_world import World
from tests.conformance.powerless_case import CASES, whole_organization
from tests.orchestration import FakeOrchestrator, FakePublisher

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOTHINGS = sorted(str(one) for one in ENDPOINTS if one.changes and one.power == Power.NOTHING)


@dataclass(frozen=True)
class State:
    """What all principals hold, and how they get in."""

    rights: dict[str, Access]
    working: set[str]
    """Accounts whose credentials work."""
    credentials: dict[str, tuple[Any, ...]]
    """Of each account its password, and what is asked for beside it."""
    tokens: dict[str, Any]
    """Keys and logins that work, with their ends."""

    @classmethod
    def read(cls, world: World) -> State:
        platform = world.api.app.platform
        with platform.database.read() as connection:
            rows = connection.execute(sa.select(PRINCIPAL)).all()
            living = sa.select(TOKEN.c.id, TOKEN.c.expires_at).where(
                TOKEN.c.revoked_at.is_(None), TOKEN.c.expires_at > clock.now()
            )
            return cls(
                {row.id: access_of(connection, row.id, platform.permissions) for row in rows},
                set(connection.execute(sa.select(PRINCIPAL.c.id).where(accounts.ACTIVE)).scalars()),
                {row.id: (row.password_hash, row.one_time_password) for row in rows},
                {row.id: row.expires_at for row in connection.execute(living)},
            )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    home = tmp_path_factory.mktemp("home")
    orchestrator = FakeOrchestrator()
    publisher = FakePublisher(orchestrator)
    settings = {"HEADWATER_PURGE_AFTER_DAYS": "0", "HEADWATER_RATE_LIMIT": ""}
    async with running(home, orchestrator, publisher=publisher, **settings) as api:
        publisher.database = api.database
        yield await World.begin(api)


@pytest.mark.parametrize("operation", NOTHINGS)
async def test_nobody_holds_more_after_it(world: World, operation: str) -> None:
    caller = world.api.admin
    try:
        method, path, body = await CASES[operation](world)
        found = world.api.app.registry.find(f"/api/v1/{path}")
        assert found
        assert str(found.endpoint(method)) == operation, "the case calls another operation"
        before = State.read(world)
        reply = await world.api.admin(method, path, **({} if body is None else {"json": body}))
        now = State.read(world)
    finally:
        world.api.admin = caller
        clock.freeze(None)
    assert reply.status < 300, reply.response.text
    if ":batch" in path:
        assert all(item["status"] < 300 for item in reply.json["items"]), reply.response.text
    permissions, nobody = world.api.app.platform.permissions, Access((), world.api.app.platform.permissions)
    gained_rights = {
        id: gained
        for id, held in now.rights.items()
        if (gained := excess(before.rights.get(id, nobody), held, permissions)) is not None
    }
    assert gained_rights == {}, "a principal holds more"
    made_new = now.rights.keys() - before.rights.keys()
    assert now.working <= before.working | made_new, "a principal gets in again"
    for id, present_ones in now.credentials.items():
        assert present_ones == before.credentials.get(id, (None, None)), "a principal gets in by another credential"
    assert now.tokens.keys() <= before.tokens.keys(), "a key or a login came up"
    assert all(ends <= before.tokens[id] for id, ends in now.tokens.items()), "a key lives longer"


async def test_each_of_them_has_a_case_and_the_judge_sees_a_gift(world: World) -> None:
    """So that no operation is left out, and the comparison does not pass because it sees nothing."""
    assert sorted(CASES) == NOTHINGS
    before = State.read(world)
    id = await world.user(whole_organization(world))
    now = State.read(world)
    assert excess(Access((), world.api.app.platform.permissions), now.rights[id], world.api.app.platform.permissions)
    assert now.working - before.working == {id}
    assert now.credentials[id][0] is not None
