"""Whether policies on a table close what was copied from it."""

from __future__ import annotations

from typing import Any

import pytest

from api.kernel.lake.row_access import closes_copy
from api.kernel.permissions import grants
from tests.api.ai_catalog.policies import PEOPLE, Office, opened
from tests.api.ai_catalog.tagging import new_tag, tagged, target
from tests.api_process import Api

COPY = "flights.gold.route_delays"
BOTH, SOURCE, OTHERS = ["flights.*.*"], [PEOPLE], ["flights.gold.*"]
NAME = {"masks": [{"column": "MAIL", "method": "NULL"}]}
TAG = {"masks": [{"tag": "pii:email", "method": "NULL"}]}
FILTER = {"row_filter": "region = 'DE'"}
CASES: list[tuple[dict[str, Any], list[str], list[str] | None, bool]] = [
    # A mask by a name says nothing of the column that was computed, even if the policy covers the copy.
    (NAME, BOTH, ["mail"], True),
    (NAME, SOURCE, ["id", "mail"], True),
    (NAME, BOTH, ["id"], False),
    (NAME, BOTH, [], False),
    (NAME, BOTH, None, True),
    # The copied column inherits the tag.
    (TAG, BOTH, ["mail"], False),
    (TAG, BOTH, None, False),
    (TAG, SOURCE, ["mail"], True),
    (TAG, SOURCE, ["id"], False),
    (TAG, SOURCE, None, True),
    # A condition leaves rows out, whichever columns were copied.
    (FILTER, BOTH, ["mail"], False),
    (FILTER, SOURCE, ["id"], True),
    (FILTER, SOURCE, [], True),
    (FILTER, SOURCE, None, True),
    (TAG | FILTER, BOTH, ["mail"], False),
    (NAME | FILTER, BOTH, ["id"], False),
    (NAME, OTHERS, ["mail"], False),
    (FILTER, OTHERS, None, False),
]


@pytest.fixture
async def office(api: Api) -> Office:
    return await opened(api)


def closed(office: Office, principal: str, columns: list[str] | None) -> bool:
    platform = office.api.app.platform
    with office.api.database.read() as connection:
        access = grants.access_of(connection, principal, platform.permissions)
    return closes_copy(platform, access, PEOPLE, COPY, columns)


async def test_what_closes_a_copy(office: Office) -> None:
    await tagged(office.api.admin, await new_tag(office.api.admin), "assign", target(PEOPLE, "mail"), value="email")
    assert not closed(office, office.ada_id, None), "without a policy"
    for number, (spec, assets, columns, expected) in enumerate(CASES):
        id = await office.policy(f"case{number}", assets=assets, **spec)
        assert closed(office, office.ada_id, columns) is expected, (spec, assets, columns)
        assert not closed(office, office.admin_id, columns), "the policy exempts them"
        await office.api.admin.post(f"ai-catalog/policies/{id}:disable", {})


async def test_each_of_several_policies_can_close_a_copy(office: Office) -> None:
    await office.policy("wide", assets=BOTH, **FILTER)
    assert not closed(office, office.ada_id, ["id"])
    await office.policy("narrow", assets=SOURCE, row_filter="id < 9")
    assert closed(office, office.ada_id, ["id"])
