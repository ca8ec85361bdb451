"""Every door to rows: who is exempt gets the values, and whom a policy restricts gets none of them.

A door that is refused for any other reason than the policy, or that discloses nothing to anybody, proves nothing. So
each is asked three times: by a reader whom the policy exempts, by one whom it restricts, and by that one after the
policy has ended.
"""

from __future__ import annotations

import pytest

from tests.api.admin.tenants import made
from tests.api.ai_catalog.policies import POLICIES, Office, opened
from tests.api.ai_catalog.policy_doors import DOORS
from tests.api.one_database import on_sqlite
from tests.api_process import Api

pytestmark = on_sqlite


@pytest.fixture
async def office(api: Api) -> Office:
    return await opened(api)


@pytest.mark.parametrize("name", DOORS)
async def test_only_the_policy_closes_a_door(office: Office, name: str) -> None:
    door = DOORS[name]
    ask = await door.prepare(office)
    policy = await office.policy()
    full = await ask(office.api.admin)
    assert (full.status // 100, door.evidence in full.content) == (2, True), full.content
    answer = await ask(office.ada)
    assert answer.leaked == [], answer.content
    if door.applies:
        assert answer.status == full.status, answer.content
    else:
        status, text = door.refusal
        assert (answer.status, text in answer.detail) == (status, True), answer.content
    await made(office.api.admin.post(f"{POLICIES}/{policy}:disable", {}))
    again = await ask(office.ada)
    assert (again.status // 100, door.evidence in again.content) == (2, True), again.content
