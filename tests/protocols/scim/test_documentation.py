"""The requests of the how-to page, sent as they stand there; then a directory, and a login of whom it made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.api.admin.identity_provider import registered, running_provider, sign_in
from tests.api.admin.tenants import made
from tests.api_process import Caller, running
from tests.orchestration import FakeOrchestrator

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "provision-users.md").read_text()
REQUESTS = re.findall(r"```http\n(\w+) (\S+)\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.filterwarnings("ignore:get_jwt_config")
async def test_whom_the_directory_makes_logs_in_by_the_identity_provider(tmp_path: Path) -> None:
    with running_provider() as provider:
        async with running(tmp_path, FakeOrchestrator(), HEADWATER_PRIVATE_SOURCES="true") as api:
            await registered(api, provider)
            ids: dict[str, str] = {}
            answer = {}
            for method, path, body in REQUESTS:
                for name, id in ids.items():
                    body = body.replace(f"{{{name}}}", id)
                reply = await api.admin(method, path, content=body, headers={"content-type": "application/json"})
                assert reply.status == 201, (path, reply.response.text)
                answer = reply.json
                ids[str(answer.get("kind", "")).partition(".")[2]] = str(answer["id"])
            directory = Caller(api.app, str(answer["secret"]))
            assert (await directory.get("admin/users")).status == 200
            assert (await directory.http.get("/api/v1/admin/projects")).status_code == 403
            who = {"userName": "Ada@Example.org", "externalId": "s-ada", "active": True}
            created = await directory.http.post("/scim/v2/Users", json=who)
            assert created.status_code == 201, created.text
            team = {"displayName": "Data Science", "members": [{"value": created.json()["id"]}]}
            assert (await directory.http.post("/scim/v2/Groups", json=team)).status_code == 201
            browser = Caller(api.app, None)
            assert (await sign_in(browser, provider)).status == 303
            assert (await made(browser.get("admin/sessions/current")))["user"] == "ada@example.org"
            assert (await made(api.admin.get("admin/groups?filter=name == 'data-science'")))["items"]
            assert {event["principal_id"] for event in api.events("admin.group.members_added")} == {
                ids["service_account"]
            }
            for caller in (browser, directory):
                await caller.http.aclose()
