"""Passwords that a directory pushes: those of the admin service, by the same rules, and never seen again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from api.kernel.tables import REVISION
from core.events import EVENT
from tests.api_server import Server
from tests.scim import BULK, NUMBERS, PATCH, USER, a_user, events, service_account

CANARY = "canary-of-scim-7"


def login(server: Server, user: dict[str, Any], password: str) -> dict[str, str]:
    """The headers of a login; none if the password is wrong."""
    body = {"name": user["userName"].lower(), "password": password}
    answer = httpx.post(f"{server.url}/api/v1/admin/sessions:login", json=body)
    assert answer.status_code in (200, 401), answer.text
    return {"authorization": f"Bearer {answer.json()['token']}"} if answer.status_code == 200 else {}


def still_in(server: Server, headers: dict[str, str]) -> bool:
    answer = httpx.get(f"{server.url}/api/v1/admin/sessions/current", headers=headers)
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


def changes(server: Server, user: dict[str, Any]) -> list[tuple[str, str]]:
    return [one for one in events(server, user["id"]) if one[0].startswith("admin.user.")]


def stored(server: Server) -> str:
    """All that the platform remembers of what happened."""
    with server.api.database.read() as connection:
        message = [connection.execute(sa.select(table)).all() for table in (EVENT, REVISION)]
    return str(message)


class TestSetting:
    def test_one_that_comes_with_a_new_user_lets_him_in_and_is_never_told(
        self, server: Server, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        user = a_user(directory, password=CANARY)
        assert login(server, user, CANARY)
        assert not login(server, user, "another-password")
        reported = [directory.get(f"Users/{user['id']}").text, admin.get(f"users/{user['id']}").text, str(user)]
        reported += [
            directory.get("Users", params={"attributes": "password,userName", "count": 1000}).text,
            stored(server),
        ]
        assert "canary" not in "".join(reported)
        found = directory.get("Users", params={"filter": f'password eq "{CANARY}"'}).json()
        assert found["totalResults"] == 0, "nor can it be guessed by asking"
        assert changes(server, user) == [
            ("admin.user.created", "succeeded"),
            ("admin.user.password_set", "succeeded"),
        ]

    @pytest.mark.parametrize(
        ("method", "body"),
        [
            ("PATCH", {"op": "replace", "path": "password", "value": "{password}"}),
            ("PATCH", {"op": "Replace", "value": {"password": "{password}"}}),
            ("PATCH", {"op": "add", "path": f"{USER}:password", "value": "{password}"}),
            ("PUT", {}),
            ("BULK", {"op": "replace", "path": "password", "value": "{password}"}),
        ],
        ids=["path", "okta", "urn", "put", "bulk"],
    )
    def test_another_one_takes_its_place_and_ends_his_logins(
        self, server: Server, directory: httpx.Client, method: str, body: dict[str, Any]
    ) -> None:
        user = a_user(directory, password=CANARY)
        path, password = f"Users/{user['id']}", f"{CANARY}-{next(NUMBERS)}"
        patch = {"schemas": [PATCH], "Operations": [_filled(body, password)]}
        his = login(server, user, CANARY)
        assert still_in(server, his)
        if method == "PATCH":
            answer = directory.patch(path, json=patch)
        elif method == "PUT":
            answer = directory.put(path, json=user | {"password": password})
        else:
            operation = {"method": "PATCH", "path": f"/{path}", "data": patch}
            answer = directory.post("Bulk", json={"schemas": [BULK], "Operations": [operation]})
            assert answer.json()["Operations"][0]["status"] == "200", answer.text
        assert answer.status_code in (200, 204), answer.text
        assert "canary" not in answer.text
        assert not still_in(server, his)
        assert login(server, user, password)
        assert not login(server, user, CANARY)
        assert "canary" not in stored(server)
        assert changes(server, user).count(("admin.user.password_set", "succeeded")) == 2


class TestRefusals:
    def test_one_that_breaks_the_policy(self, server: Server, directory: httpx.Client) -> None:
        name = f"short{next(NUMBERS)}"
        answer = directory.post("Users", json={"schemas": [USER], "userName": name, "password": "canary"})
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
        assert "needs 10 to 256 characters" in answer.json()["detail"]
        assert "canary" not in answer.text
        assert directory.get("Users", params={"filter": f'userName eq "{name}"'}).json()["totalResults"] == 0

    def test_a_former_one(self, server: Server, directory: httpx.Client) -> None:
        headers = {"authorization": f"Bearer {server.tokens['admin']}"}
        with httpx.Client(base_url=f"{server.url}/api/v1/admin/", headers=headers) as platform:
            platform.patch("settings/platform", json={"password_history": 2}).raise_for_status()
            try:
                user = a_user(directory, password=CANARY)
                change = {"op": "replace", "path": "password", "value": CANARY}
                answer = directory.patch(f"Users/{user['id']}", json={"schemas": [PATCH], "Operations": [change]})
            finally:
                platform.patch("settings/platform", json={"password_history": 0}).raise_for_status()
        assert answer.status_code == 400, answer.text
        assert "is one of the last 2" in answer.json()["detail"]

    def test_without_the_permission_nothing_happens(
        self, server: Server, directory: httpx.Client, admin: httpx.Client
    ) -> None:
        user = a_user(directory, password=CANARY)
        some = ("admin.user.get", "admin.user.create", "admin.user.update")
        with service_account(server, admin, *some) as low:
            name = f"low{next(NUMBERS)}"
            answer = low.post("Users", json={"schemas": [USER], "userName": name, "password": f"{CANARY}-2"})
            assert answer.status_code == 403, answer.text
            assert "admin.user.set_password" in answer.json()["detail"]
            operations = [
                {"op": "replace", "path": "nickName", "value": "Countess"},
                {"op": "replace", "path": "password", "value": f"{CANARY}-2"},
            ]
            answer = low.patch(f"Users/{user['id']}", json={"schemas": [PATCH], "Operations": operations})
            assert answer.status_code == 403, answer.text
            assert low.post("Users", json={"schemas": [USER], "userName": name}).status_code == 201
        assert ("admin.user.update_denied", "denied") in events(server, user["id"])
        assert "nickName" not in directory.get(f"Users/{user['id']}").json()
        assert login(server, user, CANARY)

    def test_each_of_a_bulk_request_by_itself(self, server: Server, directory: httpx.Client) -> None:
        names = [f"each{next(NUMBERS)}" for _ in range(2)]
        operations = [
            {
                "method": "POST",
                "path": "/Users",
                "bulkId": name,
                "data": {"schemas": [USER], "userName": name, "password": password},
            }
            for name, password in zip(names, (CANARY, "short"), strict=True)
        ]
        answer = directory.post("Bulk", json={"schemas": [BULK], "Operations": operations}).json()
        assert [one["status"] for one in answer["Operations"]] == ["201", "400"]
        assert login(server, {"userName": names[0]}, CANARY)


def _filled(operation: dict[str, Any], password: str) -> dict[str, Any]:
    value = operation.get("value")
    return operation | {"value": {"password": password} if isinstance(value, dict) else password}
