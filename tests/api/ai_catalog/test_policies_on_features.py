"""Policies on the table of a feature view: what a restricted reader gets of its features, now and in the past."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import made
from tests.api.ai_catalog.doors.features import people_service
from tests.api.ai_catalog.policies import PEOPLE, POLICIES, Office, opened
from tests.api.ai_catalog.tagging import new_tag, tagged, target
from tests.api_process import Api, Caller

ENTITIES = [{"person": id} for id in (1, 2, 4242, 77)]
STATUSES = ["PRESENT", "PRESENT", "NOT_FOUND", "NOT_FOUND"]


@pytest.fixture
async def office(api: Api) -> Office:
    return await opened(api)


async def now(office: Office, service: str, caller: Caller | None = None) -> dict[str, list[Any]]:
    path = f"ai-catalog/feature-services/{service}:online-get"
    reply = await made((caller or office.ada).post(path, {"entities": ENTITIES}))
    (view,) = reply["views"]
    columns = {column["name"]: column["values"] for column in reply["columns"]}
    return columns | {"status": view["statuses"], "event_at": view["event_at"]}


async def past(office: Office, service: str, caller: Caller | None = None) -> dict[str, list[Any]]:
    path, at = f"ai-catalog/feature-services/{service}:historical", ["2026-09-01T00:00:00Z"]
    reply = await made((caller or office.ada).post(path, {"entities": ENTITIES, "at": at}))
    columns = {column["name"]: column["values"] for column in reply["columns"]}
    own = {name: columns[name] for name in ("mail", "region", "visits")}
    return own | {"status": columns["people__status"], "event_at": columns["people__event_at"]}


class TestFeatures:
    async def test_are_masked_and_hidden_now_as_in_the_past(self, office: Office) -> None:
        service = await people_service(office)
        mask = {"column": "mail", "method": "PARTIAL", "last": 3}
        await office.policy(masks=[mask], row_filter="region = 'DE'")
        found = await now(office, service)
        assert found["mail"] == ["***ada", "***ben", None, None]
        assert found["visits"] == [1.0, 2.0, None, None]
        assert found["status"] == STATUSES
        assert found["event_at"][2] is None
        assert await past(office, service) == found
        full = await now(office, service, office.api.admin)
        assert full["mail"] == ["secret-mail-ada", "secret-mail-ben", "secret-mail-cay", None]
        assert await past(office, service, office.api.admin) == full

    async def test_of_a_hidden_entity_are_like_those_of_one_that_does_not_exist(self, office: Office) -> None:
        service = await people_service(office)
        await office.policy()
        for found in (await now(office, service), await past(office, service)):
            assert {name: values[2] for name, values in found.items()} == {
                name: values[3] for name, values in found.items()
            }

    async def test_are_masked_from_the_request_after_the_activation_on_and_no_longer_than_the_policy(
        self, office: Office
    ) -> None:
        service = await people_service(office)
        assert (await now(office, service))["mail"][0] == "secret-mail-ada"
        policy = await office.policy()
        assert (await now(office, service))["mail"] == [None] * 4
        assert (await now(office, service, office.api.admin))["mail"][0] == "secret-mail-ada"
        assert (await now(office, service))["mail"] == [None] * 4, "no answer is kept for others"
        await made(office.api.admin.post(f"{POLICIES}/{policy}:disable", {}))
        assert (await now(office, service))["mail"][0] == "secret-mail-ada"

    async def test_are_masked_by_tags(self, office: Office) -> None:
        service, tag = await people_service(office), await new_tag(office.api.admin)
        await tagged(office.api.admin, tag, "assign", target(PEOPLE, "mail"), value="email")
        await office.policy(masks=[{"tag": "pii:email", "method": "NULL"}])
        assert (await now(office, service))["mail"] == [None] * 4
        assert (await past(office, service))["mail"] == [None] * 4

    @pytest.mark.parametrize("column", ["id", "seen_at"])
    async def test_whose_key_or_event_time_is_masked_are_refused(self, office: Office, column: str) -> None:
        service = await people_service(office)
        await office.policy(masks=[{"column": column, "method": "NULL"}])
        bodies = {
            "online-get": {"entities": ENTITIES},
            "historical": {"entities": ENTITIES, "at": ["2026-09-01T00:00:00Z"]},
        }
        for verb, body in bodies.items():
            refused = await office.ada.post(f"ai-catalog/feature-services/{service}:{verb}", body)
            assert (refused.status, f"it masks {column}" in refused.json["detail"]) == (403, True)

    async def test_that_the_store_does_not_have_all_columns_of_a_filter_for_are_refused(self, office: Office) -> None:
        service = await people_service(office, features=("mail", "visits"))
        await office.policy()
        path = f"ai-catalog/feature-services/{service}:online-get"
        refused = await office.ada.post(path, {"entities": ENTITIES})
        assert (refused.status, "read the features in the past" in refused.json["detail"]) == (403, True)
        assert (await past(office, service))["status"] == STATUSES
